"""Lower bounds for the gradient of exact attention.

The theorems about exact attention are not about it: they count the products with V, and their constants are of two products
for each pair, not of five. What holds is that an input on which an output depends has to be loaded, and every output stored.
Without constants more is known (Li et al. 2024, `iosim.bounds.literature`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iosim.bounds.bound import Bound, Letters, Setting
from iosim.program import Program
from iosim.task import GRADIENT


def compulsory(program: Program) -> Bound:
    """That each input that the program is given is loaded, and each output stored.

    A program that is not given O or L, and computes what it needs of them, does not load them.
    """
    names = [array.name for array in program.arrays if array.role != "scratch"]

    def words(x: Letters) -> Any:
        length = {"n": x.n_q, "n_k": x.n_k, "d": x.d, "d_v": x.d_v}
        total: Any = 0
        for name in names:
            rows, *columns = GRADIENT.axes[name]
            total += length[rows] * (length[columns[0]] if columns else 1)
        return total

    return Bound(
        name="gradient_inputs_are_loaded_and_outputs_stored",
        formula=words,
        conditions=lambda x: ((x.N, x.n_q), (x.N, x.n_k)),
        source="every output depends on every word of its inputs that meets it",
        compulsory=True,
    )


def applicable(setting: Setting, program: Program) -> Iterator[tuple[Bound, int]]:
    """The bounds that say something about this setting and this program, and what they say in words."""
    bound = compulsory(program)
    if bound.applies(setting):
        yield bound, bound.words(setting)
