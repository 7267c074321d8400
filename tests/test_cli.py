"""The commands, as a user types them, on a small text of their own."""

import gzip
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from gptlib import _commands
from gptlib._token_files import read_header
from gptlib.cli import main

TEXT = "".join(f"{i} frogs sat on log {i % 7}. Then {i % 5} jumped off, said the heron.\n" for i in range(60))
TOTAL, HELD_BACK = len(TEXT), 346  # characters; the last tenth from the nearest place where a text may be cut
SIZES = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 16, "batch_size": 4, "eval_every": 4, "device": "cpu"}
SMALL = [f"--{name}={value}" for name, value in SIZES.items()]
TRAIN = ["train", "--tokenizer=char", *SMALL, "--data_path"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a text file in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frogs.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    return tmp_path


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight updates on the frogs."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "frogs.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    main([*TRAIN, str(folder / "frogs.txt"), "--max_steps", "8", "--run_dir", str(folder / "run")])
    return folder / "run"


def test_train_says_what_to_expect_and_leaves_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAIN, "frogs.txt", "--epochs", "1"])
    out = capsys.readouterr().out
    (run,) = (here / "runs").iterdir()
    vocabulary = len(set(TEXT)) + 1  # the end mark too
    assert f"begins near ln {vocabulary} = {math.log(vocabulary):.2f}" in out
    assert "epoch" in out and "parameters" in out and "on cpu" in out and run.name in out
    assert {path.name for path in run.iterdir()} == {
        "config.json",
        "log.csv",
        "model.safetensors",
        "state",
        "tokenizer.json",
    }
    facts = json.loads((run / "config.json").read_text(encoding="utf-8"))["facts"]
    assert facts["data_path"] == "frogs.txt" and facts["evaluation"]["loss"] > 0


def test_epochs_count_the_tokens_of_the_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half the epochs are half the updates: an epoch that ignored batch or block size would not be."""
    updates = []
    for epochs in ("1", "2"):
        main(
            [
                "train",
                "--data_path",
                "frogs.txt",
                "--tokenizer",
                "char",
                "--epochs",
                epochs,
                "--run_dir",
                epochs,
                *SMALL,
            ]
        )
        log = (here / epochs / "log.csv").read_text(encoding="utf-8").splitlines()
        updates.append(int(log[-1].split(",")[0]))
    n_train = int(len(TEXT) * 0.9)
    assert updates[0] == round(n_train / (4 * 16)) and updates[1] == round(2 * n_train / (4 * 16))


def test_bpe_is_the_default_and_vocab_size_its_size(here: Path) -> None:
    main(["train", "--data_path", "frogs.txt", "--vocab_size", "280", "--max_steps", "1", "--run_dir", "r", *SMALL])
    model = json.loads(Path("r/config.json").read_text(encoding="utf-8"))["model"]
    assert model["vocab_size"] == 280 and model["block_size"] == 16


def test_dashes_work_like_underscores(here: Path) -> None:
    flags = [flag.replace("_", "-") if flag.startswith("--") else flag for flag in SMALL]
    main(
        ["train", "--data-path", "frogs.txt", "--tokenizer", "char", "--max-steps", "1", "--run-dir", "dashed", *flags]
    )
    assert (here / "dashed" / "model.safetensors").is_file()


def test_resume_goes_on_to_the_same_weights(here: Path) -> None:
    """Stopped after 4 of 8 and gone on with equals 8 in one go, bit for bit."""
    train = [*TRAIN, "frogs.txt", "--min_lr", "1"]
    main([*train, "--max_steps", "8", "--run_dir", "whole"])
    main([*train, "--max_steps", "4", "--run_dir", "parts"])
    main([*train, "--max_steps", "8", "--run_dir", "parts", "--resume"])
    assert Path("whole/model.safetensors").read_bytes() == Path("parts/model.safetensors").read_bytes()


def test_resume_needs_no_flags_but_the_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Flags that fall back to their defaults, the text among them; a length that was given once and cannot change."""
    odd = ["--lr", "0.003", "--optimizer", "adamw", "--betas", "0.8", "0.9", "--dropout", "0.1", "--min_lr", "1"]
    main([*TRAIN, "frogs.txt", *odd, "--max_steps", "9", "--run_dir", "whole"])
    main([*TRAIN, "frogs.txt", *odd, "--max_steps", "5", "--run_dir", "runs/parts"])
    main(["train", "--resume", "--run_dir", "runs/parts", "--max_steps", "7"])
    main(["train", "--max-steps=9", "--resume"])  # of the newest run
    assert Path("whole/model.safetensors").read_bytes() == Path("runs/parts/model.safetensors").read_bytes()
    capsys.readouterr()
    main(["train", "--resume", "--run_dir", "runs/parts", "--epochs", "2"])
    captured = capsys.readouterr()
    n_updates = round(2 * (TOTAL - HELD_BACK) / (4 * 16))
    assert f"updates     {n_updates} of 64" in captured.out and f"had 9 updates and has {n_updates} now" in captured.err
    log = Path("runs/parts/log.csv").read_text(encoding="utf-8").splitlines()
    assert log[-1].startswith(f"{n_updates},")
    main(["train", "--resume", "--run_dir", "runs/parts"])
    assert Path("runs/parts/log.csv").read_text(encoding="utf-8").splitlines() == log


@pytest.fixture
def prepared(here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The frogs as token files of characters."""
    main(["prepare", "frogs.txt", "--tokenizer", "char", "--workers", "0"])
    assert "go on with: gptlib train --data_path prepared/frogs" in capsys.readouterr().out.replace("\\", "/")
    return "prepared/frogs"


def test_a_prepared_folder_is_trained_on_and_measured(
    prepared: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text encoded again, or bits per byte that count tokens for bytes."""
    monkeypatch.setattr(_commands, "load_text", None)
    main(["train", *SMALL, "--data_path", prepared, "--max_steps", "2", "--run_dir", "r"])
    assert f"{TOTAL - HELD_BACK:,} tokens to train on, {HELD_BACK} held back" in capsys.readouterr().out
    facts = json.loads(Path("r/config.json").read_text(encoding="utf-8"))["facts"]
    assert facts["data_path"] == prepared
    assert Path("r/tokenizer.json").read_bytes() == Path(prepared, "tokenizer.json").read_bytes()
    for argv in ([], ["--data_path", prepared]):
        main(["eval", "--run", "r", "--json", *argv])
        result = json.loads(capsys.readouterr().out)
        assert math.isclose(result["loss"], facts["evaluation"]["loss"], rel_tol=1e-6)
        assert math.isclose(result["bits_per_byte"], result["loss"] / math.log(2) * (HELD_BACK - 1) / HELD_BACK)


def test_eval_of_a_prepared_text_and_of_the_text_agree(prepared: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A validation part that the header counts otherwise than `documents` does."""
    main(["train", *SMALL, "--data_path", prepared, "--max_steps", "2", "--run_dir", "r"])
    Path("val.txt").write_text(TEXT[-HELD_BACK:], encoding="utf-8", newline="\n")
    capsys.readouterr()
    results = []
    for path in (prepared, "val.txt"):
        main(["eval", "--run", "r", "--json", "--data_path", path])
        results.append(json.loads(capsys.readouterr().out))
    assert {**results[0], "data_path": ""} == {**results[1], "data_path": ""}


def test_bits_per_byte_count_bytes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With characters a token is a byte, and nothing shows; with longer tokens, tokens for bytes are bits per token."""
    main(["prepare", "frogs.txt", "--vocab_size", "300", "--workers", "0"])
    main(["train", *SMALL, "--data_path", "prepared/frogs", "--max_steps", "2", "--run_dir", "r"])
    Path("val.txt").write_text(TEXT[-HELD_BACK:], encoding="utf-8", newline="\n")
    n_tokens = read_header(Path("prepared/frogs/val.tokens"))["count"]
    assert n_tokens < HELD_BACK / 2
    for path in ("prepared/frogs", "val.txt"):
        capsys.readouterr()
        main(["eval", "--run", "r", "--json", "--data_path", path])
        result = json.loads(capsys.readouterr().out)
        assert math.isclose(result["bits_per_byte"], result["loss"] / math.log(2) * (n_tokens - 1) / HELD_BACK)


def test_resume_from_a_prepared_folder(prepared: str) -> None:
    train = ["train", *SMALL, "--data_path", prepared, "--min_lr", "1"]
    main([*train, "--max_steps", "8", "--run_dir", "whole"])
    main([*train, "--max_steps", "4", "--run_dir", "parts", "--tokenizer", f"{prepared}/tokenizer.json"])
    main([*train, "--max_steps", "8", "--run_dir", "parts", "--resume"])
    assert Path("whole/model.safetensors").read_bytes() == Path("parts/model.safetensors").read_bytes()


def test_a_folder_of_texts_and_a_gzip_are_trained_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("books").mkdir()
    Path("books/a.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    Path("frogs.gz").write_bytes(gzip.compress(TEXT.encode()))
    for path in ("books", "frogs.gz"):
        main([*TRAIN, path, "--max_steps", "1", "--run_dir", f"run_{path}"])
        main(["eval", "--run", f"run_{path}", "--json"])
    lines = capsys.readouterr().out.splitlines()
    losses = [json.loads(line)["loss"] for line in lines if line.startswith("{")]
    assert len(losses) == 2 and losses[0] == losses[1]


def test_generate_streams_a_continuation_that_a_seed_repeats(
    run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for seed in ("3", "3", "4", "5"):
        main(["generate", "--prompt", "5 frogs", "--run", str(run_folder), "--seed", seed, "--max_new_tokens", "40"])
        captured = capsys.readouterr()
        assert str(run_folder) in captured.err  # says which run it takes
        texts.append(captured.out)
    assert texts[0] == texts[1] and len(set(texts)) > 1
    assert all(text.startswith("5 frogs") for text in texts) and max(map(len, texts)) > len("5 frogs\n")


def test_generate_takes_the_newest_run_and_else_the_model_that_ships(
    run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["generate", "--prompt", "Once upon a time", "--max_new_tokens", "3", "--seed", "0"])
    assert "ships with gptlib" in capsys.readouterr().err
    for name in ("a", "b"):
        (here / "runs").mkdir(exist_ok=True)
        (here / "runs" / name).symlink_to(run_folder)
    main(["generate", "--prompt", "5 frogs", "--max_new_tokens", "3", "--seed", "0"])
    assert "runs" in capsys.readouterr().err


def test_a_long_prompt_is_cropped_and_the_user_told(
    run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["generate", "--prompt", "5 frogs sat on log 5. Then 0 jumped", "--run", str(run_folder), "--seed", "0"])
    captured = capsys.readouterr()
    assert captured.out.startswith("5 frogs sat on log 5. Then 0 jumped")
    assert "16" in captured.err and "Warning" not in captured.err


def test_eval_prints_json_that_agrees_with_itself(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["eval", "--run", str(run_folder), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert math.isclose(result["perplexity"], math.exp(result["loss"]))
    text = TEXT[int(len(TEXT) * 0.9) :]  # one token is one byte here; the first has nothing before it
    assert math.isclose(result["bits_per_byte"], result["loss"] / math.log(2) * (len(text) - 1) / len(text))
    assert "floor" not in result
    stored = json.loads((run_folder / "config.json").read_text(encoding="utf-8"))["facts"]["evaluation"]
    assert math.isclose(result["loss"], stored["loss"], rel_tol=1e-6)


def test_eval_of_another_text(run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["eval", "--run", str(run_folder), "--data_path", "frogs.txt"])
    assert "bits per byte" in capsys.readouterr().out


def test_info_and_doctor(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", "--run", str(run_folder)])
    assert "n_embd" in capsys.readouterr().out
    main(["doctor", "--device", "cpu"])
    out = capsys.readouterr().out
    assert "agrees" in out and "torch" in out


def test_python_dash_m(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "gptlib", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "generate" in done.stdout


def test_every_field_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import fields

    from gptlib.model import GPTConfig
    from gptlib.training import TrainConfig

    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for name in [field.name for field in (*fields(GPTConfig), *fields(TrainConfig))] + ["data_path", "resume"]:
        assert f"--{name}" in out
