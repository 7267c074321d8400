"""The likeliest continuations of a prompt, also those that hold required words: the beams of lesson 09 on texts."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gptlib._checks_sampling import check_prompt
from gptlib._conditions import Texts, as_texts, check_conditions, check_search, find_stop, spellings_of
from gptlib.model import GPT, KVCache
from gptlib.sampling import keep_to, last_logits, prompt_ids, start_ids
from gptlib.tokenizer import Tokenizer
from gptlib.training import evaluating

Ids = tuple[int, ...]
Beam = tuple[float, Ids]


def beam_search(
    step: Callable[[Sequence[Ids], Sequence[int]], Float[Tensor, "R V"]],
    judge: Callable[[Ids], tuple[bool, int, Collection[int]]],
    width: int,
    max_new_tokens: int,
    length_power: float = 0.0,
    length_offset: float = 0.0,
) -> list[Beam]:
    """The `width` best continuations that beams find, with log-probabilities in nats, best first.

    `step(rows, parents)` gives log-probabilities of what follows each row of ids; `parents` says which rows of the last
    call they go on from. `judge(ids)` says whether a text ends there, how many tokens it still misses, and which ones
    may come next of these: for each number missing `width` beams are kept (Hokamp and Liu 2017, section 3).
    Ranked by log-probability over (offset + length) / (offset + 1) to the power `length_power`: with an offset of 5
    that is the penalty of Wu et al. 2016, equation 14.
    """

    def penalty(length: int) -> float:
        return ((length_offset + max(1, length)) / (length_offset + 1)) ** length_power

    def rank(beam: Beam) -> float:
        return beam[0] / penalty(len(beam[1]))

    alive: list[Beam] = [(0.0, ())]
    parents, ended = [0], []
    for left in reversed(range(max_new_tokens)):
        log_p = step([ids for _, ids in alive], parents)  # (R, V)
        likeliest = log_p.topk(min(2 * width, log_p.size(1))).indices.tolist()
        found = []
        for row, (total, ids) in enumerate(alive):
            tokens = sorted({*likeliest[row], *judge(ids)[2]})
            found += [(total + p, (*ids, i), row) for i, p in zip(tokens, log_p[row, tokens].tolist(), strict=True)]
        alive, parents, kept, places = [], [], Counter(), Counter()
        for total, ids, row in sorted(found, key=lambda beam: -beam[0]):
            ends, missing, _ = judge(ids)
            if total == -math.inf or missing > (0 if ends else left):
                continue
            places[missing] += 1
            if ends and places[missing] <= width:  # so one beam is greedy: an end that it passes by is no answer
                ended.append((total, ids))
            elif not ends and kept[missing] < width:
                kept[missing] += 1
                alive.append((total, ids))
                parents.append(row)
        ended = sorted(ended, key=rank, reverse=True)[:width]
        best_to_come = alive[0][0] / penalty(max_new_tokens) if alive else -math.inf  # a total only falls
        if not alive or (len(ended) == width and rank(ended[-1]) >= best_to_come):
            return ended
    return sorted(ended + alive, key=rank, reverse=True)[:width]


class Continuation(NamedTuple):
    """A text that goes on from a prompt, and its tokens with the model's own log-probability of them, in nats.

    The tokens include the end mark, or those of a stop string, if one of them ended the text.
    """

    text: str
    log_probability: float
    ids: Ids


def n_best(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    n: int = 3,
    max_new_tokens: int = 200,
    *,
    stop: Texts = (),
    min_new_tokens: int = 0,
    forbid: Texts = (),
    require: Texts = (),
    width: int | None = None,
    length_power: float = 1.0,
) -> list[Continuation]:
    """The `n` best continuations of a prompt that beams find, all different, best first (lesson 09_sampling).

    They are ranked by log-probability, in nats, over length to the power `length_power`: 1 is the mean of the tokens, 0
    the probability of the whole text, which favours short ones. `stop`, `min_new_tokens` and `forbid` are those of
    `stream`. With `require` each text holds every one of these texts; for each token that they still miss `width` beams
    (by default n, at least 4) are kept apart, so the work grows with their number. Fewer than `n` come back where no
    more were found, and none at all is a `ValueError`. Nothing is drawn: the same call gives the same texts.
    """
    width = max(n, 4) if width is None else width
    check_search(n, width, length_power)
    stops, forbidden, required = as_texts("stop", stop), as_texts("forbid", forbid), as_texts("require", require)
    check_conditions(max_new_tokens, min_new_tokens)
    idx, ends = prompt_ids(model, tokenizer, prompt), start_ids(tokenizer)
    check_prompt(model, idx, max_new_tokens)
    spellings = spellings_of(tokenizer, required, stops, forbidden)
    needed, _ = missing_tokens((), "", spellings, lambda rest: False)
    if needed > max_new_tokens:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}, and what is required takes {needed} tokens; raise it, or require less"
        )
    kept, device = KVCache(model.config), next(model.parameters()).device
    adjust = keep_to(tokenizer, idx.size(1), min_new_tokens, 1.0, forbidden)

    def step(rows: Sequence[Ids], parents: Sequence[int]) -> Float[Tensor, "R V"]:
        new = torch.tensor(rows, dtype=torch.long).view(len(rows), -1)  # (R, T)
        ids = torch.cat([idx.expand(len(rows), -1), new], dim=1)  # (R, T_prompt + T)
        if kept.layers[0].k is not None:
            kept.keep(torch.tensor(parents))
        with torch.no_grad(), evaluating(model):
            logits = last_logits(model, ids.to(device), kept)  # (R, V)
        return adjust(logits.float().log_softmax(dim=-1).cpu(), ids)

    def text_of(ids: Ids) -> str:
        text = tokenizer.decode(i for i in ids if i not in ends)
        return text[: find_stop(text, stops, len(tokenizer.decode(ids[:min_new_tokens])))] if stops else text

    @cache
    def judge(ids: Ids) -> tuple[bool, int, Collection[int]]:
        text = text_of(ids)
        missing = missing_tokens(ids, text, spellings, lambda rest: completes(text, tokenizer.decode(rest), forbidden))
        return text != tokenizer.decode(ids), *missing

    best: dict[str, Continuation] = {}
    for log_probability, ids in beam_search(step, judge, width, max_new_tokens, length_power):
        best.setdefault(text_of(ids), Continuation(text_of(ids), log_probability, ids))
    if not best:
        raise ValueError(
            f"no beam found a text of {min_new_tokens} to {max_new_tokens} tokens that keeps all conditions; raise "
            f"max_new_tokens or width, or ask for less"
        )
    return list(best.values())[:n]


def completes(text: str, rest: str, forbidden: Collection[str]) -> bool:
    """Whether the rest behind the text would write something forbidden."""
    return any(other in text[-len(other) :] + rest for other in forbidden)


def missing_tokens(
    ids: Ids, text: str, spellings: Mapping[str, Sequence[Ids]], is_forbidden: Callable[[Ids], bool]
) -> tuple[int, set[int]]:
    """How many tokens must follow, at the fewest, until the text holds all that is required; which may be the first.

    What is begun counts only where its rest may follow.
    """
    unmet = [ways for required, ways in spellings.items() if required not in text]
    missing = in_all = sum(min(map(len, ways)) for ways in unmet)
    firsts = set()
    for ways in unmet:
        for way in ways:
            ends_with = [k for k in range(1, len(way)) if ids[len(ids) - k :] == way[:k]]
            begun = max((k for k in ends_with if not is_forbidden(way[k:])), default=0)
            missing = min(missing, in_all - min(map(len, ways)) + len(way) - begun)
            firsts.add(way[begun])
    return missing, firsts
