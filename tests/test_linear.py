"""`gptlib._linear`: oneDNN's products must give what torch's own give, whatever lies how in memory."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from gptlib import _linear
from gptlib._linear import ROWS, WEIGHTS, Linear, linear

pytestmark = pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="torch without oneDNN")


@pytest.fixture(autouse=True)
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if on a processor of AMD: oneDNN is right on every processor."""
    monkeypatch.setattr(_linear, "MKL_IS_SLOW", True)


def pair(out: int, width: int, bias: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(out + width)
    x, weight, b = (torch.randn(shape, generator=generator) for shape in ((4, 80, width), (out, width), (out,)))
    return x, weight, b if bias else None


LAYOUTS = {
    "rows": lambda t: t.clone(),
    "columns": lambda t: t.mT.contiguous().mT,
    "every second": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "expanded": lambda t: t[..., :1].expand(t.shape),
}


@pytest.mark.parametrize("slope", LAYOUTS)
@pytest.mark.parametrize("weight_layout", ["rows", "columns", "every second"])
@pytest.mark.parametrize("x_layout", LAYOUTS)
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_equal_torchs(bias: bool, x_layout: str, weight_layout: str, slope: str) -> None:
    """Also for gradients that lie anyhow, such as the one number, expanded, that a sum sends back."""
    x, weight, b = pair(65, 24, bias)
    x, weight = LAYOUTS[x_layout](x), LAYOUTS[weight_layout](weight)
    sent = LAYOUTS[slope](torch.randn(4, 80, 65, generator=torch.Generator().manual_seed(3)))
    found = []
    for kind in (linear, F.linear):
        given = [t.detach().requires_grad_() for t in (x, weight, b) if t is not None]
        out = kind(*given)
        found.append([out, *torch.autograd.grad(out, given, sent)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def test_what_needs_no_gradient_gets_none() -> None:
    x, weight, bias = pair(8, 16, True)
    layer = Linear(16, 8)
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is not None and x.grad is None
    torch.testing.assert_close(layer.bias.grad, torch.full((8,), 320.0))
    with torch.no_grad():
        assert not linear(x, weight, bias).requires_grad


def test_a_second_derivative_is_refused_and_never_wrong() -> None:
    x, weight, _ = pair(8, 16, False)
    first = torch.autograd.grad(linear(x, weight.requires_grad_()).square().sum(), weight, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_small_products_other_numbers_and_mixed_precision_stay_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows, float64 and autocast: oneDNN's call is slower there, or gives another type."""
    x, weight, bias = pair(8, 16, True)
    monkeypatch.setattr(_linear, "_product", None)  # who calls it fails
    assert torch.equal(linear(x[0], weight, bias), F.linear(x[0], weight, bias)) and len(x[0]) < ROWS
    assert linear(x.double(), weight.double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16
    with pytest.raises(TypeError, match="NoneType"):
        linear(x, weight, bias)


def test_one_row_and_many_weights_go_to_onednn_unless_they_are_stored_by_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bugs: a written token reads large weights with one thread; weights stored by input are copied for every token."""
    weight, bias, x = torch.randn(2, 512, 600), torch.randn(512), torch.randn(3, 1, 600)
    assert weight[0].numel() >= WEIGHTS
    by_input = weight[1].t().contiguous().t()
    called, product = [], _linear._product
    monkeypatch.setattr(_linear, "_product", lambda *given: called.append(0) or product(*given))
    monkeypatch.setattr(_linear, "MKL_IS_SLOW", True)
    for w, calls in ((weight[0], 1), (by_input, 1), (by_input[:, :300].contiguous(), 1)):
        got = linear(x[..., : w.size(1)], w, bias)
        torch.testing.assert_close(got, F.linear(x[..., : w.size(1)], w, bias), rtol=1e-5, atol=1e-4)
        assert len(called) == calls
    torch.testing.assert_close(linear(x[0, 0], weight[0]), F.linear(x[0, 0], weight[0]), rtol=1e-5, atol=1e-4)


def test_a_layer_is_torchs_layer_for_all_who_look_for_one() -> None:
    layer = Linear(16, 8)
    assert isinstance(layer, torch.nn.Linear) and list(layer.state_dict()) == ["weight", "bias"]
    assert layer(torch.zeros(0, 16)).shape == (0, 8)


def test_a_compiled_layer_gives_the_same() -> None:
    """The compiler cannot look into oneDNN's product with weights that change; it must call it whole."""
    x, weight, bias = pair(8, 16, True)
    given = [t.detach().requires_grad_() for t in (x, weight, bias)]
    found = []
    for kind in (torch.compile(linear, backend="aot_eager"), F.linear):
        out = kind(*given)
        found.append([out, *torch.autograd.grad(out.square().sum(), given)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-3)


def test_torchs_counter_of_operations_counts_them() -> None:
    """Forward and twice as much backward; for a counter that sees no product and calls the model free."""
    given = [t.requires_grad_() for t in pair(8, 16, True)]
    with FlopCounterMode(display=False) as counter:
        linear(*given).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 320 * 16 * 8
