"""The bound that any program has whose outputs depend on all its inputs: each input is loaded, each output stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from iosim.bounds.bound import Bound
from iosim.expr import evaluate_int
from iosim.program import Program, product


def applicable(program: Program, sizes: Mapping[str, int]) -> Iterator[tuple[Bound, int]]:
    """The bound for the arrays that `program` declares, at these sizes. Units: words."""
    arrays = [array for array in program.arrays if array.role != "scratch"]
    words = sum(evaluate_int(product(array.shape), sizes) for array in arrays)
    bound = Bound(
        name="declared_inputs_are_loaded_and_outputs_stored",
        formula=lambda _: Fraction(words),
        source="every output depends on every word of the inputs",
        compulsory=True,
    )
    yield bound, words
