"""What a command answers to bad input: one sentence with the value in it, no traceback, exit status 2."""

from pathlib import Path

import pytest
from test_cli import TEXT, TRAIN

from gptlib.cli import main
from gptlib.tokenizer import CharTokenizer

TRAIN = [*TRAIN[:-1], "--max_steps=1", TRAIN[-1]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frogs.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    return tmp_path


def sentence(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail well; give back what it says."""
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("gptlib: ") and "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "no file"),
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"frog\0frog", "binary"),
        (b"caf\xe9 " * 50, "UTF-8"),
        (b"short", "short"),
    ],
)
def test_texts(content: bytes | None, word: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        (here / "odd.txt").write_bytes(content)
    said = sentence([*TRAIN, "odd.txt"], capsys)
    assert word in said or (word == "short" and "16" in said)
    assert not (here / "runs").exists(), "a run that cannot begin leaves nothing"


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        ("--n_embd 10 --n_head 4", "10"),
        ("--n_embd 2 --n_head 64", "swapped"),
        ("--batch_size 0", "0"),
        ("--lr -1", "-1"),
        ("--device cuda:9", "cuda:9"),
        ("--tokenizer nothing.json", "nothing.json"),
        ("--tokenizer bpe --vocab_size 100", "100"),
        ("--tokenizer char --vocab_size 300", "--vocab_size 300 is for a tokenizer that is learned"),
        ("--precision float16", "float16"),
        ("--resume --run_dir nowhere", "nowhere"),
    ],
)
def test_training_flags(flags: str, value: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert value in sentence([*TRAIN, "frogs.txt", *flags.split()], capsys)


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        (["--prompt", ""], "prompt"),
        (["--prompt", "Once", "--top_k", "0"], "top_k is 0"),
        (["--prompt", "Once", "--top_p", "1.5"], "1.5"),
        (["--prompt", "Once", "--top_p", "0"], "top_p is 0"),
        (["--prompt", "Once", "--temperature", "-1"], "-1"),
        (["--prompt", "Once", "--max_new_tokens", "-3"], "-3"),
        (["--prompt", "Once", "--run", "nowhere"], "nowhere"),
        (["--prompt", "Once", "--device", "abacus"], "abacus"),
        ([], "--prompt_file PATH"),
        (["--prompt_file", "nowhere.txt"], "nowhere.txt"),
        (["--prompt", "Once", "--stop", ""], "stop holds an empty text"),
        (["--prompt", "Once", "--forbid", "a", ""], "forbid holds an empty text"),
        (["--prompt", "Once", "--min_new_tokens", "300"], "min_new_tokens is 300 and max_new_tokens is 200"),
        (["--prompt", "Once", "--repetition_penalty", "0"], "repetition_penalty is 0.0"),
        (["--prompt", "Once", "--n_best", "0"], "n is 0; give at least 1"),
        (["--prompt", "Once", "--n_best", "2", "--temperature", "0.8"], "--temperature is 0.8"),
        (["--prompt", "Once", "--require", "moon", "--seed", "1"], "--seed is 1"),
        (["--prompt", "Once", "--n_best", "2", "--repetition_penalty", "1.2"], "--repetition_penalty is 1.2"),
        (["--prompt", "Once", "--require", "moon", "--forbid", "moo"], "'moon' is required"),
    ],
)
def test_generate(flags: list[str], value: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert value in sentence(["generate", *flags], capsys)


@pytest.mark.parametrize(
    ("content", "word"), [(b"", "empty"), (b" \n", "empty"), (b"frog\0frog", "binary"), (b"caf\xe9 " * 50, "UTF-8")]
)
def test_prompt_files(content: bytes, word: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "odd.txt").write_bytes(content)
    assert word in sentence(["generate", "--prompt_file", "odd.txt", "--prompt", "Once"], capsys)


def test_an_unknown_character(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAIN, "frogs.txt", "--run_dir", "r"])
    capsys.readouterr()
    assert "ß" in sentence(["generate", "--prompt", "5 ß", "--run", "r"], capsys)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["missing", "cut short", "other"])
def test_damaged_runs(name: str, damage: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAIN, "frogs.txt", "--run_dir", "r"])
    capsys.readouterr()
    path = here / "r" / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50] if damage == "cut short" else b'{"format": "something else"}')
    assert name in sentence(["generate", "--prompt", "5", "--run", "r"], capsys)


def test_a_run_that_exists_is_not_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAIN, "frogs.txt", "--run_dir", "r"])
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in (here / "r").iterdir() if path.is_file()}
    assert "r" in sentence([*TRAIN, "frogs.txt", "--run_dir", "r"], capsys)
    assert before == {path.name: path.read_bytes() for path in (here / "r").iterdir() if path.is_file()}


@pytest.fixture
def prepared(here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    main(["prepare", "frogs.txt", "--tokenizer", "char", "--workers", "0"])
    capsys.readouterr()
    return "prepared/frogs"


def test_another_tokenizer_for_a_prepared_text(prepared: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Valid ids that mean other characters: the loss falls all the same."""
    train = [*TRAIN, prepared]
    train.remove("--tokenizer=char")
    CharTokenizer(TEXT + "ß").save("other.json")
    assert "was prepared with the tokenizer" in sentence([*train, "--tokenizer", "other.json"], capsys)
    assert "has a tokenizer of its own" in sentence([*train, "--tokenizer", "bpe"], capsys)
    assert "--vocab_size 300 is for a tokenizer that is learned" in sentence([*train, "--vocab_size", "300"], capsys)
    main([*TRAIN, "frogs.txt", "--tokenizer", "other.json", "--run_dir", "r"])
    capsys.readouterr()
    assert "and the run's is" in sentence([*train, "--run_dir", "r", "--resume"], capsys)
    assert "and the run's is" in sentence(["eval", "--run", "r", "--data_path", prepared], capsys)


def test_a_half_prepared_text(prepared: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Training on the half that is there."""
    Path(prepared, "val.tokens").unlink()
    train = [*TRAIN, prepared]
    train.remove("--tokenizer=char")
    for argv in (train, ["eval", "--data_path", prepared]):
        said = sentence(argv, capsys)
        assert "prepared/frogs is only half prepared: give the `gptlib prepare` command" in said.replace("\\", "/")


def test_a_prepared_text_of_which_a_file_is_cut_short(prepared: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(prepared, "train.tokens")
    path.write_bytes(path.read_bytes()[:-2])
    train = [*TRAIN, prepared]
    train.remove("--tokenizer=char")
    assert "train.tokens' is damaged" in sentence(train, capsys)


def test_nothing_to_resume(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "resume" in sentence([*TRAIN, "frogs.txt", "--resume"], capsys)


def test_a_changed_setting_is_refused_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAIN, "frogs.txt", "--run_dir", "r"])
    capsys.readouterr()
    assert "lr" in sentence([*TRAIN, "frogs.txt", "--run_dir", "r", "--resume", "--lr", "0.5"], capsys)
    assert "n_layer" in sentence([*TRAIN, "frogs.txt", "--run_dir", "r", "--resume", "--n_layer", "2"], capsys)


def test_another_tokenizer_on_resume(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAIN, "frogs.txt", "--run_dir", "r"])
    CharTokenizer(TEXT + "ß").save("other.json")
    capsys.readouterr()
    for other in ("bpe", "other.json"):
        said = sentence(["train", "--resume", "--run_dir", "r", "--tokenizer", other], capsys)
        assert f"r was begun with another tokenizer than {other}: leave --tokenizer out" in said
    main(["train", "--resume", "--run_dir", "r", "--tokenizer", "char"])


def test_another_text_on_resume(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As long as the other, and of the same characters."""
    main([*TRAIN, "frogs.txt", "--run_dir", "r"])
    Path("other.txt").write_text(TEXT[::-1], encoding="utf-8", newline="\n")
    capsys.readouterr()
    said = sentence(["train", "--resume", "--run_dir", "r", "--data_path", "other.txt"], capsys)
    assert "_t" in said and "in this run and is" in said


def test_settings_that_nobody_knows(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAIN, "frogs.txt", "--run_dir", "r"])
    path = Path("r/config.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"lr":', '"rate":'), encoding="utf-8", newline="\n")
    capsys.readouterr()
    said = sentence(["train", "--resume", "--run_dir", "r"], capsys)
    assert "config.json has no settings that this gptlib can go on with" in said and "rate" in said
