"""What `help()` says of each public name: a sentence, its lesson, its parameters, units, errors and source.

Public is what the generated modules list in `__all__` and what `gptlib` itself offers, with the methods and properties
that have no underscore. All is read from the source files, so nothing here depends on what is installed. That each name
has an example that runs is asked in `test_examples.py`.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIB = ROOT / "gptlib"
MODULES = [p for p in sorted(LIB.glob("*.py")) if not p.name.startswith("_") and p.name != "cli.py"]
Function = ast.FunctionDef
Definition = ast.FunctionDef | ast.ClassDef

# Parameters that mean the same everywhere: the docstring that explains each of them, for all others.
EXPLAINED = {
    **dict.fromkeys(("n_embd", "n_head", "dropout", "bias", "norm_eps", "gelu"), "model.GPTConfig"),
    **dict.fromkeys(("temperature", "top_k", "top_p"), "sampling.filter_logits"),
    **dict.fromkeys(("stop", "max_new_tokens", "use_cache"), "sampling.generate"),
    **dict.fromkeys(("lr", "muon_lr", "betas", "weight_decay", "momentum", "warmup_steps"), "training.TrainConfig"),
    **dict.fromkeys(("pad_id", "start_id"), "seq2seq.EncoderDecoderConfig"),
    **dict.fromkeys(("batch_size", "block_size"), "data.get_batch"),
    "generator": "sampling.draw",
    "tokenizer": "tokenizer.Tokenizer",
    "allowed_special": "tokenizer.Tokenizer.encode",
    "special_tokens": "tokenizer.BPETokenizer.train",
    "source": "tokenizer.CharTokenizer.train",
    "pattern": "tokenizer.split_chunks",
    "end_id": "seq2seq.EncoderDecoderConfig",
    "vocab_size": "model.GPTConfig",
    "eps": "blocks.layer_norm",
    "processes": "training.train",
}
# A type that says it all: a class of ours, a device, a place on the disk.
TELLING = r"\b((BPE)?Tokenizer|GPT(Config)?|EncoderDecoder(Config)?|TrainConfig|KVCache|Trainer|Path|device)\b"
# What is given back in a unit, and its name in the docstring.
UNITS = {
    "language.cross_entropy": "nats",
    "language.perplexity": "nats",
    "language.bits_per_byte": "bits",
    "language.NGramModel.loss": "nats",
    "autograd.cross_entropy": "nats",
    "autograd.TinyGPT.__call__": "nats",
    "model.GPT": "nats",
    "model.flops_per_token": "operations",
    "training.evaluate": "nats",
    "training.train": "nats",
    "training.Trainer.loss": "nats",
    "seq2seq.fit": "nats",
    "seq2seq.smoothed_cross_entropy": "nats",
    "seq2seq.beam_search": "nats",
    "sampling.surprise": "bits",
    "viz.SamplerView.bits": "log2",
    "viz.LossView": "nats",
    "gptlib.n_best": "nats",
}
# What comes from a paper: who wrote it, and the year.
SOURCES = {
    "tokenizer.split_chunks": "Radford et al. 2019",
    "tokenizer.train_merges": "Sennrich, Haddow and Birch 2016",
    "tokenizer.encode_word": "Sennrich et al. 2016",
    "tokenizer.BPETokenizer": "Sennrich et al. 2016",
    "language.NGramModel": "Ney, Essen and Kneser 1994",
    "autograd.backward": "Rumelhart et al. 1986",
    "autograd.layer_norm": "Ba et al. 2016",
    "autograd.gelu": "Hendrycks and Gimpel 2016",
    "autograd.attention": "Vaswani et al. 2017",
    "attention.attention_weights": "Vaswani et al. 2017",
    "attention.scaled_dot_product_attention": "Vaswani et al. 2017",
    "attention.MultiHeadAttention": "Vaswani et al. 2017",
    "blocks.layer_norm": "Ba, Kiros and Hinton 2016",
    "blocks.LayerNorm": "Ba, Kiros and Hinton 2016",
    "blocks.gelu": "Hendrycks and Gimpel 2016",
    "blocks.MLP": "Vaswani et al. 2017",
    "blocks.Block": "Radford et al. 2019",
    "blocks.sinusoidal_positions": "Vaswani et al. 2017",
    "model.GPT": "Radford et al. 2019",
    "model.look_back": "Vaswani et al. 2017",
    "model.initialise": "Radford et al. 2018",
    "model.tie": "Press and Wolf 2017",
    "model.flops_per_token": "Kaplan et al. 2020",
    "training.AdamW": "Loshchilov and Hutter 2019",
    "training.cosine_lr": "Loshchilov and Hutter 2017",
    "training.clip_grad_norm": "Pascanu et al. 2013",
    "training.orthogonalize": "Jordan 2024",
    "training.Muon": "Jordan 2024",
    "sampling.filter_logits": "Holtzman et al. 2020",
    "sampling.penalise": "Keskar et al. 2019",
    "viz.silence": "Michel et al. 2019",
    "viz.induction_pairs": "Olsson et al. 2022",
    "viz.layer_logits": "nostalgebraist 2020",
    "viz.logit_lens": "nostalgebraist 2020",
    "pretrained.from_hf": "Radford et al. 2019",
    "pretrained.gpt2_tokenizer": "Radford et al. 2019",
    "seq2seq.EncoderDecoder": "Vaswani et al. 2017",
    "seq2seq.CrossAttention": "Vaswani et al. 2017",
    "seq2seq.DecoderBlock": "Vaswani et al. 2017",
    "seq2seq.shift_matrix": "Vaswani et al. 2017",
    "seq2seq.batches_by_length": "Vaswani et al. 2017",
    "seq2seq.smoothed_cross_entropy": "Szegedy et al. 2016",
    "seq2seq.beam_search": "Wu et al. 2016",
}
ERRORS = {"ValueError", "KeyError", "FileNotFoundError", "FloatingPointError", "ImportError"}


@dataclass(frozen=True)
class Name:
    """A public name: `where` is its module and name as a user writes them, `file` where it is defined."""

    where: str
    file: Path
    node: Definition
    owner: ast.ClassDef | None = None  # the class of a method

    @property
    def doc(self) -> str:
        """Its docstring, or of a method that has none the one that `help` shows: that of a class it comes from."""
        own, owner, file = ast.get_docstring(self.node), self.owner, self.file
        while not own and owner and (parent := base(owner, file)):
            owner, file = parent
            same = [n for n in owner.body if isinstance(n, Function) and n.name == self.node.name]
            own = ast.get_docstring(same[0]) if same else None
        return own or ""

    @property
    def all_doc(self) -> str:
        """What `help` shows of it: with the docstring of its class and, of a dataclass, the comments at the fields."""
        comments = ""
        if isinstance(self.node, ast.ClassDef):
            lines = self.file.read_text(encoding="utf-8").splitlines()[self.node.lineno : self.node.end_lineno]
            comments = "\n".join(line for line in lines if re.match(r"    \w+:.*  # ", line))
        return "\n".join([self.doc, comments, (self.owner and ast.get_docstring(self.owner)) or ""])


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def defined(file: Path) -> dict[str, Definition]:
    return {node.name: node for node in tree(file).body if isinstance(node, Definition)}


def listed(file: Path) -> list[str]:
    """The names in the `__all__` of a module."""
    (found,) = (
        n.value for n in tree(file).body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"
    )
    return ast.literal_eval(found)


def imported(file: Path) -> dict[str, Path]:
    """From which of our files a module takes its names."""
    froms = [node for node in tree(file).body if isinstance(node, ast.ImportFrom) and node.module]
    places = [(node.module.removeprefix("gptlib."), node) for node in froms if node.level or "gptlib." in node.module]
    return {alias.name: LIB / f"{place}.py" for place, node in places for alias in node.names}


def homes() -> dict[str, str]:
    """Where `gptlib` finds what it offers."""
    (found,) = (n.value for n in tree(LIB / "__init__.py").body if ast.unparse(n).startswith("_HOME ="))
    return ast.literal_eval(found)


def find(where: str, file: Path, name: str) -> Name | None:
    """A name and the file that defines it, however often it is handed on; None for a constant."""
    while name not in defined(file):
        if name not in imported(file):
            return None
        file = imported(file)[name]
    return Name(where, file, defined(file)[name])


def base(owner: ast.ClassDef, file: Path) -> tuple[ast.ClassDef, Path] | None:
    """The first class of ours that a class is made from, and its file."""
    for parent in map(ast.unparse, owner.bases):
        home = file if parent in defined(file) else imported(file).get(parent)
        if home and isinstance(found := defined(home).get(parent), ast.ClassDef):
            return found, home
    return None


def names() -> list[Name]:
    """All public classes and functions, each once."""
    places = [(f"{file.stem}.{name}", file, name) for file in MODULES for name in listed(file)]
    places += [(f"gptlib.{name}", LIB / f"{home}.py", name) for name, home in homes().items()]
    found = [name for place in places if (name := find(*place))]
    return list({(name.file, name.node.name): name for name in reversed(found)}.values())[::-1]


def methods(name: Name) -> list[Name]:
    """The public methods and properties of a class; `__call__` is one, and what `__init__` does is the class's."""
    if not isinstance(name.node, ast.ClassDef):
        return []
    own = [n for n in name.node.body if isinstance(n, Function) and (n.name[0] != "_" or n.name == "__call__")]
    own = [n for n in own if not any(ast.unparse(d).startswith("traitlets") for d in n.decorator_list)]
    return [Name(f"{name.where}.{n.name}", name.file, n, name.node) for n in own]


NAMES = names()
METHODS = [method for name in NAMES for method in methods(name)]
BY_WHERE = {name.where: name for name in NAMES + METHODS}
EACH_NAME = pytest.mark.parametrize("name", NAMES, ids=lambda name: name.where)
EACH = pytest.mark.parametrize("name", NAMES + METHODS, ids=lambda name: name.where)


def calls_of(name: Name) -> list[Function]:
    """The functions that a docstring speaks for: itself, or of a class what making and calling one does."""
    if isinstance(name.node, Function):
        return [name.node]
    said_here = ("__init__", "__post_init__", "forward")
    return [n for n in name.node.body if isinstance(n, Function) and n.name in said_here]


def says(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


# ---- what is public, and that the tables above speak of it


def test_the_public_names_are_many_and_those_that_users_know() -> None:
    assert len(NAMES) > 150 and len(METHODS) > 50
    assert {"attention.causal_mask", "viz.AttentionView", "gptlib.load", "training.load_run"} <= BY_WHERE.keys()
    unknown = {name for table in (UNITS, SOURCES) for name in table if name not in BY_WHERE}
    assert not unknown


def test_constants_have_a_comment() -> None:
    """nbdev lists each constant in `__all__`, and `help` says nothing of it: a comment above it or behind it must."""
    silent = []
    for file in MODULES:
        lines = file.read_text(encoding="utf-8").splitlines()
        for node in tree(file).body:
            if isinstance(node, ast.Assign) and (name := ast.unparse(node.targets[0])) in listed(file):
                above, own = lines[node.lineno - 2], " ".join(lines[node.lineno - 1 : node.end_lineno])
                if not (above.startswith("# ") and not above.startswith("# %%")) and "  # " not in own:
                    silent.append(f"{file.stem}.{name}")
    assert not silent


# ---- what each docstring says


@EACH
def test_it_begins_with_a_sentence(name: Name) -> None:
    """The first line is all that a list of names shows: it ends there, and no line is longer than the code's."""
    if name.node.name == "forward":
        assert name.owner and ast.get_docstring(name.owner), "what calling does is said by the class"
        return
    assert name.doc, f"{name.where} has no docstring"
    first, *rest = name.doc.splitlines()
    assert re.match(r"[A-Z`0-9\"+]|[aex] ", first), f"{first!r} does not begin a sentence"
    assert re.search(r"[.:]\)?$", first), f"{first!r} does not end a sentence"
    assert not rest or not rest[0], "an empty line stands below the first"


@EACH_NAME
def test_it_names_its_lesson(name: Name) -> None:
    """Of what is exported, the notebook that exports it; of what is written by hand, one that shows it."""
    lessons = re.findall(r"\blesson (\d\d_\w+)", " ".join(name.doc.split()))
    assert lessons, f"{name.where} names no lesson, as in (lesson 05_attention)"
    first_line = name.file.read_text(encoding="utf-8").splitlines()[0]
    if exporting := re.search(r"notebooks/(\d\d_\w+)\.ipynb", first_line):
        assert lessons[0] == exporting[1]
    for lesson in lessons:
        notebook = ROOT / "notebooks" / f"{lesson}.ipynb"
        assert notebook.is_file(), f"there is no lesson {lesson}"
        assert says(notebook.read_text(encoding="utf-8"), name.node.name) or lesson != lessons[0]


@EACH
def test_it_tells_what_each_parameter_is(name: Name) -> None:
    """A parameter is named, or its annotation says what it is: a shape, or a class of ours; or it is one of the
    house's, which are explained in one place. A parameter `x` of one number or text is not obvious."""
    silent = []
    for call in calls_of(name):
        given = [*call.args.posonlyargs, *call.args.args, *call.args.kwonlyargs]
        for argument in given:
            kind = ast.unparse(argument.annotation) if argument.annotation else ""
            told = says(name.all_doc, argument.arg) or argument.arg in ("self", "cls")
            told = told or re.search(r"\b(Float|Int|Integer|Bool)\[", kind) or re.search(TELLING, kind)
            told = told or argument.arg in EXPLAINED
            # "The bytes of some ids", "a text": a plain word of the sentence is as good as the name
            told = told or says(name.all_doc.lower(), argument.arg.rstrip("s")) or says(name.doc, f"{argument.arg}s")
            if not told:
                silent.append(argument.arg)
    assert not silent, f"{name.where} does not say what {silent} are"


@pytest.mark.parametrize(("parameter", "where"), EXPLAINED.items())
def test_what_is_said_once_is_said_there(parameter: str, where: str) -> None:
    assert says(BY_WHERE[where].all_doc, parameter), f"{where} does not explain {parameter}"


@EACH
def test_arrays_have_their_shapes(name: Name) -> None:
    """A bare Tensor or ndarray has no shape: the docstring says it, as `q` (B, H, T, D)."""
    bare = []
    for call in calls_of(name):
        kinds = {a.arg: a.annotation for a in [*call.args.args, *call.args.kwonlyargs]} | {"return": call.returns}
        for argument, kind in kinds.items():
            plain = re.sub(r"\b\w+\[[^\[\]]*?, ?'[^']*'\]", "", ast.unparse(kind)) if kind else ""
            ours = name.file.stem == "autograd"  # its Tensor is our own, and of any shape
            if not ours and re.search(r"\b(Tensor|ndarray)\b", plain):
                bare.append(argument)
    assert not bare or re.search(r"\([A-Z1.][^()]*\)|shape", name.all_doc), f"{name.where}: of what shape is {bare}?"


@cache
def checks(file: Path) -> dict[str, set[str]]:
    """By the name under which a file calls it, what each of our checks raises: `check_...` or `require_...`."""
    found = {}
    for other in {file, *LIB.glob("_*.py")}:
        for name, node in defined(other).items():
            if re.match(r"_?(check|require)_?", name) and isinstance(node, Function):
                found[name] = raised(node)
    return found


def raised(node: ast.AST) -> set[str]:
    """The errors that the lines of a definition raise; one that only passes on what it caught is not named twice."""
    found = {n.exc for n in ast.walk(node) if isinstance(n, ast.Raise) and n.exc}
    return {ast.unparse(e.func) for e in found if isinstance(e, ast.Call)} & ERRORS


@EACH
def test_it_names_the_errors_that_it_raises(name: Name) -> None:
    """Those of its own lines, and those of the checks that it calls."""
    errors: set[str] = set()
    for call in calls_of(name):
        errors |= raised(call)
        for inner in (n for n in ast.walk(call) if isinstance(n, ast.Call)):
            errors |= checks(name.file).get(ast.unparse(inner.func).split(".")[-1], set())
    silent = {error for error in errors if not says(name.all_doc, error)}
    assert not silent, f"{name.where} raises {sorted(silent)} and does not say so"


@pytest.mark.parametrize(("where", "unit"), UNITS.items())
def test_numbers_have_their_unit(where: str, unit: str) -> None:
    assert says(BY_WHERE[where].doc, unit)


@pytest.mark.parametrize(("where", "source"), SOURCES.items())
def test_what_comes_from_a_paper_names_it(where: str, source: str) -> None:
    text = " ".join(BY_WHERE[where].doc.split())
    assert source in text, f"{where} does not name {source}"
    assert len(re.findall(r"\((?:[^()]|\([^()]*\))*(?:19|20)\d\d", text)) or source in text


@EACH_NAME
def test_a_paper_that_is_named_is_in_the_table(name: Name) -> None:
    """So that no source is added that nobody looks at, or dropped unseen."""
    if re.search(r"[A-Z]\w+(?: et al\.|,? (?:and )?[A-Z]\w+)* (?:19|20)\d\d\b", name.doc):
        assert name.where in SOURCES, f"{name.where} names a paper: put it into the table"
