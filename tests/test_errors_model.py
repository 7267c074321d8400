"""What the model says to sizes and ids that it cannot take: the value, and the way out."""

import dataclasses
from typing import Any

import pytest
import torch

from gptlib.model import GPT, GPTConfig, KVCache, LayerCache

SMALL = GPTConfig(vocab_size=10, block_size=8, n_layer=2, n_head=2, n_embd=8)


@pytest.mark.parametrize("name", ["vocab_size", "block_size", "n_layer", "n_head", "n_embd"])
@pytest.mark.parametrize("value", [0, -3, 2.0, "4", None, True])
def test_a_size_is_an_int_of_at_least_one(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; give an int of at least 1$"):
        GPTConfig(**{name: value})


@pytest.mark.parametrize("name", ["dropout", "norm_eps"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), float("inf"), "0.1", None, True])
def test_a_share_and_an_eps_are_numbers_below_one(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; "):
        GPTConfig(**{name: value})


def test_the_edges_that_are_allowed() -> None:
    assert GPTConfig(1, 1, 1, 1, 2, dropout=0, norm_eps=1e-12).dropout == 0
    with pytest.raises(ValueError, match="norm_eps is 0; "):
        GPTConfig(norm_eps=0)


@pytest.mark.parametrize("name", ["bias", "tied"])
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_switch_is_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; give True or False$"):
        GPTConfig(**{name: value})


@pytest.mark.parametrize("value", ["relu", "none", None, ["erf"]])
def test_an_unknown_gelu_is_refused_with_the_choices(value: Any) -> None:
    with pytest.raises(ValueError, match="choose 'erf' or 'tanh'"):
        GPTConfig(gelu=value)


def test_heads_that_do_not_divide_get_the_nearest_widths() -> None:
    with pytest.raises(ValueError, match="n_embd is 100, which 3 heads cannot share evenly; take 99 or 102"):
        GPTConfig(n_embd=100, n_head=3)


def test_swapped_sizes_get_a_hint() -> None:
    with pytest.raises(ValueError, match="n_embd is 4, which 128 heads cannot share evenly; the two look swapped"):
        GPTConfig(n_embd=4, n_head=128)


def test_a_configuration_cannot_be_changed_and_a_changed_copy_is_checked() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.n_layer = 12
    with pytest.raises(ValueError, match="n_embd is 9, which 2 heads"):
        dataclasses.replace(SMALL, n_embd=9)


def test_a_text_longer_than_the_context_names_both_numbers() -> None:
    """Instead of `IndexError: index out of range in self`, or a device assert that spoils the session."""
    with pytest.raises(ValueError, match="9 tokens do not fit into a context of 8; give the last 8"):
        GPT(SMALL)(torch.zeros(1, 9, dtype=torch.long))


@torch.no_grad()
def test_the_context_counts_what_the_cache_has_read() -> None:
    model, cache = GPT(SMALL), KVCache(SMALL)
    model(torch.zeros(1, 6, dtype=torch.long), cache=cache)
    with pytest.raises(ValueError, match="9 tokens do not fit into a context of 8"):
        model(torch.zeros(1, 3, dtype=torch.long), cache=cache)
    assert cache.length == 6, "a refused text leaves the cache as it was"


@pytest.mark.parametrize("bad", [10, -1])
def test_an_id_outside_the_vocabulary_is_named(bad: int) -> None:
    with pytest.raises(ValueError, match=rf"ids run from {min(bad, 3)} to {max(bad, 3)}, but the last token is 9"):
        GPT(SMALL)(torch.tensor([[3, bad]]))


@pytest.mark.parametrize("idx", [torch.zeros(5).long(), torch.zeros(1, 5), torch.zeros(1, 5).short(), torch.tensor(3)])
def test_ids_of_another_shape_or_type_are_refused(idx: torch.Tensor) -> None:
    """uint16 from a token file, a text without a batch, floats."""
    with pytest.raises(ValueError, match=r"give \(batch, positions\) of torch.int64"):
        GPT(SMALL)(idx)


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="the text is empty; give at least one token"):
        GPT(SMALL)(torch.zeros(2, 0, dtype=torch.long))


def test_a_full_cache_and_another_number_of_texts_are_refused() -> None:
    cache, rows = LayerCache(size=4), torch.zeros(2, 1, 3, 5)
    cache.append(rows, rows)
    with pytest.raises(ValueError, match="6 positions do not fit into a cache of 4"):
        cache.append(rows, rows)
    with pytest.raises(ValueError, match="holds 2 texts, but 1 go on"):
        cache.append(rows[:1, :, :1], rows[:1, :, :1])
    assert cache.length == 3


@pytest.mark.parametrize("lengths", [[0, 3], [-1, 2], [1, 4]])
def test_a_text_is_cut_to_lengths_that_were_read(lengths: list[int]) -> None:
    cache = KVCache(SMALL)
    with torch.no_grad():
        GPT(SMALL)(torch.zeros(2, 3, dtype=torch.long), cache=cache)
    with pytest.raises(ValueError, match=r"lengths are \[.*\]; give numbers from 1 to the 3 positions read"):
        cache.trim(torch.tensor(lengths))
    assert cache.lengths is None and cache.length == 3


@pytest.mark.parametrize("value", [-1, 3, 1.0, True, "all"])
def test_more_heads_than_there_are_cannot_look_back(value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^look_back is {value!r}; give a number of heads, from 0 to n_head, 2$"):
        dataclasses.replace(SMALL, look_back=value)


def test_heads_of_an_odd_size_cannot_look_back() -> None:
    with pytest.raises(ValueError, match="look_back needs heads of an even size, and 3 is odd; give 0"):
        GPTConfig(n_embd=6, n_head=2, look_back=1)


@pytest.mark.parametrize(("name", "choices"), [("scale", "'small' or 'unit'"), ("start", "'copy' or 'random'")])
def test_an_unknown_start_gets_the_choices(name: str, choices: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is 'big'; choose {choices}$"):
        dataclasses.replace(SMALL, **{name: "big"})
