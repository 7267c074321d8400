"""The checks behind the "Your turn" cells: `from exercises import check`, then `check("5.4", my_attention)`.

To add the exercises of notebook 05, write `nb05.py` beside this file:

    from exercises import Exercise

    def head(q, k, v): ...                  # the right answer, written out; it may call gptlib

    def head_inputs(rng):                   # rng is a random.Random; give the tuple of arguments
        generator = torch.Generator().manual_seed(rng.getrandbits(32))
        return tuple(torch.randn(3, 2, rng.randint(1, 9), 8, generator=generator))

    EXERCISES = {
        "5.1": Exercise(reference=(3, 4), about="one row per query, one column per key"),
        "5.4": Exercise(reference=head, inputs=head_inputs, about="scores, scale, mask, softmax, values"),
    }

An exercise without `inputs` is a prediction: its `reference` is the value. `about` is what the reader sees behind
"right:", so say there why it is right. The same rng must give the same arguments; a reference never answers None.
In the notebook the attempt is a stub: `def my_head(q, k, v): ...`, or `prediction = ...` for a value; a stub with
some lines given leaves `...` for what is to be written. A stub, and anything that still trips over a `...`,
prints the fixed line `5.4  not attempted yet`. Tests hold every entry and every stub to this.
"""

from exercises._core import Exercise, check

__all__ = ["Exercise", "check"]
