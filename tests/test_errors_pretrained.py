"""What somebody is told who gives something else than a GPT-2: the value, and the way out."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import gptlib
from gptlib._hub import is_pretrained
from gptlib._runs import shipped
from gptlib.model import GPT, GPTConfig
from gptlib.pretrained import config_from_hf, from_hf, gpt2_tokenizer, load_pretrained, to_hf
from gptlib.tokenizer import BPETokenizer, CharTokenizer

EMPTY = torch.ones(300, 0)
CONFIG = GPTConfig(300, block_size=12, n_layer=2, n_head=2, n_embd=8)


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train("the tale of the seven sleepers " * 9, 270)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, tokenizer: BPETokenizer) -> Path:
    return to_hf(GPT(CONFIG), tmp_path_factory.mktemp("good") / "m", tokenizer)


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A good folder to spoil."""
    return Path(shutil.copytree(good, tmp_path / "m"))


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8", newline="\n")


def change_tensors(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Put tensors in, by names with __ for the dots, or take them out."""
    stored = load_file(folder / "model.safetensors")
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    kept = {name: tensor for name, tensor in (stored | named).items() if tensor is not None}
    save_file(kept, folder / "model.safetensors")


def says(error: type[Exception], sentence: str) -> Any:
    return pytest.raises(error, match=re.escape(sentence))


# ---- where it should be


@pytest.mark.parametrize("source", [Path("nowhere"), "./nowhere", "a/b/c", "two words", "", "../gpt2", Path("a" * 999)])
def test_a_folder_that_is_not_there(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is never a name on the hub, and nothing is not the folder one is in."""
    monkeypatch.chdir(tmp_path)
    for function in (from_hf, gpt2_tokenizer, load_pretrained):
        with says(FileNotFoundError, f"the folder {str(source)!r} is not there: give one with config.json and model."):
            function(source)


def test_a_file_is_no_folder(good: Path) -> None:
    with says(FileNotFoundError, "model.safetensors' is a file: give one with config.json and model.safetensors"):
        from_hf(good / "model.safetensors")


def test_an_unknown_name_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    def raises(error: Exception) -> None:
        def snapshot_download(*_: Any, **__: Any) -> str:
            raise error

        monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)

    response = httpx.Response(404, request=httpx.Request("GET", "https://example.org"))
    for error in (RepositoryNotFoundError("404\nnot there", response=response), HFValidationError("bad")):
        raises(error)
        with says(FileNotFoundError, "there is no folder 'gtp2', and no such model on the hub: check the name"):
            from_hf("gtp2")
    for error in (
        LocalEntryNotFoundError("Got: no route\nmore"),
        httpx.ConnectError("Got: no route"),
        OSError("Got: no route"),
    ):
        raises(error)
        way_out = "connect to a network, or give a folder"
        with says(FileNotFoundError, f"'gpt2' could not be had from the hub (Got: no route): {way_out}"):
            gpt2_tokenizer()


def test_fetched_in_part_and_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, good: Path) -> None:
    """Without a network the hub's library gives the folder that it has, though nothing that was asked for is in it."""
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(good / name, tmp_path)
    gpt2_tokenizer("gpt2")
    with says(FileNotFoundError, "'gpt2' could not be had from the hub (nothing of config.json, model.safetensors, "):
        from_hf("gpt2")
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).unlink()
    with says(FileNotFoundError, "(nothing of tokenizer.json, vocab.json, merges.txt): connect to a network, or give"):
        gpt2_tokenizer("gpt2")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with says(
        ModuleNotFoundError, "there is no folder 'gpt2', and to ask the hub for it needs huggingface_hub: pip install"
    ):
        from_hf("gpt2")


def test_the_hub_itself_offline(tmp_path: Path) -> None:
    """No patch here: what the library really raises, told not to ask, by the command that a user types."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "gptlib", "generate", "--run", "gpt2", "--prompt", "The"]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert found.returncode == 2 and "Traceback" not in found.stderr
    assert re.search(r"gptlib: 'gpt2' could not be had from the hub \(.+\): connect to a network", found.stderr)


@pytest.mark.parametrize("source", [3, None, {"wte.weight": 1}, torch.nn.Linear(2, 2), GPT(CONFIG)])
def test_what_is_no_source_at_all(source: Any) -> None:
    kind = type(source).__name__
    with says(
        ValueError, f"a GPT-2 cannot be read from a {kind}: give a folder, a name on the hub, or a GPT2LMHeadModel"
    ):
        from_hf(source)


@pytest.mark.parametrize("source", [5, None, b"gpt2"])
def test_what_names_no_tokenizer(source: Any, good: Path) -> None:
    for arguments in ((source,), (source, good / "merges.txt")):
        with says(ValueError, f"{source!r} names no model: give a folder, or a name on the hub, as 'gpt2'"):
            gpt2_tokenizer(*arguments)


def test_shapes_without_numbers(tmp_path: Path) -> None:
    """For a model that was made on the device meta and never filled."""
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        theirs, ours = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1)), GPT(CONFIG)
    with says(ValueError, "transformer.wte.weight is on the device meta and holds no numbers: load the model before"):
        from_hf(theirs)
    with says(ValueError, "token_embedding.weight is on the device meta and holds no numbers: load the model before"):
        to_hf(ours, tmp_path / "m")
    assert not (tmp_path / "m").exists()


# ---- what it says of itself


def test_a_folder_without_a_description(folder: Path) -> None:
    (folder / "config.json").unlink()
    with says(FileNotFoundError, f"{folder} has no config.json: give the folder of a GPT-2, as transformers saves it"):
        from_hf(folder)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"", b"[" * 100_000])
def test_a_damaged_description(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with says(ValueError, f"{folder / 'config.json'} is damaged: copy or download it again"):
        from_hf(folder)
    assert not is_pretrained(folder)


def test_a_description_is_read_before_the_tensors(folder: Path) -> None:
    """What is no GPT-2 is told from its description: a reader should not hear of a file of gigabytes first."""
    change(folder / "config.json", activation_function="relu")
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with says(ValueError, "activation_function is 'relu' in this configuration"):
        from_hf(folder)


def test_an_inner_width_may_be_written_out() -> None:
    """Four times n_embd is what a GPT-2 has when it says nothing, and ours has no other."""
    sizes = {"vocab_size": 300, "n_positions": 12, "n_layer": 2, "n_head": 2, "n_embd": 8}
    assert (
        config_from_hf({**sizes, "n_inner": 32}) == config_from_hf({**sizes, "n_inner": None}) == config_from_hf(sizes)
    )
    with says(ValueError, "n_inner is 40 in this configuration, and ours can be None"):
        config_from_hf({**sizes, "n_inner": 40})


def test_a_head_of_almost_the_same_numbers_is_not_dropped(folder: Path) -> None:
    table = load_file(folder / "model.safetensors")["transformer.wte.weight"]
    change_tensors(folder, lm_head__weight=table * (1 + 1e-5))
    with says(ValueError, "lm_head.weight is not the table wte.weight: set tie_word_"):
        from_hf(folder)


def test_a_run_folder_of_ours() -> None:
    with says(ValueError, f"{shipped()} is a run folder of gptlib, not of Hugging Face: read it with gptlib.load"):
        from_hf(shipped())
    with says(ValueError, "is a tokenizer that gptlib saved: read it with gptlib.load_tokenizer"):
        gpt2_tokenizer(shipped())


@pytest.mark.parametrize(
    "name, value",
    [
        ("model_type", "llama"),
        ("n_inner", 17),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("add_cross_attention", True),
        ("activation_function", "relu"),
    ],
)
def test_a_gpt2_that_ours_cannot_be(folder: Path, name: str, value: Any) -> None:
    """Each by its name, before any tensor is looked at."""
    change(folder / "config.json", **{name: value})
    with says(ValueError, f"{name} is {value!r} in this configuration, and ours can be "):
        from_hf(folder)


def test_sizes_that_no_model_has() -> None:
    with says(ValueError, "n_embd is 768, which 5 heads cannot share evenly"):
        config_from_hf({"n_head": 5})
    with says(ValueError, "block_size is 0; give an int of at least 1"):
        config_from_hf({"n_positions": 0})
    with says(ValueError, "n_embd is None; give an int of at least 1"):
        config_from_hf({"n_embd": None})


@pytest.mark.parametrize(
    "name, size, found",
    [
        ("n_layer", 20_000, "the number of tensors is 28"),
        ("n_embd", 10**9, "no tensor is longer than 300"),
        ("n_embd", 10**30, "no tensor is longer than 300"),
        ("vocab_size", 10**18, "no tensor is longer than 300"),
        ("n_positions", 10**18, "no tensor is longer than 300"),
    ],
)
def test_sizes_that_the_weights_cannot_have(folder: Path, name: str, size: int, found: str) -> None:
    """They would take a minute to make, or more than a number can count, before a shape could be compared."""
    change(folder / "config.json", **{name: size})
    with says(ValueError, f"{name} is {size:,} in this configuration, and {found}: correct one"):
        from_hf(folder)
    change_tensors(folder, more=torch.empty(0, 10**6))  # a side that costs nothing allows nothing
    with says(ValueError, f"{name} is {size:,} in this configuration, and "):
        from_hf(folder)


# ---- what it holds


def test_a_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with says(FileNotFoundError, f"{folder} has no model.safetensors: give the folder of a GPT-2"):
        from_hf(folder)
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with says(FileNotFoundError, "what is pickled is not read here: open it with transformers and save it again"):
        from_hf(folder)


def test_damaged_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    for content in (b"", path.read_bytes()[:-10], b"x" * 100):
        path.write_bytes(content)
        with says(ValueError, f"{path} is damaged ("):
            from_hf(folder)


def test_several_files_of_which_one_is_missing_or_wrong(folder: Path) -> None:
    names = list(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": dict.fromkeys(names, "model-2.safetensors")}), encoding="utf-8", newline="\n"
    )
    with says(
        FileNotFoundError, f"{folder} lacks model-2.safetensors, which its {index.name} names: download it again"
    ):
        from_hf(folder)
    change(index, weight_map=dict.fromkeys([*names, "more"], "model-1.safetensors"))
    with says(ValueError, "model-1.safetensors is damaged ("):
        from_hf(folder)
    for content in ({}, {"weight_map": ["a"]}, {"weight_map": {"a": 1}}):
        index.write_text(json.dumps(content), encoding="utf-8", newline="\n")
        with says(ValueError, f"{index} is damaged: copy or download it again"):
            from_hf(folder)


def test_tensors_that_are_missing_left_over_or_misshapen(folder: Path) -> None:
    original = (folder / "model.safetensors").read_bytes()
    for changes, sentence in (
        ({"transformer__h__1__mlp__c_fc__bias": None}, "the weights lack h.1.mlp.c_fc.bias: "),
        ({"score__weight": torch.ones(2, 8)}, "score.weight of shape (2, 8) has no place in this GPT: "),
        ({"transformer__h__2__ln_1__bias": torch.ones(8)}, "transformer.h.2.ln_1.bias of shape (8,) has no place"),
        ({"wte__weight": torch.ones(300, 8)}, "transformer.wte.weight of shape (300, 8) has no place"),
        ({"transformer__wpe__weight": torch.ones(13, 8)}, "transformer.wpe.weight has the shape (13, 8), and its "),
        (
            {"transformer__h__0__attn__c_attn__weight": torch.ones(24, 8)},
            "c_attn.weight has the shape (24, 8), and its ",
        ),
        ({"lm_head__weight": torch.ones(300, 8)}, "lm_head.weight is not the table wte.weight: set tie_word_"),
        ({"lm_head__weight": torch.ones(3, 8)}, "lm_head.weight is not the table wte.weight: set tie_word_"),
        ({"lm_head__weight": torch.ones(())}, "lm_head.weight is not the table wte.weight: set tie_word_"),
        (
            {"lm_head__weight": torch.ones(()), "transformer__wte__weight": torch.ones(()), "more": torch.ones(300)},
            "transformer.wte.weight has the shape (), and its configuration asks for (300, 8)",
        ),
        (
            {"lm_head__weight": EMPTY, "transformer__wte__weight": EMPTY, "more": torch.ones(300)},
            "transformer.wte.weight has the shape (300, 0), and its configuration asks for (300, 8)",
        ),
        (
            {"transformer__ln_f__bias": torch.ones(8, dtype=torch.int8)},
            "holds numbers of the type 'I8': save it with F64,",
        ),
    ):
        (folder / "model.safetensors").write_bytes(original)
        change_tensors(folder, **changes)
        with says(ValueError, sentence):
            from_hf(folder)


def test_an_untied_head_must_be_there(folder: Path) -> None:
    change(folder / "config.json", tie_word_embeddings=False)
    with says(ValueError, "the weights lack lm_head.weight: "):
        from_hf(folder)


# ---- the tokenizer


def test_a_folder_without_a_tokenizer(folder: Path) -> None:
    (folder / "merges.txt").unlink()
    with says(
        FileNotFoundError, f"{folder} has neither tokenizer.json nor vocab.json and merges.txt: give their folder"
    ):
        gpt2_tokenizer(folder)


def test_a_vocabulary_of_other_merges(folder: Path) -> None:
    with (folder / "merges.txt").open("a", encoding="utf-8", newline="\n") as file:
        file.write("the z\n")
    with pytest.raises(ValueError, match=r"the vocabulary lacks|joins"):
        gpt2_tokenizer(folder)


def test_a_vocabulary_that_the_model_does_not_know(folder: Path) -> None:
    small = GPT(GPTConfig(200, block_size=12, n_layer=1, n_head=2, n_embd=8))
    for name in ("model.safetensors", "config.json"):
        (folder / name).unlink()
        shutil.copy(to_hf(small, folder / name.partition(".")[0]) / name, folder / name)
    for load in (load_pretrained, gptlib.load):
        with says(
            ValueError, "the tokenizer has 270 tokens and the model knows 200: give the one that it learned with"
        ):
            load(folder)


@pytest.mark.parametrize(
    "part, field, value, sentence",
    [
        ("model", "type", "Unigram", "has the type of the model 'Unigram', and GPT-2 'BPE'"),
        ("", "normalizer", {"type": "NFC"}, "has the normalizer"),
        ("pre_tokenizer", "type", "Metaspace", "has the pre_tokenizer 'Metaspace'"),
        ("pre_tokenizer", "add_prefix_space", True, "has the add_prefix_space 'True', and GPT-2 False"),
        ("pre_tokenizer", "use_regex", False, "has the use_regex 'False'"),
        ("model", "dropout", 0.1, "has the dropout '0.1'"),
        ("model", "ignore_merges", True, "has the ignore_merges 'True'"),
        ("model", "end_of_word_suffix", "</w>", "has the end_of_word_suffix '</w>'"),
        ("", "post_processor", {"type": "RobertaProcessing"}, "has the post_processor 'RobertaProcessing', and GPT-2 "),
        (
            "",
            "post_processor",
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a"}}, {"Sequence": {"id": "A"}}]},
            "has the post_processor 'TemplateProcessing', and GPT-2 'ByteLevel'",
        ),
        ("", "added_tokens", [{"id": 0, "content": "a", "lstrip": True}], "has the lstrip of a special token 'True'"),
        ("", "added_tokens", [{"id": 0, "content": "a", "rstrip": True}], "has the rstrip of a special token 'True'"),
        (
            "",
            "added_tokens",
            [{"id": 0, "content": "a", "single_word": True}],
            "has the single_word of a special token",
        ),
        (
            "",
            "added_tokens",
            [{"id": "a", "content": "a"}],
            "is not in a format known here: give vocab.json and merges",
        ),
        ("model", "merges", [["a"]], "is not in a format known here: give vocab.json and merges.txt"),
        ("model", "vocab", 3, "is not in a format known here: give vocab.json and merges.txt"),
        ("", "model", None, "is not in a format known here: give vocab.json and merges.txt"),
    ],
)
def test_a_tokenizer_that_cuts_texts_otherwise(
    tmp_path: Path, part: str, field: str, value: Any, sentence: str
) -> None:
    """Silently other ids would be the worst that a tokenizer can do."""
    fields: dict[str, Any] = {
        "model": {"type": "BPE", "vocab": {}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
    }
    (fields[part] if part else fields)[field] = value
    (tmp_path / "tokenizer.json").write_text(json.dumps(fields), encoding="utf-8", newline="\n")
    with says(ValueError, sentence):
        gpt2_tokenizer(tmp_path)


# ---- the way back


def test_nothing_is_written_over(folder: Path, tmp_path: Path, tokenizer: BPETokenizer) -> None:
    """A run folder has files of the same names."""
    model = GPT(CONFIG)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in (folder, shipped()):
        with says(ValueError, f"{path} holds a config.json already, which would be lost or mixed up: name another"):
            to_hf(model, path, tokenizer)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["merges.txt", "tokenizer_config.json", "added_tokens.json", "pytorch_model.bin"])
def test_nothing_that_would_be_read_along_stays(tmp_path: Path, tokenizer: BPETokenizer, name: str) -> None:
    """For a file that is lost without a word, and one that says something else than what is written beside it."""
    (tmp_path / name).write_text("mine", encoding="utf-8", newline="\n")
    with says(ValueError, f"{tmp_path} holds a {name} already, which would be lost or mixed up: name another folder"):
        to_hf(GPT(CONFIG), tmp_path, tokenizer)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_made(folder: Path, tmp_path: Path) -> None:
    model = GPT(CONFIG)
    for path in (folder / "vocab.json", folder / "vocab.json" / "m", tmp_path / ("a" * 999)):
        with says(ValueError, f"the folder {str(path)[:100]!r} cannot be made ("):
            to_hf(model, path)
    with says(ValueError, "a model cannot be written to a NoneType: name a folder"):
        to_hf(model, None)


@pytest.mark.parametrize("model", [None, torch.nn.Linear(2, 2), "gpt2"])
def test_what_is_no_model_of_ours(tmp_path: Path, model: Any) -> None:
    with says(ValueError, f"a {type(model).__name__} is no GPT of gptlib: give one that gptlib.load or from_hf gave"):
        to_hf(model, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_tokenizer_that_gpt2_cannot_have(tmp_path: Path) -> None:
    model = GPT(CONFIG)
    wrong = [CharTokenizer("abc"), BPETokenizer.train("abc", 260, pattern=r"\w+|\W")]
    for tokenizer in wrong:
        with says(ValueError, "cuts texts in another way than GPT-2: give a BPETokenizer with GPT2_PATTERN"):
            to_hf(model, tmp_path / "m", tokenizer)
    with says(ValueError, "the tokenizer has 301 tokens and the model knows 300: give the one that it learned with"):
        to_hf(model, tmp_path / "m", BPETokenizer.train("", 301, special_tokens=[f"<{i}>" for i in range(45)]))
    with says(ValueError, "a special token of ['ab'] is spelled as an ordinary one"):
        plain = BPETokenizer.train("ab ab ab", 257, special_tokens=[])
        to_hf(model, tmp_path / "m", BPETokenizer(plain.vocab, plain.merges, ["ab"]))
    assert not (tmp_path / "m" / "config.json").exists()


def test_the_commands_say_it_in_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gptlib.cli import main

    change(folder / "config.json", model_type="llama")
    for arguments, sentence in (
        (["generate", "--prompt", "The"], "model_type is 'llama' in this configuration"),
        (["info"], "model_type is 'llama' in this configuration"),
    ):
        with pytest.raises(SystemExit) as exit:
            main([*arguments, "--run", str(folder)])
        assert exit.value.code == 2 and sentence in capsys.readouterr().err
    change(folder / "config.json", model_type="gpt2")
    with pytest.raises(SystemExit):
        main(["eval", "--run", str(folder)])
    assert "does not say what it was trained on: name a text with --data_path" in capsys.readouterr().err
