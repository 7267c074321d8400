"""Linear maps by the faster of the two libraries that torch brings for products on a CPU.

For float32 torch calls MKL, which has no AVX-512 for processors of AMD. oneDNN has, and there it is twice as fast;
torch itself calls it in compiled models only. Both add in float32.
"""

import math
import platform
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import flop_registry, register_flop_formula

ROWS = 256  # with fewer torch's own call is as fast, unless there are many
WEIGHTS = 2**18  # which come from memory: for one row MKL reads them with one thread, oneDNN with all


def _mkl_is_slow() -> bool:
    """Whether this is a processor of AMD with AVX-512, and torch was built with oneDNN."""
    try:
        maker = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        maker = platform.processor()
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return wide and "AuthenticAMD" in maker and hasattr(torch.ops.mkldnn, "_linear_pointwise")


MKL_IS_SLOW = _mkl_is_slow()


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias` by oneDNN, x (rows, in), weight (out, in)."""
    if torch.compiler.is_compiling():
        return _whole(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@torch.library.custom_op("gptlib::product", mutates_args=())
def _whole(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same, as an operation that the compiler calls without looking inside: it knows constant weights only."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@_whole.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.size(0), weight.size(0))


if hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.ops.mkldnn._linear_pointwise not in flop_registry:

    @register_flop_formula(torch.ops.mkldnn._linear_pointwise)
    def _flops(x: tuple[int, ...], weight: tuple[int, ...], *_: Any, **__: Any) -> int:
        """Two operations for each weight and row: torch's counter of operations does not know this one."""
        return 2 * math.prod(x) * weight[0]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        return (
            _product(slope, weight.t()) if to_x else None,
            _product(slope.t(), x.t()) if to_weight else None,
            slope.sum(0) if to_bias else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.linear`, with the same results up to rounding; no second derivative of a large one."""
    few = x.numel() < ROWS * x.size(-1)
    if not MKL_IS_SLOW or (few and weight.numel() < WEIGHTS):  # asked first: a written token pays for every question
        return F.linear(x, weight, bias)
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if not plain or x.numel() == 0 or (few and not weight.is_contiguous()):
        return F.linear(x, weight, bias)
    return _Linear.apply(x.reshape(-1, x.size(-1)), weight, bias).view(*x.shape[:-1], -1)


class Linear(nn.Linear):
    """`nn.Linear` by way of `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)
