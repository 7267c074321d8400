"""The views as a reader has them: in JupyterLab, with a kernel behind, and nobody else to ask."""

from collections.abc import Iterator

import pytest

pytest.importorskip("anywidget")
pytest.importorskip("jupyterlab")

TEXT = "Cousin Mei lost her blue kite."
CELLS = [
    "import time\n"
    "from pathlib import Path\n"
    "import torch\n"
    "import gptlib\n"
    "model, tokenizer = gptlib.load('tales')\n"
    "def wait_for(name):  # so that a test can look while a cell runs\n"
    "    while not Path(name).exists():\n"
    "        time.sleep(0.01)",
    f"view = gptlib.AttentionView(model, {TEXT!r}, tokenizer)\nview",
    f"tokens = gptlib.TokenView(tokenizer, {TEXT!r})\ntokens",
    "sampler = gptlib.SamplerView(model, tokenizer, 'Once upon a time')\nsampler",
    f"lens = gptlib.logit_lens(model, {TEXT!r}, tokenizer)\nlens",
    f"left, right = (gptlib.AttentionView(model, text, tokenizer) for text in [{TEXT!r}] * 2)\n"
    "both = gptlib.side_by_side(left, right)\n"
    "both",
    "losses = gptlib.LossView(lines={'ln V': 3.0})\nlosses",
]
VIEW, TOKENS, SAMPLER, LENS, BOTH, LOSSES = range(1, 7)  # which cell shows it
TRAIN = """
from gptlib.model import GPT, GPTConfig
from gptlib.training import TrainConfig, train

def report(record):
    losses(record)
    wait_for(f"seen_{len(losses.records['run 1'])}")

data = torch.randint(0, 20, (500,)).numpy()
small = GPT(GPTConfig(vocab_size=20, block_size=8, n_layer=1, n_head=1, n_embd=8))
train(small, data, data, TrainConfig(max_steps=2, eval_every=1, batch_size=2), on_eval=report)
"""
SMALL = 2000  # bytes of a message that says which token, layer or head: most of them are Jupyter's own


@pytest.fixture(scope="module")
def note(lab) -> Iterator["Notebook"]:
    """The notebook of these tests, run through the menu."""
    note = lab.open(lab.write("views.ipynb", CELLS), height=3600)
    note.page.get_by_role("menuitem", name="Run", exact=True).click()
    note.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    note.wait_for_run()
    yield note
    note.close()


@pytest.fixture(autouse=True)
def nothing_goes_wrong(note) -> Iterator[None]:
    """In each test: nobody outside was asked, and the page did not complain."""
    yield
    note.check()


def test_every_view_is_there(note) -> None:
    for cell, count in [(VIEW, 1), (TOKENS, 1), (SAMPLER, 1), (LENS, 1), (BOTH, 2), (LOSSES, 1)]:
        for i in range(count):
            note.expect(note.view(cell).nth(i), ready=1)


def test_python_knows_where_the_pointer_is_and_little_is_sent_for_it(note) -> None:
    view = note.view(VIEW)
    before = len(note.frames)
    for token in (2, 5):
        view.locator(".from .token").nth(token).hover()
        note.expect(view, hover=token)
        note.until("view.hover", token)
    note.wait(lambda: sum(sent for sent, _ in note.frames[before:]) >= 2, "no two messages were sent")
    frames = note.frames[before:]
    assert max(size for _, size in frames) < SMALL


def test_layer_and_head_are_picked_and_little_is_sent_for_it(note) -> None:
    view = note.view(VIEW)
    before = len(note.frames)
    view.get_by_role("combobox", name="Layer").select_option("2")
    view.get_by_role("combobox", name="Head").select_option("1")
    note.expect(view, layer=2, head=1)
    note.until("(view.layer, view.head)", (2, 1))
    note.do("view.layer = 3")
    note.expect(view, layer=3)
    assert max(size for _, size in note.frames[before:]) < SMALL


def test_the_page_follows_python(note) -> None:
    view = note.view(VIEW)
    note.page.mouse.move(0, 0)  # it would point at what comes under it
    note.expect(view, hover=-1)
    note.until("view.hover", -1)
    for mode in ("heat", "grid", "neuron", "lines"):
        note.do(f"view.mode, view.layer, view.head, view.hover = {mode!r}, 1, 3, 4")
        note.expect(view, mode=mode, layer=1, head=3, hover=4)
        note.wait(lambda: note.drawn(view), f"nothing is drawn as {mode}")


def test_the_map_follows_the_text_that_is_typed(note) -> None:
    view, longer = note.view(VIEW), f"{TEXT} She looked under the bed."
    before = len(note.frames)
    view.get_by_role("textbox").fill(longer)
    note.until("view.text", longer)
    n = note.value("len(tokenizer.encode(view.text))")
    view.locator(".from .token").nth(n - 1).hover()
    note.until("(view.shape[2], view.hover)", (n, n - 1))
    weights = 16 * n * n  # bytes: those of all heads
    note.wait(lambda: any(size > weights for _, size in note.frames[before:]), "no weights went over")


def test_linked_views_move_together(note) -> None:
    pair = note.view(BOTH)
    pair.nth(0).locator(".from .token").nth(2).hover()
    note.expect(pair.nth(1), hover=2)
    note.until("(left.hover, right.hover)", (2, 2))
    pair.nth(1).get_by_role("combobox", name="Layer").select_option("1")
    note.expect(pair.nth(0), layer=1)
    note.until("(left.layer, right.layer)", (1, 1))


def test_the_slider_plays_the_merges(note) -> None:
    view = note.view(TOKENS)
    slider = view.get_by_role("slider")
    slider.press("Home")
    note.until("tokens.step", 0)
    note.expect(view, step=0, tokens=len(TEXT))
    slider.press("ArrowRight")
    note.until("tokens.step", 1)
    note.do("tokens.step = len(tokens.parts['merges'])")
    note.expect(view, tokens=note.value("len(tokenizer.encode(tokens.text))"))


def test_the_tokens_follow_the_text_that_is_typed(note) -> None:
    view = note.view(TOKENS)
    view.get_by_role("textbox").fill("kite kite")
    note.until("tokens.text", "kite kite")
    note.expect(view, tokens=note.value("len(tokens.ids)"))


def test_a_token_is_taken_and_taken_back(note) -> None:
    view = note.view(SAMPLER)
    first = int(view.locator(".row").nth(0).get_attribute("data-id"))
    view.locator(".row").nth(0).click()
    note.until("sampler.path", [first])
    note.expect(view, path=first)
    note.do("sampler.take(5)")
    note.expect(view, path=f"{first} 5")
    view.get_by_role("button", name="undo", exact=True).click()
    note.until("sampler.path", [first])


def test_a_cell_of_the_lens_says_more(note) -> None:
    view = note.view(LENS)
    view.locator("td[data-row='1'][data-place='2']").hover()
    note.expect(view, hover="1,2")


def test_the_curve_grows_while_the_cell_trains(note, lab) -> None:
    view = note.view(LOSSES)
    note.start(TRAIN)
    for seen in (1, 2, 3):
        note.expect(view, points=seen)
        assert note.busy
        (lab.notebooks / f"seen_{seen}").touch()
    note.wait_for_run()


def test_the_pointer_is_followed_while_the_kernel_is_busy(note, lab) -> None:
    view = note.view(VIEW)
    note.start("print('begun'); wait_for('enough')")
    note.page.locator(".jp-OutputArea-output pre", has_text="begun").wait_for()
    view.locator(".from .token").nth(1).hover()
    note.expect(view, hover=1)
    assert note.busy
    (lab.notebooks / "enough").touch()
    note.until("view.hover", 1)


def test_the_colors_follow_the_theme(note) -> None:
    view = note.view(VIEW)
    note.do("view.mode = 'heat'")  # lines have colors that do for both
    note.expect(view, mode="heat")
    note.wait(lambda: note.drawn(view), "nothing is drawn")
    ground = "getComputedStyle(document.querySelector('.gptlib')).backgroundColor"
    light, light_ground = note.drawn(view), note.page.evaluate(ground)
    note.theme("JupyterLab Dark")
    note.wait(lambda: note.drawn(view) not in ("", light), "the canvas has the colors it had")
    assert brightness(light_ground) > 240 and brightness(note.page.evaluate(ground)) < 60
    note.theme("JupyterLab Light")


def brightness(color: str) -> float:
    channels = [float(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(channels) / len(channels)


def test_a_page_that_is_loaded_again_shows_what_the_kernel_has(note) -> None:
    note.do("view.mode, view.layer, view.head = 'heat', 2, 0")
    note.do("tokens.step = 3")
    path = note.value("sampler.path")
    note.command("docmanager:save")
    note.page.reload()
    note.wait_for_kernel()
    note.expect(note.view(VIEW), mode="heat", layer=2, head=0)
    note.expect(note.view(TOKENS), step=3)
    note.expect(note.view(SAMPLER), path=" ".join(map(str, path)))
    note.expect(note.view(LOSSES), points=note.value("sum(map(len, losses.records.values()))"))
    note.view(VIEW).get_by_role("combobox", name="Layer").select_option("0")
    note.until("view.layer", 0)
