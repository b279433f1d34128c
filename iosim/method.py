"""What does an approximate algorithm compute that is not attention with a polynomial? Its settings, inputs and reference.

An `AttentionMethod` is what a paper defines, apart from any schedule: which settings it has (how many features, which
window), what it makes of Q, K and V before the program starts (random matrices, chosen keys: arrays in slow memory, whose
words are counted when they are loaded), and the formula for its result, against which the program is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from iosim.errors import UsageError
from iosim.masks import FULL, AnyMask
from iosim.units import MAX_COUNT

if TYPE_CHECKING:
    import numpy as np

    from iosim.numeric.reference import Float64, Rows
    from iosim.problem import Problem

TOLERANCE = 1e-9  # of a program's result against the method's formula, relative to max|V|: rounding is far less


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A setting of a method: a whole number.

    Attributes:
        name: in `--set NAME=NUMBER`, in closed forms and as a parameter of the author.
        default: if nothing is said, as far as the axis allows.
        help: what it is, in a few words.
        least: the least number allowed.
        axis: the size of a problem (`n`, `n_k`, `d`, `d_v`) that it must not exceed; None if there is no such size.
        limit: the greatest number allowed where there is no such size.
    """

    name: str
    default: int
    help: str
    least: int = 1
    axis: str | None = None
    limit: int = MAX_COUNT

    def most(self, problem: Problem) -> int:
        """The greatest number allowed."""
        return self.limit if self.axis is None else problem.length(self.axis)

    @property
    def greatest(self) -> str:
        """The greatest number allowed, for people."""
        return self.axis or ("2^50" if self.limit == MAX_COUNT else f"{self.limit:,}")

    def __str__(self) -> str:
        return f"{self.name} = {self.default:,}: {self.help}; {self.least:,} to {self.greatest}"


SEED = Option(name="seed", default=0, help="of the random numbers", least=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """What one instance of a method starts from.

    Attributes:
        Q, K, V: the arrays; if several query heads share the keys, Q has the rows of all of them.
        settings: by name.
        mask: which keys a query meets.
        extra: what the method has made of them.

    Shapes: Q: [n, d], K: [n_k, d], V: [n_k, d_v].
    """

    Q: Float64
    K: Float64
    V: Float64
    settings: Mapping[str, int]
    mask: AnyMask = FULL
    extra: Mapping[str, Float64] = field(default_factory=dict)


Extra: TypeAlias = "Callable[[Head, np.random.Generator], Mapping[str, Float64]]"


def _nothing(_head: Head, _random: np.random.Generator) -> Mapping[str, Float64]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionMethod:
    """What an approximate algorithm computes.

    Attributes:
        options: its settings.
        reference: rows of its result from a head with what was made of it: the paper's formula, in float64.
        extra: the inputs of the program besides Q, K and V, from a head and random numbers.
        bound: on the greatest difference of its result from softmax attention in some rows of a head; None if none is
            proved.
        keys: how many of the keys are ever used, from the sizes of a plan; None if all are.
    """

    options: tuple[Option, ...]
    reference: Callable[[Head, Rows], Float64]
    extra: Extra = _nothing
    bound: Callable[[Head, Rows], float] | None = None
    keys: Callable[[Mapping[str, int]], int] | None = None

    def checked(self, problem: Problem, given: Mapping[str, int], *, name: str) -> Problem:
        """`problem` with the settings that a user gave, and the others by default.

        Raises:
            UsageError: an unknown setting, or a number that is not allowed.
        """
        options = {option.name: option for option in self.options}
        for key, value in given.items():
            if key not in options:
                raise UsageError(f"--set {key}={value}: {name} has no such setting; allowed: {', '.join(options)}")
            least, most = options[key].least, options[key].most(problem)
            if not least <= value <= most:
                greatest = f"{options[key].axis}={most:,}" if options[key].axis else options[key].greatest
                raise UsageError(f"--set {key}={value}: allowed for {name}: whole numbers from {least} to {greatest}")
        return self.complete(replace(problem, settings=tuple(given.items())))

    def complete(self, problem: Problem) -> Problem:
        """`problem` with a number for each setting: its own or the default, as far as the axes allow."""
        given = dict(problem.settings)
        plain = replace(problem, settings=())
        chosen = {o.name: min(given.get(o.name, o.default), o.most(plain)) for o in self.options}
        return replace(problem, settings=tuple(chosen.items()))

    def heads(self, inputs: Mapping[str, Float64], settings: Mapping[str, int], mask: AnyMask = FULL) -> Iterator[Head]:
        """Each head with what the method makes of it; random numbers are the same for the same seed and head.

        Shapes: Q, K, V of `inputs`: [n, d], ... or [heads, n, d], ...
        """
        import numpy as np

        own = {option.name: settings[option.name] for option in self.options}
        arrays = [inputs[name] if inputs[name].ndim == 3 else inputs[name][np.newaxis] for name in "QKV"]
        for number, (Q, K, V) in enumerate(zip(*arrays, strict=True)):
            head = Head(Q=Q, K=K, V=V, settings=own, mask=mask)
            random = np.random.default_rng([own.get("seed", 0), number])
            yield replace(head, extra=dict(self.extra(head, random)))

    def layout(self, inputs: Mapping[str, Float64], sizes: Mapping[str, int]) -> dict[str, Float64]:
        """The inputs of the program: Q, K and V, and what the method makes of them, with a head axis if those have one."""
        import numpy as np

        extras = [head.extra for head in self.heads(inputs, sizes)]
        made = {name: np.stack([extra[name] for extra in extras]) for name in extras[0]}
        several = inputs["Q"].ndim == 3
        return {**inputs, **{name: array if several else array[0] for name, array in made.items()}}
