"""What bad input to the blocks gets: one sentence that names the value and the way out."""

import pytest
import torch

from gptlib.blocks import MLP, Block, LayerNorm, gelu, sinusoidal_positions


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (lambda: gelu(torch.zeros(2), "none"), "approximate is 'none', but must be one of 'erf', 'tanh'"),
        (lambda: MLP(8, gelu="relu"), "gelu is 'relu', but must be one of 'erf', 'tanh'"),
        (lambda: Block(8, 2, gelu="new"), "gelu is 'new', but must be one of 'erf', 'tanh'"),
        (lambda: Block(8, 2, norm="both"), "norm is 'both', but must be one of 'pre', 'post'"),
        (lambda: Block(8, 2, norm=None), "norm is None, but must be one of 'pre', 'post'"),
        (lambda: sinusoidal_positions(4, 7), "C is 7, but .* choose an even number"),
        (lambda: LayerNorm(8)(torch.zeros(2, 3, 6)), r"shape \(2, 3, 6\), but this LayerNorm needs 8 channels last"),
        (lambda: LayerNorm(8)(torch.zeros(())), r"shape \(\), but this LayerNorm needs 8 channels last"),
        (lambda: Block(8, 2)(torch.zeros(1, 3, 6)), r"shape \(1, 3, 6\), but .* 8"),
        (lambda: Block(8, 2, norm="post")(torch.zeros(1, 3, 6)), r"shape \(1, 3, 6\), but .* 8"),
        (lambda: Block(8, 3), "n_embd 8 is not divisible by n_head 3"),
    ],
)
def test_the_sentence(run, sentence):
    with pytest.raises(ValueError, match=sentence):
        run()
