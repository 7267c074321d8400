"""Attention maps to look into: lines between tokens, a map, all heads at once, and how one query finds its keys."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, pad

from gptlib._checks_sampling import check_same_tokens
from gptlib._token_html import count, plain, to_ids
from gptlib._widget import Refused, View, plain_text, traitlets
from gptlib.model import GPT, record
from gptlib.tokenizer import Allowed, Tokenizer
from gptlib.training import evaluating

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

MODES = ("lines", "heat", "grid", "neuron")
SCALES = ("fixed", "row")
COLORS = ("#3b82c4", "#d9622b", "#2f9e5f", "#b65fc9", "#b8860b", "#d6456b")  # seen on white and on black alike
COLORS += ("#1a9ba6", "#7d6be0", "#7a8f1f", "#c9577f", "#5b7fa6", "#a9714b")
BLUES = ("#e9f1f9", "#8dbbe3", "#2f76b5", "#08264a")  # in the picture; on the page they follow the theme
SIGNED = ("#2166ac", "#ffffff", "#c2570c")
GLOW = "#f28e2b"
SEEN = 1e-6  # a masked weight is 0, or as good as
LARGE = 1.01  # a weight above is no rounding: 255 steps from 0 to 1 cannot say how large it is
FAINT, MOST_LINES = 0.04, 300  # the picture has no lines of less, and only the strongest


class Maps(NamedTuple):
    """What a view shows: `weights` (L, H, T, S), and, if they are known, `q` (L, H, T, D) and `k` (L, H, S, D)."""

    weights: Tensor
    exact: bool  # false for weights that came with the few digits of bfloat16 or float16
    q: Tensor | None = None
    k: Tensor | None = None


# ---- from what people have to (L, H, T, S)


def tensor_of(values: Any, name: str) -> Tensor:
    """Numbers of any kind on this machine, without a gradient; ValueError for what holds none, NaN or infinity."""
    try:
        tensor = gathered(values)
    except (TypeError, ValueError, RuntimeError):  # the last for a tensor with no numbers here, or a ragged list
        given = f"a tensor on {values.device}" if isinstance(values, Tensor) else f"of type {type(values).__name__}"
        raise ValueError(f"{name} are {given}, which holds no array of numbers: give a tensor of them") from None
    if tensor.is_complex():
        raise ValueError(f"{name} are complex numbers: give real ones")
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float32)
    elif tensor.itemsize == 1:  # of 8 bits, with which little can be done; bfloat16 holds them all
        tensor = tensor.to(torch.bfloat16)
    if tensor.numel() == 0:
        raise ValueError(f"{name} have shape {tuple(tensor.shape)}, which is empty: give at least one token")
    if not tensor.isfinite().all():
        place = tuple(torch.nonzero(~tensor.isfinite())[0].tolist())
        found = f"{name} hold {tensor[place].item()} at {place}"
        raise ValueError(f"{found}: give finite numbers, and zeros in a row that may look nowhere")
    return tensor


def gathered(values: Any) -> Tensor:
    """A tensor, an array, or a nested list of numbers or of them, as one dense tensor on this machine."""
    if isinstance(values, Tensor):
        return values.detach().cpu().to_dense()
    if isinstance(values, list | tuple) and values and isinstance(values[0], list | tuple | Tensor):
        return torch.stack([gathered(part) for part in values])
    return torch.tensor(np.asarray(values))


def by_layers(values: Any, name: str) -> Tensor:
    """What people have for one text, or for each layer of it, as (L, H, rows, columns); a batch of one is no batch."""
    if isinstance(values, list | tuple) and values and hasattr(values[0], "ndim"):
        layers = [one_layer(layer, f"{name} of layer {i}") for i, layer in enumerate(values)]
        shapes = [tuple(layer.shape) for layer in layers]
        for i, shape in enumerate(shapes):
            if shape != shapes[0]:
                both = f"{name} of layer {i} have shape {shape}, those of layer 0 {shapes[0]}"
                raise ValueError(f"{both}: give layers with as many heads and tokens, or one of them")
        return torch.stack(layers)
    tensor = tensor_of(values, name)
    if tensor.ndim == 5 and 1 in tensor.shape[:2]:
        tensor = tensor.squeeze(0 if tensor.size(0) == 1 else 1)
    if not 2 <= tensor.ndim <= 4:
        shape = tuple(tensor.shape)
        raise ValueError(f"{name} have shape {shape}: give (T, S), (heads, T, S) or (layers, heads, T, S) of one text")
    return tensor[(None,) * (4 - tensor.ndim)]


def one_layer(values: Any, name: str) -> Tensor:
    """What people have for one layer as (H, rows, columns)."""
    tensor = tensor_of(values, name)
    if tensor.ndim == 4 and tensor.size(0) != 1:
        raise ValueError(f"{name} are a batch of {tensor.size(0)} texts: give one of them, such as weights[:1]")
    if not 2 <= tensor.ndim <= 4:
        raise ValueError(f"{name} have shape {tuple(tensor.shape)}: give (heads, T, S)")
    return tensor.reshape(-1, *tensor.shape[-2:])


def read_maps(weights: Any, q: Any = None, k: Any = None) -> Maps:
    """Weights, and q and k if they are known, in the form that a view shows; ValueError for what cannot be shown."""
    if hasattr(weights, "attentions"):  # all that a model of Hugging Face gave
        raise ValueError(f"weights are a {type(weights).__name__}: give its attentions, as in output.attentions")
    if isinstance(weights, list | tuple) and all(layer is None for layer in weights):
        raise ValueError("no layers were given: load a Hugging Face model with attn_implementation='eager'")
    if isinstance(weights, list | tuple) and weights and isinstance(weights[0], Mapping):  # what `record` gave
        if not all("weights" in layer for layer in weights):
            raise ValueError("the record is empty: call the model inside `with record(model) as seen:`")
        weights, q, k = ([layer[name] for layer in weights] for name in ("weights", "q", "k"))
    found = by_layers(weights, "weights")
    if found.min() < -SEEN:
        place = tuple(torch.nonzero(found < -SEEN)[0].tolist())
        raise ValueError(f"weights hold {found[place].item():.3g} at {place}: give what softmax gives, not the scores")
    if (q is None) != (k is None):
        raise ValueError(f"{'k' if q is None else 'q'} was given alone: give both q and k, or neither")
    exact = found.dtype not in (torch.float16, torch.bfloat16)
    found = found.to(torch.float32, copy=True).clamp_(min=0)  # a copy, so that nobody changes it later
    if q is None:
        return Maps(found, exact)
    vectors = [by_layers(given, name).to(torch.float32, copy=True) for name, given in (("q", q), ("k", k))]
    L, H, T, S = found.shape
    for name, rows, given in (("q", T, vectors[0]), ("k", S, vectors[1])):
        wanted = (L, H, rows, vectors[0].size(-1))
        if tuple(given.shape) != wanted:
            raise ValueError(f"{name} has shape {tuple(given.shape)}, but these weights need {wanted}")
    return Maps(found, exact, *vectors)


def read_model(model: GPT, ids: Sequence[int]) -> Maps:
    """What each head of a model does on these ids; the model is afterwards as it was."""
    idx = torch.tensor([list(ids)], device=next(model.parameters()).device)  # (1, T)
    with torch.no_grad(), evaluating(model), record(model) as seen:
        model(idx)
    return read_maps(seen)


def check_model(model: nn.Module, text: Any, tokenizer: Any) -> None:
    """ValueError unless this is a GPT with a text for it and its own tokenizer."""
    if not isinstance(model, GPT):
        kind = type(model).__name__
        raise ValueError(
            f"the model is of type {kind}, not a GPT of gptlib: give weights, AttentionView(weights, tokens)"
        )
    if text is None or not isinstance(tokenizer, Tokenizer):
        missing = "text" if text is None else "tokenizer of gptlib"
        raise ValueError(f"a model was given without a {missing}: AttentionView(model, text, tokenizer)")
    check_same_tokens(model, tokenizer)


def row_of(values: Any, name: str) -> list[Any]:
    """A list, an array or a tensor as a list; ValueError for what is no row of anything."""
    try:
        return list(values.tolist() if hasattr(values, "tolist") else values)
    except TypeError:
        raise ValueError(f"{name} is {values!r}, which is no list: give a list") from None


def shown_tokens(tokens: Iterable[Any], size: int, name: str) -> list[str]:
    """The tokens as text in which everything can be seen; ValueError unless there are `size` of them."""
    if isinstance(tokens, str | bytes):
        raise ValueError(f"{name} is one {type(tokens).__name__}, {tokens!r}: give a list with one text for each token")
    given = row_of(tokens, name)
    shown = [plain(t if isinstance(t, bytes) else str(t).encode("utf-8", "backslashreplace")) for t in given]
    if len(shown) != size:
        raise ValueError(f"{name} holds {len(shown)} tokens, but the weights are for {size}: give one for each")
    return shown


# ---- what is wrong with them


def faults(maps: Maps, causal: bool, tokens: list[str], key_tokens: list[str]) -> list[tuple[str, list[int]]]:
    """What attention weights should not do, as sentences, each with the (layer, head, query, key) to look at."""
    weights = maps.weights
    T, S = weights.shape[-2:]
    found: list[tuple[str, list[int]]] = []
    sums = weights.sum(-1, dtype=torch.float64)  # (L, H, T)
    empty = sums == 0
    off = (sums - 1).abs().masked_fill(empty, 0.0)
    wrong = off > (1e-3 if maps.exact else 1e-2)
    if wrong.any():
        spot = place_of(off)
        rows = count(int(wrong.sum()), "row")
        far = f"the furthest sums to {sums[tuple(spot)]:.3f}: {query_at(spot, tokens)}"
        found.append((f"{rows} of weights do not sum to 1; {far}", [*spot, -1]))
    if empty.any():
        spot = place_of(empty)
        rows = count(int(empty.sum()), "row")
        found.append(
            (f"{rows} of weights are all zeros, a query that sees nothing: {query_at(spot, tokens)}", [*spot, -1])
        )
    later = weights.triu(S - T + 1) if causal else weights[..., :0]
    if causal and later.max() > SEEN:
        spot = place_of(later)
        places = count(int((later > SEEN).sum()), "place")
        most = f"{query_at(spot, tokens)} looks at key {spot[3]} ({key_tokens[spot[3]]})"
        found.append((f"a later token is visible in {places}; {most} with weight {later[tuple(spot)]:.3f}", spot))
    if maps.q is not None and maps.k is not None:
        away = (weights_of(maps.q, maps.k, weights > 0) - weights).abs()
        if away.max() > 0.02:
            spot = place_of(away)
            far = f"they are {away.max():.3f} apart at {query_at(spot, tokens)}, key {spot[3]}"
            found.append((f"q and k do not give these weights; {far}", spot))
    return found


def query_at(spot: list[int], tokens: list[str]) -> str:
    return f"layer {spot[0]}, head {spot[1]}, query {spot[2]} ({tokens[spot[2]]})"


def weights_of(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Softmax of the scores where the mask is true, (L, H, T, S), and 0 elsewhere."""
    scores = q @ k.mT / q.size(-1) ** 0.5
    return scores.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num(0.0)


def place_of(values: Tensor) -> list[int]:
    """Where the largest value stands, the first of them."""
    return [int(i) for i in np.unravel_index(int(values.flatten().to(torch.float64).argmax()), values.shape)]


# ---- the widget


class AttentionView(View):
    """Attention to look into, as "lines", "heat", "grid" (all heads) and "neuron" (q and k) (lesson 10_attention_maps).

    `AttentionView(model, text, tokenizer)` runs a GPT, its `source`, on a text, or on ids, and goes on to do so while
    you type. `AttentionView(weights, tokens, key_tokens)` shows weights that you have: (T, T), (H, T, T), (L, H, T, T),
    a list with one tensor for each layer, each of them also as a batch of one, cross attention with as many
    `key_tokens` as columns, or what `record(model)` gave; a tokenizer in place of `key_tokens` takes ids or text as
    `tokens`. With `q` and `k`, of the same form, the neuron mode works. A view shows one text. So the first of four
    dimensions is taken for layers, and in (1, N, H, T, T) and (N, 1, H, T, T) the N is: give several texts one by one.

    `layer`, `head` (-1 is the mean), `heads` (those switched on), `hover` and `key` (-1 is none), `mode`, `scale` and
    `text` can be set and read, and follow the browser. `warnings` says what is wrong with the weights; by default a
    square map is taken for one in which no token may see a later one, and `causal` decides it. `dtype="f32"` sends the
    weights as they are; "u8" rounds them to 1/255, tiny ones up, so that they are seen and 0 is only what is masked.
    Weights above 1, which softmax does not give, are always sent as they are. What cannot be shown is a ValueError.
    """

    _name = "attention"

    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    key_tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    causal = traitlets.Bool().tag(sync=True)  # whether a key behind the query is masked, or should be
    dtype = traitlets.Enum(("u8", "f32"), "u8").tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    head_size = traitlets.Int(0).tag(sync=True)  # 0 where q and k are not known
    vectors = traitlets.Bytes().tag(sync=True)  # q, then k, as float32; empty until the neuron mode is opened
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(-1).tag(sync=True)
    heads = traitlets.List(traitlets.Int()).tag(sync=True)
    hover = traitlets.Int(-1).tag(sync=True)
    key = traitlets.Int(-1).tag(sync=True)
    mode = traitlets.Enum(MODES, "lines").tag(sync=True)
    scale = traitlets.Enum(SCALES, "fixed").tag(sync=True)
    colors = traitlets.List(traitlets.Unicode(), list(COLORS)).tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)  # true if made from a model, which can read another text
    text = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    warnings = traitlets.List(traitlets.Unicode()).tag(sync=True)
    places = traitlets.List().tag(sync=True)  # for each warning (layer, head, query, key), or nothing

    def __init__(
        self,
        source: Any,
        tokens: Any = None,
        key_tokens: Any = None,
        *,
        q: Any = None,
        k: Any = None,
        text: Any = None,
        tokenizer: Tokenizer | None = None,
        causal: bool | None = None,
        allowed_special: Allowed = "none",
        layer: int = 0,
        head: int | None = None,
        heads: Any = None,
        hover: int = -1,
        key: int = -1,
        mode: str = "lines",
        scale: str = "fixed",
        dtype: str = "u8",
    ) -> None:
        if isinstance(key_tokens, Tokenizer):
            key_tokens, tokenizer = None, key_tokens
        self._model, self._tokenizer, self._allowed = source, tokenizer, allowed_special
        self._causal, self._typed = causal, False
        state = self._first(tokens if text is None else text, key_tokens, q, k)
        H = state["shape"][1]
        shown = {"layer": layer, "head": (0 if H == 1 else -1) if head is None else head, "hover": hover, "key": key}
        shown |= {"heads": row_of(range(H) if heads is None else heads, "heads"), "mode": mode, "scale": scale}
        super().__init__(**state, **shown, dtype=dtype, weights=self._packed(dtype))
        self.observe(self._follow_text, "text")
        self.observe(self._show_heads, "heads")
        self.observe(self._pack_again, "dtype")

    # ---- what is shown

    def _first(self, given: Any, key_tokens: Any, q: Any, k: Any) -> dict[str, Any]:
        """The state that the view begins with, from a model that reads what is given, or from weights."""
        source, tokenizer = self._model, self._tokenizer
        if not isinstance(source, nn.Module):
            if tokenizer is not None and given is not None:
                given = [tokenizer.decode_bytes([i]) for i in to_ids(tokenizer, given, self._allowed)]
            return self._state(read_maps(source, q, k), given, key_tokens)
        check_model(source, given, tokenizer)
        if key_tokens is not None or q is not None or k is not None:
            raise ValueError("key_tokens, q or k were given with a model, which makes them itself: leave them out")
        ids = self._ids(given)
        return self._read(ids) | {"live": True, "text": given if isinstance(given, str) else tokenizer.decode(ids)}

    def _ids(self, text: Any) -> list[int]:
        """The ids of a text; ValueError if there are none."""
        ids = to_ids(self._tokenizer, text, self._allowed)
        if not ids:
            raise ValueError("the text is empty: give at least one token")
        return ids

    def _read(self, ids: Sequence[int]) -> dict[str, Any]:
        """The state for these ids, cut to the context."""
        context = self._model.config.block_size
        maps = read_model(self._model, ids[:context])
        state = self._state(maps, [self._tokenizer.decode_bytes([i]) for i in ids[:context]], None)
        if len(ids) > context:
            state["warnings"].insert(0, f"the text has {len(ids)} tokens, the context {context}: the rest is cut off")
            state["places"].insert(0, [])
        return state

    def _state(self, maps: Maps, tokens: Any, key_tokens: Any) -> dict[str, Any]:
        """The traits that say what is shown, without the weights themselves; these are kept."""
        L, H, T, S = maps.weights.shape
        crossed = key_tokens is not None
        names = shown_tokens(range(T) if tokens is None else tokens, T, "tokens")
        if crossed:
            key_names = shown_tokens(key_tokens, S, "key_tokens")
        elif T == S:
            key_names = names
        elif tokens is not None:
            raise ValueError(f"weights have {T} rows and {S} columns: give key_tokens, one for each of the {S} columns")
        else:
            key_names = shown_tokens(range(S), S, "key_tokens")
        causal = not crossed and T == S if self._causal is None else self._causal
        if causal and T > S:
            raise ValueError(f"causal is True, but {T} queries need as many keys, and there are {S}: give causal=False")
        self._maps, self._names = maps, (names, key_names)
        found = faults(maps, causal, names, key_names)
        return {
            "tokens": names,
            "key_tokens": key_names if crossed or T != S else [],
            "shape": [L, H, T, S],
            "causal": causal,
            "head_size": 0 if maps.q is None else maps.q.size(-1),
            "warnings": [sentence for sentence, _ in found],
            "places": [place for _, place in found],
        }

    def _packed(self, dtype: str) -> bytes:
        """The weights as bytes."""
        weights = self._maps.weights
        if self._fit(dtype) == "u8":
            steps = (weights * 255).round().clamp(max=255)
            weights = steps.where((steps > 0) | (weights <= SEEN), 1).to(torch.uint8)
        return weights.contiguous().numpy().tobytes()

    def _fit(self, dtype: str) -> str:
        """What these weights can be sent as."""
        return "f32" if self._maps.weights.max() > LARGE else dtype

    def _packed_vectors(self) -> bytes:
        """q, then k, as bytes; nothing where they are not known."""
        known = [part for part in (self._maps.q, self._maps.k) if part is not None]
        return b"".join(part.contiguous().numpy().tobytes() for part in known)

    def page_state(self) -> dict[str, Any]:
        """The traits that a page alone begins with, q and k among them."""
        return super().page_state() | {"vectors": self._packed_vectors()}

    # ---- what follows what

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """What the browser says, `sync_data`, taken over by name. A token may be gone by now, or a text half typed."""
        gone = {
            name: -1
            for name, size in zip(("hover", "key"), self.shape[2:], strict=True)
            if sync_data.get(name, -1) >= size
        }
        self._typed = True
        try:
            super().set_state(sync_data | gone)
        finally:
            self._typed = False

    def _follow_text(self, change: Any) -> None:
        if not self.live:
            return
        try:
            state = self._read(self._ids(change.new))
        except ValueError as error:
            self.error = str(error)
            return
        T = state["shape"][2]
        state |= {"hover": self.hover if self.hover < T else -1, "key": self.key if self.key < T else -1, "error": ""}
        state["vectors"] = self._packed_vectors() if self.mode == "neuron" else b""
        state["weights"] = self._packed(self.dtype)  # last, when all that tells how to read them is there
        with self.hold_sync():
            for name, value in state.items():
                self.set_trait(name, value)

    def _show_heads(self, change: Any) -> None:
        self.head = -1

    def _pack_again(self, change: Any) -> None:
        self.weights = self._packed(change.new)

    @traitlets.observe("mode")
    def _open_neuron(self, change: Any) -> None:
        if change.new == "neuron":
            self.vectors = self._packed_vectors()

    # ---- what may be set

    def _within(self, proposal: Any, start: int, size: int, meaning: str) -> int:
        if not start <= proposal.value < size:
            raise Refused(
                f"{proposal.trait.name} is {proposal.value}: give {meaning}{start if start >= 0 else 0} to {size - 1}"
            )
        return proposal.value

    @traitlets.validate("layer")
    def _is_layer(self, proposal: Any) -> int:
        return self._within(proposal, 0, self.shape[0], "")

    @traitlets.validate("head")
    def _is_head(self, proposal: Any) -> int:
        return self._within(proposal, -1, self.shape[1], "-1 for the mean, or a head from ")

    @traitlets.validate("hover")
    def _is_query(self, proposal: Any) -> int:
        return self._within(proposal, -1, self.shape[2], "-1 for none, or a token from ")

    @traitlets.validate("key")
    def _is_key(self, proposal: Any) -> int:
        return self._within(proposal, -1, self.shape[3], "-1 for none, or a token from ")

    @traitlets.validate("heads")
    def _are_heads(self, proposal: Any) -> list[int]:
        given, H = proposal.value, self.shape[1]
        if len(given) == H and all(isinstance(on, bool) for on in given):
            given = [head for head, on in enumerate(given) if on]
        if not given or not set(given) <= set(range(H)):
            raise Refused(
                f"heads is {proposal.value}: give one or more of the heads 0 to {H - 1}, or {H} times True or False"
            )
        return sorted(set(given))

    @traitlets.validate("mode")
    def _is_possible(self, proposal: Any) -> str:
        if proposal.value == "neuron" and not self.head_size:
            raise Refused("mode is 'neuron', but q and k are not known: give them, or the model")
        return proposal.value

    @traitlets.validate("text")
    def _can_be_read(self, proposal: Any) -> str:
        if not self.live and proposal.value:
            raise Refused("text was set, but there is no model to read it: make the view from a model")
        if self.live and not self._typed:
            try:
                self._ids(proposal.value)
            except ValueError as error:
                raise Refused(str(error)) from None
        return proposal.value

    @traitlets.validate("dtype")
    def _is_wide_enough(self, proposal: Any) -> str:
        return self._fit(proposal.value)

    def range_of(self, name: str) -> Any:
        L, H, T, S = self.shape
        modes = MODES if self.head_size else MODES[:-1]
        return {"layer": L, "head": H, "heads": H, "hover": T, "key": S, "mode": modes, "scale": SCALES}.get(name)

    # ---- the picture

    def __repr__(self) -> str:
        L, H, T, S = self.shape
        tokens = f"{T} tokens" if T == S and not self.key_tokens else f"{T} x {S} tokens"
        return f"AttentionView({count(L, 'layer')}, {count(H, 'head')}, {tokens if T > 1 else tokens[:-1]})"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture, in inches."""
        L, H, T, S = self.shape
        if self.mode == "lines":
            return 5.5, min(max(1.5, 0.18 * max(T, S) + 0.3), 9.0)
        if self.mode == "grid":
            return min(max(3.0, 1.1 * H + 0.6), 13.0), min(max(1.6, 1.1 * L + 0.3), 13.0)
        if self.mode == "neuron":
            rows = self.hover + 1 if self.hover >= 0 else S
            return 8.0, min(max(2.0, 0.18 * rows + 0.8), 12.0)
        side = min(max(2.0, 0.18 * S), 8.0)
        return side + 2.0, min(side * T / S, 10.0) + 1.0

    def draw(self, figure: "Figure | SubFigure") -> None:
        {"lines": self._lines, "heat": self._heat, "grid": self._grid, "neuron": self._neuron}[self.mode](figure)

    def _title(self) -> str:
        on = "all heads" if len(self.heads) == self.shape[1] else f"heads {', '.join(map(str, self.heads))}"
        return f"layer {self.layer}, {f'head {self.head}' if self.head >= 0 else on}"

    def _on(self) -> list[int]:
        return self.heads if self.head < 0 else [self.head]

    def _heat(self, figure: "Figure | SubFigure") -> None:
        names, key_names = self._names
        axes = figure.subplots()
        values = scaled(self._maps.weights[self.layer, self._on()].mean(0), self.scale)
        image = axes.imshow(values.numpy(), cmap=color_map(BLUES, "white"), vmin=1e-9, vmax=1, interpolation="nearest")
        label(axes.xaxis, key_names, rotation=90)
        label(axes.yaxis, names)
        axes.xaxis.tick_top()
        axes.set_xlabel(f"{self._title()}: each row looks at these columns")
        if self.hover >= 0:
            axes.axhspan(self.hover - 0.5, self.hover + 0.5, fill=False, edgecolor=GLOW)
        figure.colorbar(image, ax=axes, shrink=0.5, ticks=[1e-9, 0.5, 1], format="%.1f")

    def _grid(self, figure: "Figure | SubFigure") -> None:
        L, H, T, S = self.shape
        rows, columns = min(T, 64), min(S, 64)  # of one small map, with the largest of the weights that share a pixel
        small = adaptive_max_pool2d(scaled(self._maps.weights, self.scale), (rows, columns))
        padded = pad(small, (1, 1, 1, 1), value=torch.nan)  # (L, H, rows + 2, columns + 2)
        image = padded.transpose(1, 2).reshape(L * (rows + 2), H * (columns + 2)).numpy()
        axes = figure.subplots()
        colors = color_map(BLUES, "white", edge="gray")
        axes.imshow(image, cmap=colors, vmin=1e-9, vmax=1, interpolation="nearest", aspect="auto")
        axes.set_xticks([(head + 0.5) * (columns + 2) for head in range(H)], [f"head {head}" for head in range(H)])
        axes.set_yticks([(layer + 0.5) * (rows + 2) for layer in range(L)], [f"layer {layer}" for layer in range(L)])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)

    def _lines(self, figure: "Figure | SubFigure") -> None:
        from matplotlib.collections import LineCollection

        names, key_names = self._names
        axes = figure.subplots()
        x = torch.linspace(0, 1, 24)
        rise = x * x * (3 - 2 * x)  # from 0 to 1, level at both ends
        values = scaled(self._maps.weights[self.layer, self._on()], self.scale)  # (heads, T, S)
        least = max(values.flatten().topk(min(MOST_LINES, values.numel())).values[-1].item(), FAINT)
        for head, drawn in zip(self._on(), values, strict=True):
            starts, ends = torch.nonzero(drawn >= least, as_tuple=True)
            if len(starts) == 0:  # matplotlib takes no empty collection with a strength for each line
                continue
            y = starts[:, None] + (ends - starts)[:, None] * rise  # (lines, 24)
            strength = 0.08 + 0.92 * drawn[starts, ends].clamp(max=1)
            if self.hover >= 0:
                strength = torch.where(starts == self.hover, strength, 0.15 * strength)
            lines = torch.stack([x.expand_as(y), y], -1)
            axes.add_collection(
                LineCollection(lines.numpy(), colors=COLORS[head % len(COLORS)], alpha=strength.numpy())
            )
        held = [self.hover] if self.hover >= 0 else []
        seen = [key for t in held for key in values[:, t].amax(0).topk(min(3, len(key_names))).indices.tolist()]
        label(axes.yaxis, names, always=held)
        right = axes.twinx()
        label(right.yaxis, key_names, always=seen)
        for side in (axes, right):
            side.set(xlim=(0, 1), ylim=(max(len(names), len(key_names)) - 0.5, -0.5), xticks=[], frame_on=False)
            side.tick_params(length=0)
        why = "left looks at right" if axes.collections else f"all weaker than {FAINT}, try scale='row'"
        axes.set_title(f"{self._title()}: {why}", fontsize=9)

    def _neuron(self, figure: "Figure | SubFigure") -> None:
        names, key_names = self._names
        head, t = self._on()[0], self.hover if self.hover >= 0 else len(names) - 1
        weights = self._maps.weights[self.layer, head, t]
        own = t + weights.numel() - len(names) if self.causal else weights.numel() - 1  # the last key it may see
        seen = max([own, *torch.nonzero(weights).flatten().tolist()]) + 1
        q, k = self._maps.q[self.layer, head, t], self._maps.k[self.layer, head, :seen]
        product = q * k
        parts = figure.subplots(1, 4, sharey=True, width_ratios=[3, 3, 1, 1])
        for axes, values, title in ((parts[0], k, "k"), (parts[1], product, "q times k")):
            top = values.abs().max().item() or 1.0
            axes.imshow(
                values.numpy(), cmap=color_map(SIGNED), vmin=-top, vmax=top, aspect="auto", interpolation="nearest"
            )
            axes.set(xticks=[])
            axes.set_title(title, fontsize=9)
        scores = product.sum(-1) / len(q) ** 0.5
        for axes, values, title in ((parts[2], scores, "score"), (parts[3], weights[:seen], "softmax")):
            axes.barh(range(len(values)), values.numpy(), color=COLORS[0])
            axes.set_title(title, fontsize=9)
        label(parts[0].yaxis, key_names[:seen])
        figure.suptitle(f"layer {self.layer}, head {head}: what {names[t]} (token {t}) asks of each key", fontsize=9)


def scaled(values: Tensor, scale: str) -> Tensor:
    """The weights, or each as a share of the largest in its row."""
    return values if scale == "fixed" else values / values.amax(-1, keepdim=True).clamp(min=1e-9)


def color_map(stops: Sequence[str], nothing: str | None = None, edge: str | None = None) -> Any:
    """Colors from the first to the last; `nothing` is for what is below, `edge` for what is not a number."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("gptlib", stops).with_extremes(under=nothing, bad=edge)


def label(axis: Any, names: list[str], rotation: float = 0, always: Sequence[int] = ()) -> None:
    """Tokens along an axis, only every n-th where all would not be readable, but `always` these."""
    step = -(-len(names) // 64)
    free = [i for i in range(0, len(names), step) if all(abs(i - place) >= step for place in always)]
    places = sorted({*free, *always})
    shown = [plain_text(names[i]) for i in places]
    axis.set_ticks(places, shown, rotation=rotation, fontsize=7)
