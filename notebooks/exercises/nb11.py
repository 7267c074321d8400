"""The exercises of 11_pretrained: other names, other sides, what sizes do not say, and comparable measures."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from exercises import Exercise, Wrong


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(rng))


# ---- 11.1 their names

words = {"token_embedding": "wte", "position_embedding": "wpe", "blocks": "h", "norm": "ln_f", "head": "lm_head"}
words |= {"norm1": "ln_1", "norm2": "ln_2", "attention": "attn", "qkv": "c_attn", "out": "c_proj"}
words |= {"up": "c_fc", "down": "c_proj"}


def hf_name(name: str) -> str:
    return ".".join(words.get(part, part) for part in name.split("."))


def shapes(n_layer: int, V: int, T: int, C: int) -> dict[str, tuple[int, ...]]:
    """Our tensors, the head left out."""
    block = {"norm1": (C,), "attention.qkv": (3 * C, C), "attention.out": (C, C)}
    block |= {"norm2": (C,), "mlp.up": (4 * C, C), "mlp.down": (C, 4 * C)}
    named: dict[str, tuple[int, ...]] = {"token_embedding.weight": (V, C), "position_embedding.weight": (T, C)}
    for i in range(n_layer):
        for part, shape in block.items():
            named |= {f"blocks.{i}.{part}.weight": shape, f"blocks.{i}.{part}.bias": shape[:1]}
    return named | {"norm.weight": (C,), "norm.bias": (C,)}


def names(n_layer: int) -> list[str]:
    return list(shapes(n_layer, 1, 1, 1))


def name_inputs(rng: random.Random) -> tuple[str]:
    """Of a table, of a norm, of a map in a block with one digit or two, or of the end."""
    tables, ends = ["token_embedding.weight", "position_embedding.weight"], ["norm.weight", "norm.bias", "head.weight"]
    norms = [name for name in names(12) if ".norm" in name]
    maps = [name for name in names(12) if name.startswith("blocks") and name not in norms]
    return (rng.choice(rng.choice([tables, tables, norms, norms, maps, ends])),)


def replaced(name: str) -> str:
    for ours, theirs in words.items():
        name = name.replace(ours, theirs)
    return name


def only_words(name: str) -> str:
    return ".".join(words[part] for part in name.split(".") if part in words)


def first_part(name: str) -> str:
    first, _, rest = name.partition(".")
    return f"{words[first]}.{rest}"


NAMES = Exercise(
    hf_name,
    "each part between two dots has its word, and what has none stays as it is",
    name_inputs,
    text="From our name of a tensor to theirs, part by part, without the 'transformer.' in front.",
    wrong=(
        Wrong(
            "one word is the beginning of another: replacing text makes `ln_f1` of `norm1`; cut at the dots first",
            replaced,
        ),
        Wrong(
            "the two tables are swapped; in `wte` and `wpe` the letter in the middle says of what",
            lambda name: hf_name(name).replace("wte", "w?e").replace("wpe", "wte").replace("w?e", "wpe"),
        ),
        Wrong(
            "the answer has `transformer.` in front; here it should be left out",
            lambda name: f"transformer.{hf_name(name)}",
        ),
        Wrong(
            "some parts have no word of their own, as `weight`, `mlp` or a number; what should become of them?",
            lambda name: ".".join(words[part] for part in name.split(".")),
        ),
        Wrong(
            "a part without a word of its own became None, and cannot be joined",
            lambda name: ".".join(words.get(part) for part in name.split(".")),
        ),
        Wrong("the name was looked up as a whole; only its parts have words", lambda name: words.get(name, name)),
        Wrong("parts without a word of their own are lost; `mlp`, numbers, `weight` and `bias` are needed", only_words),
        Wrong("only the first part was translated; the others have words too", first_part),
        Wrong(
            "the parts are right, and the dots between them are gone",
            lambda name: "".join(words.get(part, part) for part in name.split(".")),
        ),
        Wrong("the parts are right, and still a list: their names are texts", lambda name: hf_name(name).split(".")),
    ),
    hints=(
        "A name is a row of parts with dots between them. What has to happen to a single part?",
        "`name.split('.')` gives the parts. Some of them are in `words`, and the others stay.",
        "`words.get` takes a second argument, the answer where there is no word. `'.'.join` puts all together again.",
    ),
    why="Cut at the dots, whole parts are compared: `norm` cannot be mistaken for the beginning of `norm1`.",
)


# ---- 11.2 every tensor in its place


def our_state(theirs: Mapping[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    state = {}
    for ours in names(n_layer):
        name = hf_name(ours)
        tensor = theirs[name] if name in theirs else theirs[f"transformer.{name}"]
        state[ours] = tensor.T if ".c_" in name and name.endswith("weight") else tensor
    return state


def state_inputs(rng: random.Random) -> tuple[dict[str, Tensor], int]:
    """A file in some order, with or without the prefix; numbers as they come, so that a square map shows its side."""
    n_layer, C, prefix = rng.randint(1, 2), rng.randint(2, 4), rng.choice(["", "transformer."])
    theirs = {}
    for ours, shape in shapes(n_layer, rng.randint(5, 9), rng.randint(5, 9), C).items():
        name = hf_name(ours)
        turned = ".c_" in name and name.endswith("weight")
        theirs[prefix + name] = normal(rng, *(shape[::-1] if turned else shape))
    order = list(theirs)
    rng.shuffle(order)
    return {name: theirs[name] for name in order}, n_layer


def state_by(
    turn: Callable[[str, Tensor], bool], how: Callable[[Tensor], Tensor] = lambda tensor: tensor.T
) -> Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]:
    """Those turned for which `turn(their name, tensor)` is true."""

    def variant(theirs: Mapping[str, Tensor], n_layer: int) -> dict[str, Tensor]:
        plain = {name.removeprefix("transformer."): tensor for name, tensor in theirs.items()}
        found = {ours: (hf_name(ours), plain[hf_name(ours)]) for ours in names(n_layer)}
        return {ours: how(tensor) if turn(name, tensor) else tensor for ours, (name, tensor) in found.items()}

    return variant


def a_map(name: str, tensor: Tensor) -> bool:
    return ".c_" in name and tensor.dim() == 2


def with_prefix(prefix: str) -> Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]:
    def variant(theirs: Mapping[str, Tensor], n_layer: int) -> dict[str, Tensor]:
        found = {ours: (hf_name(ours), theirs[prefix + hf_name(ours)]) for ours in names(n_layer)}
        return {ours: tensor.T if a_map(name, tensor) else tensor for ours, (name, tensor) in found.items()}

    return variant


def tables_swapped(theirs: Mapping[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    state, pair = our_state(theirs, n_layer), ("token_embedding.weight", "position_embedding.weight")
    return state | {pair[0]: state[pair[1]], pair[1]: state[pair[0]]}


def with_head(theirs: Mapping[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    state = our_state(theirs, n_layer)
    return state | {"head.weight": state["token_embedding.weight"]}


def with_all_names(theirs: Mapping[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    return {hf_name(ours): tensor for ours, tensor in our_state(theirs, n_layer).items()}


STATE = Exercise(
    our_state,
    "every tensor in its place, and every linear map turned, the square ones too",
    state_inputs,
    text="From a file with their names to a dict with ours; `transformer.` may stand in front of every name, or not.",
    wrong=(
        Wrong("nothing is turned: their linear maps are kept as (in, out)", state_by(lambda name, tensor: False)),
        Wrong(
            "a square map was not turned: its shape fits either way and says nothing; what kind of map is it?",
            state_by(lambda name, tensor: a_map(name, tensor) and tensor.size(0) != tensor.size(1)),
        ),
        Wrong(
            "the tables were turned too; they are no linear maps, and a row of theirs is a row of ours",
            state_by(lambda name, tensor: tensor.dim() == 2),
        ),
        Wrong(
            "only the maps of the attention were turned; which others begin with `c_`?",
            state_by(lambda name, tensor: ".attn.c_" in name and tensor.dim() == 2),
        ),
        Wrong(
            "only `c_attn` was turned; which others begin with `c_`?",
            state_by(lambda name, tensor: ".c_attn" in name and tensor.dim() == 2),
        ),
        Wrong(
            "only the maps of the MLP were turned; which others begin with `c_`?",
            state_by(lambda name, tensor: ".mlp.c_" in name and tensor.dim() == 2),
        ),
        Wrong(
            "the numbers were poured into the other shape in the order of the file; compare a column with a row",
            state_by(a_map, lambda tensor: tensor.reshape(tensor.shape[::-1])),
        ),
        Wrong("it wants `transformer.` in front of every name; some files are without", with_prefix("transformer.")),
        Wrong("it does not find names that begin with `transformer.`; some files have it", with_prefix("")),
        Wrong(
            "the tensors were taken in the order of the file, and that order means nothing",
            lambda theirs, n_layer: dict(zip(names(n_layer), theirs.values(), strict=True)),
        ),
        Wrong("the tables of tokens and of places are swapped", tables_swapped),
        Wrong("the head is given as well; it is the table of tokens and left out here", with_head),
        Wrong("the tensors are right, and have kept their names", with_all_names),
    ),
    hints=(
        "Go through our names, and for each ask for the tensor of theirs. Which two spellings may it have?",
        "Whether a tensor is turned depends on its name and never on its shape.",
        "All that GPT-2 calls `c_something` is a Conv1D: turn its weight with `.T`, and leave its bias.",
    ),
    why="A name says what kind of map it is. A shape does not: the square one would slip through.",
)


# ---- 11.3 what no shape tells


def settings(described: Mapping[str, Any]) -> tuple[int, str, float]:
    heads = described.get("n_head", described.get("num_attention_heads", 12))
    gelu = "erf" if described.get("activation_function", "gelu_new") in ("gelu", "gelu_python") else "tanh"
    return heads, gelu, described.get("layer_norm_epsilon", 1e-5)


def settings_inputs(rng: random.Random) -> tuple[dict[str, Any]]:
    """What a file says, under either name, and often less than all."""
    n_head = rng.choice([2, 4, 8])
    described: dict[str, Any] = {"model_type": "gpt2", "n_embd": n_head * rng.choice([16, 32, 64]), "n_layer": 3}
    if rng.random() < 0.65:
        described[rng.choice(["n_head", "num_attention_heads"])] = n_head
    if rng.random() < 0.7:
        described["activation_function"] = rng.choice(["gelu", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"])
    if rng.random() < 0.7:
        described["layer_norm_epsilon"] = rng.choice([1e-5, 1e-6, 1e-3])
    return (described,)


def from_settings(
    change: Callable[[Mapping[str, Any], int, str, float], tuple],
) -> Callable[[Mapping[str, Any]], tuple]:
    return lambda described: change(described, *settings(described))


def use_settings(attempt: Callable[[Mapping[str, Any]], tuple], described: Mapping[str, Any]) -> dict[str, object]:
    """An epsilon is compared by its size: two small ones are no less different than two large ones."""
    heads, gelu, eps = attempt(described)
    return {"heads": heads, "gelu": gelu, "power of ten of epsilon": math.log10(eps)}


SETTINGS = Exercise(
    settings,
    "what the file says, under either name, and what GPT-2 has where it says nothing",
    settings_inputs,
    text="From a config.json as a dict: the number of heads, the kind of GELU and the norm's epsilon, as a tuple.",
    use=use_settings,
    wrong=(
        Wrong(
            "`gelu` alone is the exact one; an approximation has a longer name",
            from_settings(lambda described, heads, gelu, eps: (heads, "tanh", eps)),
        ),
        Wrong(
            "every GELU was taken for the exact one; `gelu_new`, GPT-2's own, is an approximation",
            from_settings(lambda described, heads, gelu, eps: (heads, "erf", eps)),
        ),
        Wrong(
            "only `gelu_new` was taken for the approximation; two longer names mean it too",
            lambda described: (
                settings(described)[0],
                "tanh" if described.get("activation_function", "gelu_new") == "gelu_new" else "erf",
                settings(described)[2],
            ),
        ),
        Wrong(
            "a file without an activation means GPT-2's own, and not the default of our model",
            from_settings(
                lambda described, heads, gelu, eps: (heads, gelu if "activation_function" in described else "erf", eps)
            ),
        ),
        Wrong(
            "the epsilon of the file was not read; it shows in no shape and in hardly any text",
            from_settings(lambda described, heads, gelu, eps: (heads, gelu, 1e-5)),
        ),
        Wrong(
            "the file's own word for the GELU was handed on; ours has two kinds, 'tanh' and 'erf'",
            from_settings(
                lambda described, heads, gelu, eps: (heads, described.get("activation_function", "gelu_new"), eps)
            ),
        ),
        Wrong(
            "an epsilon of which the file says nothing is that of GPT-2, and no smaller one",
            from_settings(lambda described, heads, gelu, eps: (heads, gelu, described.get("layer_norm_epsilon", 1e-6))),
        ),
        Wrong(
            "without a number of heads in the file it gives None; GPT-2's own is meant then",
            from_settings(
                lambda described, heads, gelu, eps: (
                    described.get("n_head", described.get("num_attention_heads")),
                    gelu,
                    eps,
                )
            ),
        ),
        Wrong(
            "the heads were worked out from the width, with 64 channels each; that is a habit, and no rule",
            from_settings(lambda described, heads, gelu, eps: (max(1, described["n_embd"] // 64), gelu, eps)),
        ),
        Wrong(
            "the other name of the number of heads is not read, so such a file gets the default",
            from_settings(lambda described, heads, gelu, eps: (described.get("n_head", 12), gelu, eps)),
        ),
        Wrong(
            "what a file leaves out raises KeyError; GPT-2's own value is meant then",
            lambda described: (
                described["n_head"] if "n_head" in described else described["num_attention_heads"],
                "erf" if described["activation_function"] == "gelu" else "tanh",
                described["layer_norm_epsilon"],
            ),
        ),
    ),
    hints=(
        "Three questions to one dict. Which of its entries may be missing, and which may have another name?",
        "`described.get(name, default)` is what the file says, or the default; a default may be a second `.get`.",
        "Only 'gelu' is exact among the names here. Twelve heads, 'gelu_new' and 1e-5 are meant where nothing is said.",
    ),
    why="None of the three shows in a shape, and with a wrong one the model runs, a little worse or much worse.",
)


# ---- 11.6 one table or two


class Tied(nn.Module):
    """As much of a GPT as has a table and a head that are one."""

    def __init__(self, V: int, C: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(V, C)
        self.head = nn.Linear(C, V, bias=False)
        self.head.weight = self.token_embedding.weight

    def forward(self, idx: Tensor) -> Tensor:
        return self.head(torch.tanh(self.token_embedding(idx)))


def put_table(model: torch.nn.Module, table: Tensor) -> torch.nn.Module:
    model.token_embedding.weight = torch.nn.Parameter(table.clone())
    model.head.weight = model.token_embedding.weight
    return model


def broken_put_table(model, table):
    model.token_embedding.weight = torch.nn.Parameter(table.clone())
    model.head.weight = torch.nn.Parameter(table.clone())
    return model


def table_inputs(rng: random.Random) -> tuple[Tensor, Tensor]:
    V, C = rng.randint(5, 8), rng.randint(2, 4)
    return normal(rng, V, C), torch.randint(V, (6,), generator=generator(rng))


def use_table(
    attempt: Callable[[nn.Module, Tensor], nn.Module | None], table: Tensor, idx: Tensor
) -> dict[str, object]:
    """Its logits, how many weights it has, and its logits after a step of training."""
    model = Tied(*table.shape)
    model = attempt(model, table) or model
    before = model(idx)
    weights = [p for p in model.parameters() if p.requires_grad]
    found = {"logits": before.detach().clone(), "weights to learn": sum(p.numel() for p in weights)}
    if weights:
        nn.functional.cross_entropy(before[:-1], idx[1:]).backward()
    with torch.no_grad():
        for p in weights:
            p -= 0.5 * p.grad
    return found | {"logits after a step": model(idx).detach()}


def only_embedding(model: nn.Module, table: Tensor) -> nn.Module:
    model.token_embedding.weight = nn.Parameter(table.clone())
    return model


def only_head(model: nn.Module, table: Tensor) -> nn.Module:
    model.head.weight = nn.Parameter(table.clone())
    return model


def shared_numbers(model: nn.Module, table: Tensor) -> nn.Module:
    model.token_embedding.weight = nn.Parameter(table.clone())
    model.head.weight.data = model.token_embedding.weight.data
    return model


def shared_with_the_file(model: nn.Module, table: Tensor) -> nn.Module:
    model.token_embedding.weight = model.head.weight = nn.Parameter(table)
    return model


def frozen(model: nn.Module, table: Tensor) -> nn.Module:
    model.token_embedding.weight = model.head.weight = nn.Parameter(table.clone(), requires_grad=False)
    return model


def no_parameter(model: nn.Module, table: Tensor) -> nn.Module:
    model.token_embedding.weight = model.head.weight = table.clone()
    return model


TABLE = Exercise(
    put_table,
    "one parameter under two names: the same logits, half the weights, and they stay together in training",
    table_inputs,
    kind="mend",
    text="Loads a table into a model whose head is tied to it. The logits are right. What is wrong? Mend it.",
    given=broken_put_table,
    use=use_table,
    wrong=(
        Wrong(
            "two tables with the same numbers: count the weights, and look where the two are after a step of training",
            broken_put_table,
            mistake=46,
        ),
        Wrong("the head kept the old table: assigning a fresh parameter breaks the tie", only_embedding, 46),
        Wrong(
            "two parameters that share their numbers: each has a gradient of its own, and the table moves twice",
            shared_numbers,
            46,
        ),
        Wrong("the head is new, and the embedding kept the old table: they are two now", only_head, 46),
        Wrong(
            "tied again, and tied to the caller's tensor as well: a step of training changes what was read",
            shared_with_the_file,
        ),
        Wrong("tied again, and frozen: nothing is left that could learn", frozen),
        Wrong("a plain tensor is no weight: the module asks for a parameter", no_parameter),
    ),
    hints=(
        "Print `model.head.weight is model.token_embedding.weight`, before the call and after it.",
        "Each call of `Parameter` makes a weight of its own, which gets a gradient of its own.",
        "Make one parameter only, and let both names stand for it; or fill the one that is there, in place.",
    ),
    why="Equal numbers are not the same number: only one parameter under two names stays equal while it learns.",
)


# ---- 11.8 what a slip costs


COSTLIEST = Exercise(
    "the square maps not turned",
    "each layer then adds noise to the stream, and on the tales it costs more than seven times the bits",
    kind="predict",
    text="One slip is put into a trained model. With which does it need most bits for a new tale?",
    choices=(
        "the other GELU",
        "the last norm forgotten",
        "the positions shifted by one",
        "the square maps not turned",
    ),
    wrong=(
        Wrong(
            "the two forms differ by less than a thousandth anywhere; 11.3 has shown what that does to a logit",
            "the other GELU",
        ),
        Wrong(
            "what the layers have found is still in the stream then, at another size",
            "the last norm forgotten",
        ),
        Wrong(
            "every token then still stands between its neighbours; it costs, and another slip costs more",
            "the positions shifted by one",
        ),
    ),
    hints=(
        "Which of them changes every number that a layer adds to the stream?",
        "A small change in many places may cost less than one that turns an answer into something unrelated.",
        "Three of them keep what attention has found, nearly or with another size. One scrambles it.",
    ),
    why="The map out of the attention puts what was found where the next layer expects it; turned, it goes anywhere.",
)


# ---- 11.9 a measure for any tokens


def measure(nats: Tensor, text: str) -> float:
    return nats.sum().item() / math.log(2) / len(text.encode())


def measure_inputs(rng: random.Random) -> tuple[Tensor, str]:
    """Texts with letters of one to four bytes, and fewer tokens than letters."""
    text = "".join(rng.choice("abc dé한ß🦊") for _ in range(rng.randint(6, 20)))
    return 5 * torch.rand(rng.randint(2, 5), generator=generator(rng)) + 0.1, text


MEASURE = Exercise(
    measure,
    "all bits of a text over all its bytes: neither changes with the way it is cut",
    measure_inputs,
    kind="design",
    text="A measure of a model on a text that does not depend on its tokens, from -ln p of each token, in nats.",
    wrong=(
        Wrong(
            "that is the perplexity: a mean over tokens, and the more bytes a token has the harder it is to guess",
            lambda nats, text: nats.mean().exp().item(),
        ),
        Wrong(
            "those are bits per token, and two models with other tokens count other things",
            lambda nats, text: nats.mean().item() / math.log(2),
        ),
        Wrong(
            "those are nats per byte; how many bits has a nat?",
            lambda nats, text: nats.sum().item() / len(text.encode()),
        ),
        Wrong(
            "it was multiplied by ln 2: a nat is more than a bit, so there must be more bits than nats",
            lambda nats, text: nats.sum().item() * math.log(2) / len(text.encode()),
        ),
        Wrong("those are nats per token: neither bits nor bytes", lambda nats, text: nats.mean().item()),
        Wrong(
            "those are nats per character: neither bits nor bytes",
            lambda nats, text: nats.sum().item() / len(text),
        ),
        Wrong(
            "it is negative; the numbers given are -ln p, and already positive", lambda nats, text: -measure(nats, text)
        ),
        Wrong(
            "those are bits per character; in UTF-8 one of them may take up to four bytes",
            lambda nats, text: nats.sum().item() / math.log(2) / len(text),
        ),
        Wrong(
            "divided twice: a mean over tokens, and then by the bytes",
            lambda nats, text: nats.mean().item() / math.log(2) / len(text.encode()),
        ),
        Wrong(
            "those are the bits of the whole text; a long text costs more of them than a short one",
            lambda nats, text: nats.sum().item() / math.log(2),
        ),
        Wrong(
            "that is two to the power of the measure; a count of bits is asked for, beside the eight of a byte",
            lambda nats, text: 2 ** measure(nats, text),
        ),
    ),
    hints=(
        "What of a text is the same for a model over bytes and for one over pieces of words?",
        "Add up the surprise of all tokens. The sum is -ln p of the whole text, however it is cut.",
        "From nats to bits divide by ln 2, `math.log(2)`. How long the text is, `len(text.encode())` says.",
    ),
    why="The sum over tokens is the surprise at the text, and its bytes are there before any tokenizer is.",
)


# ---- 11.10 the bits of an answer


def answer_bits(logits: Tensor, ids: Tensor, n_prompt: int) -> Tensor:
    log_p = logits.log_softmax(dim=-1)[n_prompt - 1 : -1]
    return -log_p.gather(1, ids[n_prompt:, None]).sum() / math.log(2)


def answer_inputs(rng: random.Random) -> tuple[Tensor, Tensor, int]:
    """A prompt of one token or more, an answer of one or more."""
    V, n_prompt, n_answer = rng.randint(3, 9), rng.choice([1, 2, 4, 6]), rng.randint(1, 5)
    T = n_prompt + n_answer
    return 2 * normal(rng, T, V), torch.randint(V, (T,), generator=generator(rng)), n_prompt


def bits_of(
    rows: Callable[[int, int], Sequence[int]],
    places: Callable[[int, int], Sequence[int]],
    log: Callable[[Tensor], Tensor] = lambda logits: logits.log_softmax(-1),
    total: Callable[[Tensor], Tensor] = lambda nats: nats.sum() / math.log(2),
) -> Callable[[Tensor, Tensor, int], Tensor]:
    """The rows and the ids that are paired, each a function of T and the length of the prompt."""

    def variant(logits: Tensor, ids: Tensor, n_prompt: int) -> Tensor:
        T = len(ids)
        pairs = zip(rows(T, n_prompt), places(T, n_prompt), strict=True)
        nats = [-log(logits)[row, ids[place]] for row, place in pairs]
        return total(torch.stack(nats) if nats else torch.zeros(0))

    return variant


def before(T: int, n: int) -> range:
    return range(n - 1, T - 1)


def answer(T: int, n: int) -> range:
    return range(n, T)


ANSWER = Exercise(
    answer_bits,
    "the row before an id speaks about it, and the prompt does not count",
    answer_inputs,
    text="The bits of surprise at the ids behind the first n_prompt, added up, from the logits (T, V) of all T ids.",
    wrong=(
        Wrong(
            "one row off: row t of the logits was made before id t + 1 was read, and speaks about it",
            bits_of(answer, answer),
            mistake=11,
        ),
        Wrong(
            "the prompt is counted too; it is the same for all answers",
            bits_of(lambda T, n: range(T - 1), lambda T, n: range(1, T)),
        ),
        Wrong(
            "the last id of the prompt is counted too; where does the answer begin?",
            bits_of(lambda T, n: range(max(n - 2, 0), T - 1), lambda T, n: range(max(n - 1, 1), T)),
        ),
        Wrong(
            "the first id of the answer is left out; the last row of the prompt speaks about it",
            bits_of(lambda T, n: range(n, T - 1), lambda T, n: range(n + 1, T)),
        ),
        Wrong("those are nats; how many bits has a nat?", bits_of(before, answer, total=lambda nats: nats.sum())),
        Wrong(
            "it was multiplied by ln 2: a nat is more than a bit, so there must be more bits than nats",
            bits_of(before, answer, total=lambda nats: nats.sum() * math.log(2)),
        ),
        Wrong(
            "a mean over the answer; a sum is asked for, the bits of the whole answer",
            bits_of(before, answer, total=lambda nats: nats.mean() / math.log(2)),
        ),
        Wrong(
            "it is negative: surprise is minus the logarithm",
            bits_of(before, answer, total=lambda nats: -nats.sum() / math.log(2)),
        ),
        Wrong(
            "each row speaks about one id; here every row was asked about every id of the answer",
            lambda logits, ids, n: -logits.log_softmax(-1)[n - 1 : -1][:, ids[n:]].sum() / math.log(2),
        ),
        Wrong(
            "those are the bits of each id; their sum is asked for",
            lambda logits, ids, n: -logits.log_softmax(-1)[range(n - 1, len(ids) - 1), ids[n:]] / math.log(2),
        ),
        Wrong(
            "probabilities were added up, and surprise is about their logarithms",
            bits_of(before, answer, log=lambda logits: logits.softmax(-1)),
        ),
        Wrong(
            "logits are no logarithms of probabilities until a softmax has made them so",
            bits_of(before, answer, log=lambda logits: logits),
        ),
        Wrong(
            "the softmax runs over the places; which sum must be 1, that of a row or of a column?",
            bits_of(before, answer, log=lambda logits: logits.log_softmax(0)),
            23,
        ),
    ),
    hints=(
        "Write ids and rows below one another. Which row was made when the id at place 3 was not yet read?",
        "Row t speaks about id t + 1. So the first id of the answer is judged by the last row of the prompt.",
        "`log_softmax` over the last axis, the rows from n_prompt - 1 on without the last one, and `math.log(2)`.",
    ),
    why="Rows n_prompt - 1 to T - 2 speak about ids n_prompt to T - 1; divided by ln 2, nats are bits.",
)


EXERCISES = {
    "11.1": NAMES,
    "11.2": STATE,
    "11.3": SETTINGS,
    "11.6": TABLE,
    "11.8": COSTLIEST,
    "11.9": MEASURE,
    "11.10": ANSWER,
}
