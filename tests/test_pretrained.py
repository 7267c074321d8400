"""Our GPT and the GPT-2 of transformers: the same numbers from the same files, both ways, and nothing kept twice."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import gptlib
from gptlib import _hub, pretrained
from gptlib.model import GPT, GPTConfig
from gptlib.pretrained import (
    config_from_hf,
    from_hf,
    gpt2_tokenizer,
    hf_name,
    is_turned,
    load_pretrained,
    match_tensors,
    row_pieces,
    to_hf,
)
from gptlib.sampling import complete, generate
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer

transformers = pytest.importorskip("transformers")
transformers.utils.logging.disable_progress_bar()

ENDS = {"bos_token_id": 0, "eos_token_id": 0}
SIZES = st.fixed_dictionaries(
    {
        "n_layer": st.integers(1, 3),
        "n_head": st.sampled_from([1, 2, 3]),
        "D": st.sampled_from([1, 2, 5]),
        "vocab_size": st.integers(2, 30),
        "n_positions": st.integers(2, 12),
        "activation_function": st.sampled_from(["gelu_new", "gelu", "gelu_pytorch_tanh", "gelu_fast"]),
        "layer_norm_epsilon": st.sampled_from([1e-5, 1e-3, 1e-6]),
        "tie_word_embeddings": st.booleans(),
    }
)


ALL_SQUARE = {"n_layer": 2, "n_head": 1, "D": 4, "vocab_size": 4, "n_positions": 4, "tie_word_embeddings": False}


def make_theirs(D: int = 4, seed: int = 0, **settings: Any) -> Any:
    """A GPT-2 of transformers in which every number is random, biases and norms too, and none is small."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 13, "n_positions": 10, "n_layer": 2, "n_head": 2} | settings
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, n_embd=sizes["n_head"] * D, **ENDS)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


def make_ids(model: Any, B: int = 2, T: int | None = None) -> torch.Tensor:
    """Two different rows, as long as the context."""
    config = model.config
    T = T or getattr(config, "n_positions", None) or config.block_size
    return torch.randint(config.vocab_size, (B, T), generator=torch.Generator().manual_seed(3))


def same_weights(a: GPT, b: GPT) -> bool:
    ours, other = a.state_dict(), b.state_dict()
    return list(ours) == list(other) and all(torch.equal(ours[name], other[name]) for name in ours)


# ---- the same numbers


@given(sizes=SIZES, seed=st.integers(0, 99))
@example(
    sizes={"n_layer": 2, "n_head": 1, "D": 4, "vocab_size": 4, "n_positions": 4, "tie_word_embeddings": False}, seed=1
)
@torch.no_grad()
def test_the_logits_are_those_of_transformers(sizes: dict[str, Any], seed: int) -> None:
    """For anything swapped, turned, left random or computed otherwise. Where vocabulary, context and width are equal
    every matrix is square, and only a proof by numbers is one."""
    theirs = make_theirs(seed=seed, **sizes)
    ids = make_ids(theirs)
    torch.testing.assert_close(from_hf(theirs)(ids), theirs(ids).logits, atol=1e-4, rtol=1e-4)
    theirs = theirs.double()
    torch.testing.assert_close(from_hf(theirs)(ids), theirs(ids).logits, atol=1e-10, rtol=1e-10)


@given(sizes=SIZES)
@settings(max_examples=10)
def test_the_gradients_are_those_of_transformers(sizes: dict[str, Any]) -> None:
    """For a tie that is broken, whose two halves get half the gradient each, and for a weight that cannot learn."""
    theirs = make_theirs(**sizes).double()
    ours, ids = from_hf(theirs), make_ids(theirs)
    logits = theirs(ids[:, :-1]).logits
    F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()  # their own loss is taken in float32
    ours(ids[:, :-1], ids[:, 1:])[1].backward()
    slopes = {name.removeprefix("transformer."): p.grad for name, p in theirs.named_parameters()}
    assert len(slopes) == len(list(ours.parameters()))
    for name, p in ours.named_parameters():
        slope = slopes[hf_name(name)]
        torch.testing.assert_close(p.grad, slope.T if is_turned(hf_name(name)) else slope, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("tied", [True, False])
def test_greedy_text_is_that_of_transformers(tied: bool) -> None:
    """For a cache or positions that go wrong with weights of others."""
    theirs = make_theirs(D=8, n_positions=24, tie_word_embeddings=tied)
    ids = make_ids(theirs, T=4)
    plain = {"do_sample": False, "max_new_tokens": 20, "eos_token_id": None, "pad_token_id": 0}
    written = theirs.generate(ids, attention_mask=torch.ones_like(ids), **plain)
    assert torch.equal(generate(from_hf(theirs), ids, 20, temperature=0), written)


def test_a_model_reads_ready_to_use() -> None:
    """Evaluation mode, one tensor for both tables, weights that learn and lie as any others, own memory, and not a
    random number used up."""
    theirs = make_theirs()
    before = torch.get_rng_state()
    ours = from_hf(theirs)
    assert torch.equal(torch.get_rng_state(), before)
    assert not ours.training and ours.head.weight is ours.token_embedding.weight
    assert all(p.requires_grad and p.is_contiguous() and p.device.type == "cpu" for p in ours.parameters())
    with torch.no_grad():
        theirs.transformer.wte.weight.zero_()
    assert ours.token_embedding.weight.ne(0).any()


# ---- files


def test_one_file_several_and_old_ones_give_the_same_model(tmp_path: Path) -> None:
    """For an index not followed, a prefix not known, and the masks that old files carry; all in every combination."""
    theirs = make_theirs()
    expected = from_hf(theirs)
    theirs.save_pretrained(tmp_path / "one")
    theirs.save_pretrained(tmp_path / "several", max_shard_size="1KB")
    assert len(list((tmp_path / "several").glob("model-*.safetensors"))) > 1
    stored = load_file(tmp_path / "one" / "model.safetensors")
    stored = {name.removeprefix("transformer."): tensor for name, tensor in stored.items()}
    for i in range(2):
        stored[f"h.{i}.attn.bias"] = torch.ones(1, 1, 10, 10, dtype=torch.bool).tril()
        stored[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    for name, prefix in (("old", ""), ("prefixed", "transformer.")):
        folder = tmp_path / name
        folder.mkdir()
        with_head = stored if prefix else stored | {"lm_head.weight": stored["wte.weight"].clone()}
        named = {(name if name.startswith("lm_head") else prefix + name): t for name, t in with_head.items()}
        save_file(named, folder / "model.safetensors")
        (folder / "config.json").write_bytes((tmp_path / "one" / "config.json").read_bytes())
    for name in ("one", "several", "old", "prefixed"):
        assert same_weights(from_hf(tmp_path / name), expected), name
        assert from_hf(str(tmp_path / name)).config == expected.config


def test_what_was_read_no_longer_needs_the_file(tmp_path: Path) -> None:
    """For weights that are the mapped file: they would change with it."""
    theirs = make_theirs()
    theirs.save_pretrained(tmp_path)
    ours = from_hf(tmp_path)
    path = tmp_path / "model.safetensors"
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert same_weights(ours, from_hf(theirs))


def test_a_head_written_out_may_be_narrower_or_not_a_number(tmp_path: Path) -> None:
    """For a comparison that takes NaN for a difference: such a model is broken, but its head is its table."""
    theirs = make_theirs()
    theirs.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    table = stored["transformer.wte.weight"]
    table.copy_(table.half())
    table[0, 0] = math.nan
    save_file(stored | {"lm_head.weight": table.half()}, tmp_path / "model.safetensors")
    assert from_hf(tmp_path).head.weight[0, 0].isnan()
    with pytest.raises(ValueError, match=r"lm_head\.weight is not the table"):
        save_file(stored | {"lm_head.weight": table.nan_to_num(0.0)}, tmp_path / "model.safetensors")
        from_hf(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_keep_their_type(tmp_path: Path, dtype: torch.dtype) -> None:
    make_theirs().to(dtype).save_pretrained(tmp_path)
    model = from_hf(tmp_path)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert model(make_ids(model)).dtype == dtype


def test_of_several_types_the_widest_is_taken() -> None:
    """Halves beside floats would stop the model at its first norm."""
    theirs = make_theirs().half()
    theirs.transformer.ln_f.float()
    model = from_hf(theirs)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model(make_ids(model)).isfinite().all()


@given(shape=st.lists(st.integers(1, 40), min_size=1, max_size=2), piece=st.integers(1, 500))
def test_the_pieces_of_a_tensor_are_all_its_rows_once(shape: list[int], piece: int) -> None:
    """For a last piece forgotten, and for one row that is more than a piece."""
    before, pretrained.PIECE = pretrained.PIECE, piece
    try:
        pieces = list(row_pieces(shape))
    finally:
        pretrained.PIECE = before
    rows = list(range(shape[0]))
    assert [row for part in pieces for row in rows[part]] == rows
    assert all(len(rows[part]) == 1 or len(rows[part]) * math.prod(shape[1:]) <= piece for part in pieces)


def test_small_pieces_give_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For rows that land in the wrong columns when a map is turned in several pieces."""
    theirs = make_theirs()
    theirs.save_pretrained(tmp_path)
    monkeypatch.setattr(pretrained, "PIECE", 20)
    assert same_weights(from_hf(tmp_path), from_hf(make_theirs()))


PEAK = """
import sys
from pathlib import Path
from gptlib.pretrained import from_hf

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

from_hf(sys.argv[1])  # what is loaded once, of torch and safetensors, is not what is measured
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
model = from_hf(sys.argv[2])
assert all(p.sum().isfinite() for p in model.parameters())
print((kilobytes("VmHWM") - before) * 1024 / sum(p.nbytes for p in model.parameters()))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured on Linux only")
def test_loading_takes_little_more_memory_than_the_weights(tmp_path: Path) -> None:
    """For a second copy, of all or of the largest matrix, or a file that stays mapped: 1.3 times at the most."""
    config = GPTConfig(16_000, block_size=64, n_layer=1, n_head=8, n_embd=768, start="random", tied=False)
    with torch.device("meta"):
        model = GPT(config)
    model.load_state_dict({name: torch.ones(p.shape) for name, p in model.state_dict().items()}, assign=True)
    to_hf(model, tmp_path / "large")  # 127 MB, of which the last matrix has 49
    to_hf(GPT(replace(config, vocab_size=50, n_embd=8)), tmp_path / "tiny")
    command = [sys.executable, "-c", PEAK, str(tmp_path / "tiny"), str(tmp_path / "large")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.9 < float(found.stdout) < 1.3


# ---- the way back


@given(
    n_layer=st.integers(1, 3),
    n_head=st.sampled_from([1, 2]),
    gelu=st.sampled_from(["erf", "tanh"]),
    tied=st.booleans(),
    start=st.sampled_from(["copy", "random"]),
    dropout=st.sampled_from([0.0, 0.2]),
    eps=st.sampled_from([1e-5, 1e-3]),
)
@settings(max_examples=15)
def test_a_model_that_goes_out_and_back_is_the_same_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, eps: float, **fields: Any
) -> None:
    """For rounding on the way, a tensor of the wrong side, and a field of the configuration that gets lost."""
    folder = tmp_path_factory.mktemp("model") / "new" / "folder"
    config = GPTConfig(17, block_size=9, n_embd=8, norm_eps=eps, **fields)
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    assert to_hf(model, folder) == folder
    back = from_hf(folder)
    assert same_weights(back, model) and back.config == replace(config, start="random")
    opened = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = make_ids(model)
    with torch.no_grad():
        torch.testing.assert_close(opened(ids).logits, model(ids), atol=1e-4, rtol=1e-4)
    assert opened.config.resid_pdrop == opened.config.attn_pdrop == opened.config.embd_pdrop == config.dropout
    assert [path.name for path in folder.glob(".*")] == []  # nothing half written


def test_a_model_without_biases_gets_zeros(tmp_path: Path) -> None:
    """GPT-2 always has biases: the same numbers come out, and what comes back has biases of zero."""
    model = GPT(GPTConfig(17, block_size=9, n_layer=2, n_head=2, n_embd=8, bias=False)).eval()
    back = from_hf(to_hf(model, tmp_path / "m"))
    ids = make_ids(model)
    with torch.no_grad():
        torch.testing.assert_close(back(ids), model(ids))
        opened = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
        torch.testing.assert_close(opened(ids).logits, model(ids), atol=1e-5, rtol=1e-5)
    assert back.config.bias and all(p.eq(0).all() for name, p in back.named_parameters() if name.endswith("bias"))


def test_heads_that_begin_by_looking_back_leave_no_trace(tmp_path: Path) -> None:
    """`look_back` and `scale` say how training began: the weights go out as any others."""
    model = GPT(GPTConfig(17, block_size=9, n_layer=2, n_head=2, n_embd=8, look_back=2, scale="unit")).eval()
    assert same_weights(from_hf(to_hf(model, tmp_path / "m")), model)


# ---- the configuration and the names


def test_what_a_configuration_leaves_out_is_gpt2() -> None:
    """For defaults of ours in their place: GPT-2 has dropout, the tanh GELU and 12 heads."""
    theirs = transformers.GPT2Config()
    assert config_from_hf({}) == config_from_hf(theirs.to_dict())
    assert (config_from_hf({}).gelu, config_from_hf({}).dropout, config_from_hf({}).vocab_size) == ("tanh", 0.1, 50257)


def test_sizes_by_their_other_names(tmp_path: Path) -> None:
    """The number of heads shows in no shape: with the 12 of GPT-2 the logits would be wrong without a word."""
    theirs = make_theirs(D=6, n_head=4)
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    for name, other in transformers.GPT2Config.attribute_map.items():
        described[other if name == "n_head" else name] = described.pop(other, described.get(name))
    path.write_text(json.dumps(described), encoding="utf-8", newline="\n")
    assert "num_attention_heads" in described and "n_head" not in described
    ids = make_ids(theirs)
    with torch.no_grad():
        torch.testing.assert_close(from_hf(tmp_path)(ids), theirs(ids).logits, atol=1e-4, rtol=1e-4)
    for described in ({"num_attention_heads": 2, "n_head": 4}, {"n_head": 4, "num_attention_heads": 2}):
        assert config_from_hf(described).n_head == transformers.GPT2Config.from_dict(described).n_head


FOUR = [(12, 12, 768, 124), (24, 16, 1024, 355), (36, 20, 1280, 774), (48, 25, 1600, 1558)]


@pytest.mark.parametrize("n_layer, n_head, n_embd, millions", FOUR)
def test_all_four_sizes_have_a_place_for_every_tensor(n_layer: int, n_head: int, n_embd: int, millions: int) -> None:
    """By names and shapes alone, on the device meta: the largest would take 6 GB."""
    with torch.device("meta"):
        theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=n_layer, n_head=n_head, n_embd=n_embd))
        ours = GPT(config_from_hf(theirs.config.to_dict()))
    found = {name: tuple(t.shape) for name, t in theirs.state_dict().items() if name != "lm_head.weight"}
    wanted = {name: tuple(t.shape) for name, t in ours.state_dict().items() if name != "head.weight"}
    matched = match_tensors(wanted, found)
    assert sorted(matched.values()) == sorted(found)
    assert round(sum(math.prod(shape) for shape in wanted.values()) / 1e6) == millions


# ---- the tokenizer

SOME_TEXT = "The tale of the seven sleepers. 'Don't!' said she, 1,234 times; naïve 🦊 한국어 x=1\n\n\tdef f(x): " * 3
PIECES = ["the ", " the", "tale", "'s", "\n", "  ", "\t", "é", "🦊", "한국", "\u00a0", "1234", END_OF_TEXT, "Ġ"]
# Letters that came to Unicode after the tables of the others were made are cut otherwise by them.
TEXT = st.text(st.characters(max_codepoint=0x2FFF, exclude_categories=("Cs", "Cn"))) | st.lists(
    st.sampled_from(PIECES)
).map("".join)


@pytest.fixture(scope="module")
def trained() -> BPETokenizer:
    return BPETokenizer.train(SOME_TEXT, 340)


@pytest.fixture(scope="module")
def written(trained: BPETokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and this tokenizer as a folder of Hugging Face."""
    model = GPT(GPTConfig(trained.vocab_size, block_size=40, n_layer=1, n_head=2, n_embd=8))
    return to_hf(model, tmp_path_factory.mktemp("m") / "m", trained)


def read_by_tiktoken(written: Path) -> Any:
    """The files read by hand into tiktoken, with the letters of transformers: none of it is ours."""
    import tiktoken
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    vocab = json.loads((written / "vocab.json").read_text(encoding="utf-8"))
    byte = {letter: value for value, letter in bytes_to_unicode().items()}
    special = {END_OF_TEXT: vocab.pop(END_OF_TEXT)}
    ranks = {bytes(byte[letter] for letter in token): i for token, i in vocab.items()}
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    return tiktoken.Encoding("gpt2-like", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


@pytest.fixture(scope="module")
def readers(written: Path) -> dict[str, Any]:
    peer = transformers.AutoTokenizer.from_pretrained(written)
    return {"ours": gpt2_tokenizer(written), "transformers": peer, "tiktoken": read_by_tiktoken(written)}


@given(text=TEXT)
@settings(max_examples=100)
def test_the_ids_are_those_of_transformers_and_tiktoken(
    readers: dict[str, Any], trained: BPETokenizer, text: str
) -> None:
    """For bytes spelled wrong in the files, merges in another order, and an end mark that is ordinary text."""
    ids = readers["ours"].encode(text, "all")
    assert ids == trained.encode(text, "all") == readers["transformers"](text)["input_ids"]
    assert ids == readers["tiktoken"].encode(text, allowed_special="all")
    assert readers["ours"].decode(ids) == text == readers["tiktoken"].decode(ids)


def test_both_files_by_their_paths_and_their_folder_give_one_tokenizer(written: Path, trained: BPETokenizer) -> None:
    by_paths = gpt2_tokenizer(written / "vocab.json", written / "merges.txt")
    assert by_paths.fingerprint == gpt2_tokenizer(str(written)).fingerprint == trained.fingerprint


@pytest.mark.parametrize("pairs", [True, False])
def test_a_tokenizer_json_is_read_as_well(written: Path, trained: BPETokenizer, tmp_path: Path, pairs: bool) -> None:
    """Newer folders have nothing else; older files write a merge as one text, newer ones as a pair."""
    transformers.AutoTokenizer.from_pretrained(written).save_pretrained(tmp_path)
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).unlink(missing_ok=True)
    path = tmp_path / "tokenizer.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    both = [merge if isinstance(merge, list) else merge.split(" ") for merge in fields["model"]["merges"]]
    fields["model"]["merges"] = both if pairs else [" ".join(merge) for merge in both]
    fields["added_tokens"].append({"id": trained.vocab_size, "content": "<pad>", "special": True})
    path.write_text(json.dumps(fields), encoding="utf-8", newline="\n")
    ours = gpt2_tokenizer(tmp_path)
    assert ours.special_tokens == {**trained.special_tokens, "<pad>": trained.vocab_size}
    assert ours.encode(SOME_TEXT + END_OF_TEXT, "all") == trained.encode(SOME_TEXT + END_OF_TEXT, "all")


@pytest.mark.parametrize("word", ["additional_special_tokens", "extra_special_tokens"])
def test_special_tokens_go_out_and_back(tmp_path: Path, trained: BPETokenizer, word: str) -> None:
    """For one whose text is read as letters for bytes: it has letters that stand for none, such as the space."""
    specials = ["<|user|>", END_OF_TEXT, "<|end of turn|>", "<|한국|>"]
    tokenizer = BPETokenizer.train(SOME_TEXT, 340, special_tokens=specials)
    to_hf(GPT(GPTConfig(340, block_size=9, n_layer=1, n_head=1, n_embd=4)), tmp_path, tokenizer)
    about = (tmp_path / "tokenizer_config.json").read_text(encoding="utf-8")
    about = about.replace("additional_special_tokens", word)
    (tmp_path / "tokenizer_config.json").write_text(about, encoding="utf-8", newline="\n")
    back = gpt2_tokenizer(tmp_path)
    assert back.special_tokens == tokenizer.special_tokens and back.fingerprint == tokenizer.fingerprint
    text = "the tale<|user|>seven<|end of turn|><|한국|>" + END_OF_TEXT
    ids = tokenizer.encode(text, "all")
    assert back.encode(text, "all") == ids == transformers.AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"]


def test_a_vocabulary_without_an_end_mark_gets_none(written: Path, tmp_path: Path) -> None:
    """For an id behind the last that the model has never heard of."""
    vocab = json.loads((written / "vocab.json").read_text(encoding="utf-8"))
    del vocab[END_OF_TEXT]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8", newline="\n")
    (tmp_path / "merges.txt").write_bytes((written / "merges.txt").read_bytes())
    assert gpt2_tokenizer(tmp_path).vocab_size == len(vocab) and not gpt2_tokenizer(tmp_path).special_tokens


# ---- where it comes from


def test_a_name_asks_the_hub_and_a_folder_never_does(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a short name that is not OpenAI's, files that nobody needs, and a download where a folder was meant."""
    asked = []

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(written)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    model, tokenizer = load_pretrained(str(written))
    assert asked == []
    for name, full in (
        ("gpt2", "openai-community/gpt2"),
        ("gpt2-xl", "openai-community/gpt2-xl"),
        ("me/mine", "me/mine"),
    ):
        by_name = load_pretrained(name)
        assert same_weights(by_name[0], model) and by_name[1].fingerprint == tokenizer.fingerprint
        assert [repository for repository, _ in asked] == [full, full]
        assert asked[0][1] == [*_hub.MODEL_FILES] and asked[1][1] == [*_hub.TOKENIZER_FILES]
        asked.clear()
    monkeypatch.chdir(written.parent)
    (written.parent / "gpt2").symlink_to(written)
    load_pretrained("gpt2")  # a folder of that name is what is meant
    assert asked == []


def test_one_line_loads_such_a_folder_too(written: Path) -> None:
    """`gptlib.load` and with it every command that takes a run."""
    model, tokenizer = gptlib.load(written)
    assert complete(model, tokenizer, "The tale", 5, temperature=0).startswith("The tale")
    assert not _hub.is_pretrained(written.parent) and _hub.is_pretrained("gpt2-medium")


@pytest.mark.parametrize("arguments", [["generate", "--prompt", "The", "--max_new_tokens", "3"], ["info"]])
def test_the_commands_take_it_as_a_run(written: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    from gptlib.cli import main

    main([*arguments, "--run", str(written)])
    out = capsys.readouterr().out
    assert out.startswith("The") if arguments[0] == "generate" else "n_embd        8" in out


def test_a_text_is_scored_with_it(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gptlib eval`; a model that learned nothing has the loss of a guess, the logarithm of its vocabulary."""
    from gptlib.cli import main

    path = tmp_path / "some.txt"
    path.write_text(SOME_TEXT, encoding="utf-8", newline="\n")
    main(["eval", "--run", str(written), "--data_path", str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["loss"] == pytest.approx(math.log(gpt2_tokenizer(written).vocab_size), rel=0.1)
