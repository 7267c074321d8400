"""What gptlib.viz says to bad input: one sentence with what is wrong and the way out."""

from typing import Any

import pytest
import torch

from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import CharTokenizer
from gptlib.viz import layer_logits, logit_lens, look_score, prefix_difference, silence

CHARS = CharTokenizer("abc ")
MODEL = GPT(GPTConfig(vocab_size=5, block_size=8, n_layer=2, n_head=2, n_embd=8)).eval()
WEIGHTS = torch.full((2, 3, 4), 0.25)


@pytest.mark.parametrize(("queries", "keys"), [([], []), ([0], [0, 1]), ([0, 1], [2]), ([], [1])])
def test_not_one_key_for_each_query(queries: list[int], keys: list[int]) -> None:
    """A single key would be repeated for all queries, and no pair at all would give NaN."""
    sentence = f"^there are {len(queries)} queries and {len(keys)} keys; give one key for each query$"
    with pytest.raises(ValueError, match=sentence):
        look_score(WEIGHTS, queries, keys)


@pytest.mark.parametrize(
    ("queries", "keys", "what", "last"),
    [
        ([3], [0], "query 3", 2),
        ([-1], [0], "query -1", 2),
        ([0, 1], [4, 2], "key 4", 3),
        ([0, 1], [0, 4], "key 4", 3),
        ([0, 1], [1, -2], "key -2", 3),
    ],
)
def test_a_position_that_is_not_there(queries: list[int], keys: list[int], what: str, last: int) -> None:
    """Negative ones would count from the end, and give a number all the same."""
    with pytest.raises(ValueError, match=f"^{what} is not there; the weights have positions 0 to {last}$"):
        look_score(WEIGHTS, queries, keys)


@pytest.mark.parametrize("place", [(2, 0), (0, 2), (-1, 0), (0, -1)])
def test_a_head_that_the_model_does_not_have(place: tuple[int, int]) -> None:
    """Nothing is cut before all heads are known to be there."""
    layer, head = place
    sentence = f"^there is no head {head} in layer {layer}; layers go from 0 to 1, heads from 0 to 1$"
    with pytest.raises(ValueError, match=sentence), silence(MODEL, [(0, 0), place]):
        pass
    assert not any(block.attention.out._forward_pre_hooks for block in MODEL.blocks)


@pytest.mark.parametrize("T", [0, 1])
def test_too_few_tokens_to_have_a_prefix(T: int) -> None:
    with pytest.raises(
        ValueError, match=rf"^the ids have shape \(1, {T}\); give \(texts, tokens\), two tokens or more$"
    ):
        prefix_difference(MODEL, torch.zeros(1, T, dtype=torch.long))
    with pytest.raises(ValueError, match=r"^the ids have shape \(5,\); "):
        prefix_difference(MODEL, torch.zeros(5, dtype=torch.long))


@pytest.mark.parametrize(("heads", "wrong"), [((0, 1), "0"), ([(0, 1), 3], "3"), ([(0, 1, 1)], r"\(0, 1, 1\)")])
def test_heads_that_are_no_pairs(heads: Any, wrong: str) -> None:
    sentence = rf"^{wrong} is no head; give pairs of layer and head, as in \[\(0, 1\)\]$"
    with pytest.raises(ValueError, match=sentence), silence(MODEL, heads):
        pass


@pytest.mark.parametrize(
    ("idx", "sentence"),
    [
        (torch.zeros(1, 9, dtype=torch.long), "^9 tokens do not fit into a context of 8; give the last 8$"),
        (torch.zeros(1, 0, dtype=torch.long), "^the text is empty; "),
        (torch.zeros(3, dtype=torch.long), r"^ids have shape \(3,\)"),
        (torch.full((1, 3), 7), "the last token is 4; use the model's tokenizer$"),
    ],
)
def test_what_the_model_refuses_is_refused_in_its_words(idx: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        layer_logits(MODEL, idx)


def test_a_lens_on_nothing() -> None:
    with pytest.raises(ValueError, match=r"^the prompt is empty; give at least one character to go on from$"):
        logit_lens(MODEL, "", CHARS)
    with pytest.raises(ValueError, match="the character 'd' is not in the vocabulary"):
        logit_lens(MODEL, "abcd", CHARS)
    with pytest.raises(ValueError, match=r"^top is 0: ask for at least 1 guess per cell$"):
        logit_lens(MODEL, "abc", CHARS, top=0)


def test_a_lens_on_what_does_not_belong_together() -> None:
    for given in ((CHARS, "abc", MODEL), (MODEL, CHARS, "abc"), (MODEL, None, CHARS), (None, "abc", CHARS)):
        with pytest.raises(ValueError, match=r"^logit_lens was given \w+, \w+, \w+; give a GPT, a str and the "):
            logit_lens(*given)
    with pytest.raises(ValueError, match=r"^the tokenizer has 3 tokens and the model 5: give the model's own$"):
        logit_lens(MODEL, "ab", CharTokenizer("ab"))
