"""What `gptlib prepare` answers to bad input: one sentence, exit status 2, and what stood there still stands there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_errors_cli import sentence
from test_prepare import LIMIT, ROOT, alive, contents, linux, wait_until_gone

from gptlib import _prepare
from gptlib._prepare import prepare
from gptlib.data import open_tokens
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer

TEXT = "".join(f"{i} frogs sat on log {i % 7}. Then {i % 5} jumped off, said the heron.\n" for i in range(600))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frogs.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    return tmp_path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"frogs", "cannot be split"),
        (b"fr\0gs in a pond " * 50, "is a binary file"),
        (b"\x1f\x8b\x08frogs", "is a damaged gzip file"),
        (b"caf\xe9 " * 50, "is not UTF-8 (byte 3 is 0xe9)"),
    ],
)
def test_texts_that_are_none(content: bytes | None, words: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        (here / "odd.txt").write_bytes(content)
    said = sentence(["prepare", "odd.txt", "--workers", "0", "--vocab_size", "300"], capsys)
    assert words in said and "odd.txt" in said
    assert not Path("prepared/odd").exists(), "what cannot begin leaves nothing"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--val_fraction 1.5", "val_fraction is 1.5"),
        ("--sample_mb -1", "sample_mb is -1"),
        ("--workers -2", "workers is -2"),
        ("--vocab_size 100", "vocab_size is 100"),
        ("--tokenizer nothing.json", "nothing.json"),
        ("--tokenizer char --vocab_size 300", "--vocab_size 300 is for the tokenizer bpe, not for char"),
        ("--tokenizer char --engine tiktoken", "tiktoken cannot stand for CharTokenizer"),
        ("--data_path frogs.txt", "name the text to prepare, once"),
        ("--out frogs.txt", "frogs.txt is a file, and a folder is needed"),
    ],
)
def test_flags(flags: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in sentence(["prepare", "frogs.txt", *flags.split()], capsys)
    assert (here / "frogs.txt").read_text(encoding="utf-8") == TEXT


def test_no_text_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name the text to prepare, once: gptlib prepare big.txt" in sentence(["prepare"], capsys)


@linux
def test_one_bad_byte_deep_inside_ends_all_workers(here: Path) -> None:
    """A traceback per worker, processes that go on without a parent, or a byte counted from its piece."""
    content = bytearray((TEXT * 100).encode())
    content[2_500_000] = 0xFF
    (here / "bad.txt").write_bytes(content)
    code = "from gptlib import _prepare as p, cli; p.prepare.__kwdefaults__['piece_bytes'] = 40_000; cli.main()"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", code, "prepare", "bad.txt", "--vocab_size", "257", "--sample_mb", "0.1"]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    said = process.communicate(timeout=LIMIT)[1]
    wait_until_gone(process.pid)
    assert process.returncode == 2 and "Traceback" not in said and not alive(process.pid)
    assert said.splitlines()[-1] == "gptlib: 'bad.txt' is not UTF-8 (byte 2500000 is 0xff): save it as UTF-8"


def test_other_files_stay(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of somebody's notes, written over or emptied."""
    (here / "notes").mkdir()
    for name in ("notes/val.tokens", "drafts/unfinished/novel"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("mine", encoding="utf-8")
        folder = name.partition("/")[0]
        said = sentence(["prepare", "frogs.txt", "--out", folder], capsys)
        assert f"the folder {folder} holds other files: name another with --out" in said
        assert [path.name for path in (here / folder).iterdir()] == [name.split("/")[1]]
        assert (here / name).read_text(encoding="utf-8") == "mine"


def test_what_was_stopped_at_once_begins_anew(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scratch text of another source, or a folder that nobody may use again."""
    (here / "toads").mkdir()
    (here / "toads" / "a.txt").write_text(TEXT.replace("frog", "toad"), encoding="utf-8", newline="\n")
    with monkeypatch.context() as patch:
        patch.setattr(_prepare, "make_plan", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare("toads", "out", vocab_size=300, workers=0)
    assert (here / "out" / "unfinished" / "text").is_file()
    report = prepare("frogs.txt", "out", vocab_size=300, workers=0)
    assert "frog" in report.tokenizer.decode(open_tokens("out/val.tokens")[:50].tolist())


@pytest.mark.parametrize("finished", [True, False])
def test_another_preparation_stays(
    finished: bool, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of two texts, or of two vocabularies, joined into one file."""
    make = {"vocab_size": 300, "workers": 0}
    with monkeypatch.context() as patch:
        if not finished:
            patch.setattr(_prepare, "join", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
        try:
            prepare("frogs.txt", "out", **make)
        except KeyboardInterrupt:
            assert not finished
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    (here / "toads.txt").write_text(TEXT.replace("frog", "toad"), encoding="utf-8", newline="\n")
    again = "name another with --out, or remove that one"
    for argv, words in {
        "frogs.txt --vocab_size 301": "vocab_size is 300 there and 301 here",
        "frogs.txt --vocab_size 300 --val_fraction 0.2": "val_fraction is 0.1 there and 0.2 here",
        "frogs.txt --vocab_size 300 --sample_mb 1": "sample_mb is 16 there and 1.0 here",
        "frogs.txt --tokenizer char": "tokenizer is 'bpe' there and 'char' here",
        "toads.txt --vocab_size 300": "source is",
    }.items():
        said = sentence(["prepare", *argv.split(), "--out", "out", "--workers", "0"], capsys)
        assert words in said and again in said
    (here / "frogs.txt").write_text(TEXT + "one more", encoding="utf-8", newline="\n")
    assert "bytes is" in sentence(["prepare", "frogs.txt", "--vocab_size", "300", "--out", "out"], capsys)
    os.utime(here / "frogs.txt", ns=(0, 0))
    (here / "frogs.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    os.utime(here / "frogs.txt", ns=(0, 0))
    assert "its source has another size or date now" in sentence(
        ["prepare", "frogs.txt", "--vocab_size", "300", "--out", "out"], capsys
    )
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before


def test_a_text_that_changes_while_it_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of yesterday's text and half of today's, under one header."""
    encode_all = _prepare.encode_all

    def touched(*rest: object) -> None:
        encode_all(*rest)
        os.utime(here / "frogs.txt", ns=(0, 0))

    monkeypatch.setattr(_prepare, "encode_all", touched)
    with pytest.raises(ValueError, match="was changed while it was read: remove the folder out, and start again"):
        prepare("frogs.txt", "out", vocab_size=300, workers=0)
    assert not Path("out/train.tokens").exists()


def test_damage(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare("frogs.txt", "out", vocab_size=300, workers=0)
    for name, words in {
        "prepare.json": "prepare.json is damaged",
        "train.tokens": "is damaged: it should hold",
    }.items():
        whole = (here / "out" / name).read_bytes()
        (here / "out" / name).write_bytes(whole[:-5])
        assert words in sentence(["prepare", "frogs.txt", "--vocab_size", "300", "--out", "out"], capsys)
        (here / "out" / name).write_bytes(whole)
    CharTokenizer("other").save(here / "out" / "tokenizer.json")
    said = sentence(["prepare", "frogs.txt", "--vocab_size", "300", "--out", "out"], capsys)
    assert "was made with the tokenizer" in said


def test_tokenizers_that_cannot_encode_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The worker's sentence must arrive, and a text of documents needs a mark."""
    CharTokenizer("frogs").save(here / "few.json")
    BPETokenizer.train(TEXT, 300, special_tokens=()).save(here / "bare.json")
    said = sentence(["prepare", "frogs.txt", "--tokenizer", "few.json", "--workers", "1"], capsys)
    assert "is not in the vocabulary of 5 characters" in said
    (here / "two.txt").write_text(f"{TEXT}\n{END_OF_TEXT}\n{TEXT}", encoding="utf-8", newline="\n")
    said = sentence(["prepare", "two.txt", "--tokenizer", "bare.json", "--workers", "0"], capsys)
    assert "has no token <|endoftext|>" in said


def test_a_full_disk(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, and a folder that cannot go on."""
    prepare("frogs.txt", "whole", vocab_size=300, workers=0)
    with monkeypatch.context() as patch:
        patch.setattr(_prepare, "write_tokens", lambda *rest: (_ for _ in ()).throw(OSError(28, "No space left")))
        said = sentence(["prepare", "frogs.txt", "--vocab_size", "300", "--out", "out", "--workers", "0"], capsys)
    assert "No space left" in said
    prepare("frogs.txt", "out", vocab_size=300, workers=0)
    assert contents(here / "out") == contents(here / "whole")


def test_a_worker_that_is_killed(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """For want of memory the system ends one: the parent must not wait for its answer."""
    start = _prepare.Worker.__init__

    def short_lived(self: _prepare.Worker, *rest: object) -> None:
        start(self, *rest)
        self.process.kill()

    with monkeypatch.context() as patch:
        patch.setattr(_prepare.Worker, "__init__", short_lived)
        said = sentence(["prepare", "frogs.txt", "--vocab_size", "300", "--out", "out", "--workers", "1"], capsys)
    assert "a worker process was ended from outside (exit code -9)" in said
    prepare("frogs.txt", "out", vocab_size=300, workers=0)
    assert json.loads(Path("out/prepare.json").read_text(encoding="utf-8"))["bytes"] == len(TEXT.encode())


def test_two_at_once_on_one_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two that write the same files: one of them fails with a sentence about a file that nobody knows."""
    with _prepare.alone(Path("out"), "taken"):
        code = "from gptlib.cli import main; main(['prepare', 'frogs.txt', '--vocab_size', '300', '--out', 'out'])"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=here)
    assert other.returncode == 2 and "another gptlib prepare writes into out: wait, or name another" in other.stderr
    prepare("frogs.txt", "out", vocab_size=300, workers=0)


def test_files_beside_the_text_are_not_run(here: Path) -> None:
    """A `regex.py` in the current folder, which the workers would import in the place of the package."""
    for name in ("regex", "tqdm", "numpy"):
        (here / f"{name}.py").write_text("raise SystemExit('this is not for you')", encoding="utf-8", newline="\n")
    command = [sys.executable, "-P", "-m", "gptlib", "prepare", "frogs.txt", "--vocab_size", "300", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=here)
    assert done.returncode == 0, done.stderr


def test_what_a_finished_folder_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence that sends one in a circle: the same command again changes nothing."""
    prepare("frogs.txt", "out", vocab_size=300, workers=0)
    assert "name the folder it is in" in sentence(["train", "--data_path", "out/train.tokens"], capsys)
    BPETokenizer.train("frog", 270).save("out/tokenizer.json")
    said = sentence(["prepare", "frogs.txt", "--vocab_size", "300", "--out", "out"], capsys)
    assert "remove the folder out before that" in said
    assert "name the text to prepare" in sentence(["prepare", ""], capsys)
