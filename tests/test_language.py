"""Softmax, cross-entropy and the n-gram yardsticks, held against torch and against slow loops."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gptlib.corpora import tales
from gptlib.data import documents, encode_text, load_text
from gptlib.language import NGramModel, bits_per_byte, cross_entropy, perplexity, softmax
from gptlib.tokenizer import END_OF_TEXT, CharTokenizer


@pytest.mark.parametrize("size", [1.0, 1e4, 1e30])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_equals_torch(size, dim):
    """Overflow to NaN at large scores; the wrong axis; a gradient through the maximum that does not cancel."""
    x = (size * torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))).requires_grad_()
    ours, theirs = softmax(x, dim), torch.softmax(x, dim)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(1))
    (ours_grad,), (theirs_grad,) = (torch.autograd.grad((p * weights).sum(), x) for p in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad)


def test_softmax_of_hidden_scores():
    """Attention hides places with minus infinity: no weight, and no NaN in the others."""
    assert softmax(torch.tensor([0.0, -math.inf, 0.0])).tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize("size", [1.0, 300.0, 1e5])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), ()])
def test_cross_entropy_equals_torch(size, shape):
    """Mistakes 47 and 48: probabilities instead of logits, or logits of other places; padding in sum or count."""
    generator = torch.Generator().manual_seed(2)
    logits = (size * torch.randn(*shape, 11, generator=generator)).requires_grad_()
    targets = torch.randint(-1, 11, shape, generator=generator).clamp(min=-1 if shape else 0)
    ours = cross_entropy(logits, targets)
    theirs = F.cross_entropy(logits.reshape(-1, 11), targets.reshape(-1), ignore_index=-1)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits), strict=True):
        torch.testing.assert_close(a, b)


def test_cross_entropy_by_hand():
    """Mistake 48 again, without torch's help: three places, each with its own row of logits."""
    rows, targets = [[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [-1.0, 4.0, 0.5]], [0, 2, 1]
    nats = [math.log(sum(map(math.exp, row))) - row[target] for row, target in zip(rows, targets, strict=True)]
    for shape in ((3,), (1, 3), (3, 1)):
        loss = cross_entropy(torch.tensor(rows).view(*shape, 3), torch.tensor(targets).view(shape))
        assert math.isclose(loss, sum(nats) / 3, rel_tol=1e-6)


def test_cross_entropy_takes_logits():
    """Mistake 47: softmax twice cannot get below ln(e + V - 1) - 1, however sure and right the model is."""
    sure = torch.full((4, 65), -50.0)
    sure[range(4), [1, 2, 3, 4]] = 50.0
    assert cross_entropy(sure, torch.tensor([1, 2, 3, 4])) < 1e-6
    assert math.isclose(cross_entropy(torch.zeros(1, 65), torch.tensor([3])), math.log(65), rel_tol=1e-6)


def test_other_padding_marks():
    """`ignore_index` is a parameter: -100 as in torch, or a token of the vocabulary."""
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(3))
    targets = torch.tensor([0, 4, -100, 2, -100, 2])
    torch.testing.assert_close(
        cross_entropy(logits, targets, ignore_index=-100), F.cross_entropy(logits, targets, ignore_index=-100)
    )
    kept = torch.tensor([0, 4, 1])
    torch.testing.assert_close(
        cross_entropy(logits, targets.clamp(min=2), ignore_index=2),
        F.cross_entropy(logits, targets.clamp(min=2), ignore_index=2),
    )
    torch.testing.assert_close(cross_entropy(logits[:3], kept), F.cross_entropy(logits[:3], kept))


def test_padding_takes_no_gradient():
    """A padded place that still pulls at the model; NaN there must not reach the rest either."""
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(4))
    logits[1] = math.nan
    logits.requires_grad_()
    loss = cross_entropy(logits, torch.tensor([1, -1, 2]))
    assert loss.isfinite()
    loss.backward()
    assert logits.grad[[0, 2]].isfinite().all()


def test_perplexity_is_one_exponential():
    """Mistake 59: a mean of exponentials is larger; and a large loss must not raise OverflowError."""
    nats = [math.log(2), math.log(8)]
    assert math.isclose(perplexity(sum(nats) / 2), 4)
    assert math.isclose(perplexity(math.log(1000)), 1000)
    assert perplexity(1e9) == math.inf and math.isnan(perplexity(math.nan))
    assert perplexity(709.0) < math.inf == perplexity(709.9), "e to the 709.8 is the last that a float can hold"


def test_bits_per_byte_does_not_see_the_tokens():
    """Nats taken for bits, tokens for bytes: one byte per token, all equally likely, is 8 bits."""
    assert bits_per_byte(math.log(256), 7, 7) == bits_per_byte(math.log(256), 1, 1) == 8
    assert math.isclose(bits_per_byte(2.0, 50, 200), bits_per_byte(1.0, 100, 200))
    assert math.isclose(bits_per_byte(math.log(2), 1, 4), 0.25)


# ---- n-grams ---------------------------------------------------------------------------------------------------------

TEXTS = st.lists(st.integers(0, 3), max_size=40)


def slow_probabilities(tokens, context, V, d):
    """Interpolated absolute discounting as the formula says it, reading the whole text."""
    lower = slow_probabilities(tokens, context[1:], V, d) if context else [1 / V] * V
    n = len(context)
    followers = Counter(tokens[i + n] for i in range(len(tokens) - n) if tokens[i : i + n] == context)
    if not followers:
        return lower
    freed = d * len(followers) / followers.total()
    return [max(followers[w] - d, 0) / followers.total() + freed * lower[w] for w in range(V)]


@given(TEXTS, TEXTS, st.integers(1, 5), st.sampled_from([0.0, 0.3, 0.75, 1.0]))
def test_ngram_probabilities(text, context, n, d):
    """Contexts mixed up, a discount that does not add up, an unseen context taken for a seen one."""
    p = NGramModel(n, 5, d).fit(text).probabilities(context)
    torch.testing.assert_close(p.sum(), torch.tensor(1.0))
    used = context[max(0, len(context) - n + 1) :]
    torch.testing.assert_close(p, torch.tensor(slow_probabilities(text, used, 5, d)))


@given(TEXTS, st.lists(st.integers(0, 4), min_size=2, max_size=30), st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0]))
def test_ngram_loss_is_the_loop_over_its_probabilities(text, asked, n, d):
    """The vectorised loss leaves a place out, or reads one that is not there yet."""
    model = NGramModel(n, 5, d).fit(text)
    loop = [-model.probabilities(asked[:t])[asked[t]].log().item() for t in range(1, len(asked))]
    assert math.isclose(model.loss(asked), sum(loop) / len(loop), rel_tol=1e-4, abs_tol=1e-6)


def test_ngram_takes_what_holds_tokens(tmp_path):
    """Narrow integers overflow in `number * V + token`; tensors and memory maps are token sequences too."""
    text = np.random.default_rng(0).integers(0, 3000, 500)
    np.save(tmp_path / "t.npy", text.astype(np.uint16))
    kinds = [
        text,
        text.tolist(),
        torch.from_numpy(text),
        text.astype(np.uint16),
        np.load(tmp_path / "t.npy", mmap_mode="r"),
    ]
    losses = [NGramModel(3, 3000).fit(kind).loss(kind) for kind in kinds]
    assert len(set(losses)) == 1


def test_ngram_that_saw_nothing_knows_nothing():
    """ln V is the loss of ignorance."""
    assert math.isclose(NGramModel(3, 60).loss([5, 7, 9]), math.log(60))
    assert math.isclose(NGramModel(3, 60).fit([]).loss([5, 7, 9]), math.log(60))


def test_unsmoothed_bigram_is_the_table_of_counts():
    """The promise of lesson 03: counting and the n-gram model are one thing."""
    text = np.random.default_rng(1).integers(0, 6, 400)
    counts = torch.zeros(6, 6)
    for a, b in pairwise(text):
        counts[a, b] += 1
    model = NGramModel(2, 6, smoothing=0).fit(text)
    torch.testing.assert_close(
        torch.stack([model.probabilities([i]) for i in range(6)]), counts / counts.sum(1, keepdim=True)
    )


def test_yardsticks_of_the_tales_stand_in_order():
    """Each model that sees more must do better on held-out tales, and none better than the entropy floor."""
    train, val = documents(load_text())[:300], documents(load_text())[-30:]
    tokenizer = CharTokenizer.train([*train, *val])
    train_ids, val_ids = (encode_text(f"\n{END_OF_TEXT}\n".join([*part, ""]), tokenizer) for part in (train, val))
    V, n_bytes = tokenizer.vocab_size, sum(len(tale.encode()) for tale in val)
    losses = [math.log(V), *(NGramModel(n, V).fit(train_ids).loss(val_ids) for n in (1, 2, 3))]
    bits = [bits_per_byte(loss, len(val_ids) - 1, n_bytes) for loss in losses]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] > sum(map(tales.score, val)) / n_bytes
