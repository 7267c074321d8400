"""How fast this machine multiplies, and what torch can do about it."""

import time

import torch
from torch import nn

SIZES = {"cpu": 1024, "cuda": 8192}  # of the square matrices: large enough that all the cores have work


def peak(device: torch.device, precision: str = "float32", seconds: float = 0.1) -> float:
    """Floating-point operations per second in products of large matrices, the best of what fits into `seconds`.

    No training is faster: this is what its share is counted of.
    """
    n = SIZES.get(device.type, 2048)
    a, b = (torch.randn(n, n, device=device).to(getattr(torch, precision)) for _ in range(2))
    for _ in range(2):  # the first ones make ready
        torch.mm(a, b)
    wait(device)
    best, until = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < until:
        began = time.perf_counter()
        torch.mm(a, b)
        wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * n**3 / best


def wait(device: torch.device) -> None:
    """Until a device is done with what it was given; a CPU always is."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def compiled(model: nn.Module, device: torch.device) -> nn.Module:
    """The model with its passes compiled; `ValueError` on a machine that cannot, found out with something small."""
    try:
        torch.compile(torch.square)(torch.ones(2, device=device))
    except Exception as error:  # no compiler, no headers, no Triton: each has an error of its own
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        way_out = "install a C++ compiler such as g++ (for cuda also Triton)"
        if " " in torch.__file__:  # the compiler takes it for the end of a path
            way_out = f"move the environment, since {torch.__file__} holds a blank"
        raise ValueError(
            f"compile is True, and torch cannot compile for {device.type} on this machine ({reason}): {way_out}, "
            f"or train without compile"
        ) from error
    return torch.compile(model)
