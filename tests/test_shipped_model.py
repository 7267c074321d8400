"""The model in data/model: made by today's defaults from today's tales, and as good as its folder says."""

import json
import math
import random
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import gptlib
from gptlib._commands import encoded, measure, sha256
from gptlib._run_folder import read_config
from gptlib._runs import shipped
from gptlib.cli import main
from gptlib.corpora import tales
from gptlib.data import documents, load_text, split_text
from gptlib.model import GPTConfig
from gptlib.training import TrainConfig

REMAKE = "the model in data/model was made otherwise: make it again with `make model`"


@pytest.fixture(scope="module")
def config() -> dict:
    return read_config(shipped())


def test_its_configuration_is_todays_defaults(config: dict) -> None:
    """Whoever changes a default, or the tales, makes the model again."""
    sizes = asdict(GPTConfig())  # a field that came after the model was made has its default
    assert sizes | config["model"] | {"vocab_size": sizes["vocab_size"]} == sizes, REMAKE
    plan = json.loads(json.dumps(asdict(TrainConfig())))  # tuples become lists, as in the file
    assert plan | config["training"] == plan, REMAKE
    assert config["facts"]["text_sha256"] == sha256(load_text("tales")), REMAKE


@pytest.mark.no_type_checks
def test_its_stored_evaluation_is_what_it_measures(config: dict, scale) -> None:
    """All of it with --long; in the short form the first 60 held-out tales, which must not be far from the whole."""
    model, tokenizer = gptlib.load("tales")
    docs = documents(split_text(load_text("tales"))[1])
    stored, n = config["facts"]["evaluation"], scale(60, len(docs))
    part = encoded(f"\n{tales.END_OF_TEXT}\n".join([*docs[:n], ""]), tokenizer)
    found = measure(model, tokenizer, part, is_tales=True)
    tolerance = 0.05 if n < len(docs) else 1e-4
    assert math.isclose(found["bits_per_byte"], stored["bits_per_byte"], rel_tol=tolerance)
    assert abs(found["recall"] - stored["recall"]) <= (0.08 if n < len(docs) else 1 / len(docs))
    assert found["bits_per_byte"] > found["floor"], "no model can be better than the grammar: something leaks"


def test_what_it_promises(config: dict) -> None:
    evaluation = config["facts"]["evaluation"]
    assert 0 < evaluation["above_floor"] <= 0.08
    assert evaluation["recall"] >= 0.9


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in shipped().rglob("*")) < 8e6
    assert {path.name for path in shipped().iterdir()} == {
        "config.json",
        "log.csv",
        "model.safetensors",
        "tokenizer.json",
    }


def test_it_tells_a_tale_that_the_grammar_could_have_told(scale) -> None:
    """Greedy from an opening: the tale is whole, and the parser of the grammar can read it."""
    model, tokenizer = gptlib.load("tales")
    openings = ["Once upon a time there was little Mei, who loved to dance.", "Long ago there lived little Tom,"]
    for opening in openings:
        text = gptlib.complete(model, tokenizer, opening, temperature=0)
        assert tales.score(text) > 0


def test_a_context_of_16_does_not_recall(scale) -> None:
    """If a model that sees only 16 tokens could spell the three words, the tales would be too easy."""
    model, tokenizer = gptlib.load("tales")
    held_out = [tales.read(text) for text in documents(split_text(load_text("tales"))[1])[: scale(20, 320)]]
    right = 0
    for tale in held_out:
        right += all(spells(model, tokenizer, tale.text, span, context=16) for span in tale.marks.values())
    assert right / len(held_out) < 0.1


def spells(model: torch.nn.Module, tokenizer: object, text: str, span: tuple[int, int], context: int) -> bool:
    """Whether greedy decoding writes `text[span]` when it sees only the last `context` tokens before it."""
    start, end = span
    ids, said = [tokenizer.end_id, *tokenizer.encode(text[:start])], ""
    while len(said) < end - start:
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids[-context:]]))[0, -1].argmax()))
        said += tokenizer.decode([ids[-1]])
    return said.startswith(text[start:end])


def test_eval_of_the_shipped_model(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text(tales.tell(random.Random(1)).text, encoding="utf-8", newline="\n")
    main(["eval", "--run", "tales", "--data_path", "one.txt", "--json"])
    assert json.loads(capsys.readouterr().out)["bits_per_byte"] < 1
