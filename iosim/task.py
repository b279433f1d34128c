"""What does an algorithm compute? The arrays that it is given and those that it must leave, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# n (of every query head of a group), n_k, d or d_v; in decoding also new (the last n keys), r (features) and 1
Axes = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A function of some arrays; tasks of one name are the same.

    Attributes:
        name: for people, after "exact".
        inputs: the axes of each array that is given.
        outputs: the axes of each array to be computed.
        rival: what to call the best exact schedule, before a comparison.
    """

    name: str
    inputs: Mapping[str, Axes] = field(compare=False)
    outputs: Mapping[str, Axes] = field(compare=False)
    rival: str = field(compare=False, default="")

    @property
    def axes(self) -> dict[str, Axes]:
        """Of every array."""
        return {**self.inputs, **self.outputs}


_GIVEN: dict[str, Axes] = {"Q": ("n", "d"), "K": ("n_k", "d"), "V": ("n_k", "d_v")}

ATTENTION = Task(name="attention", inputs=_GIVEN, outputs={"O": ("n", "d_v")}, rival="exact attention")

# Of a scalar loss, whose gradient with respect to O is dO; O and L = log sum_j exp(S_j) are what the forward pass left.
GRADIENT = Task(
    name="gradient",
    inputs={**_GIVEN, "O": ("n", "d_v"), "dO": ("n", "d_v"), "L": ("n",)},
    outputs={"dQ": ("n", "d"), "dK": ("n_k", "d"), "dV": ("n_k", "d_v")},
    rival="exact gradient",
)

# Q, the tokens, through some layers several times; what exactly is said by the algorithm's method.
LOOPED = Task(
    name="looped layers",
    inputs={"Q": ("n", "d")},
    outputs={"O": ("n", "d")},
    rival="layer order",
)

# Of the last n tokens, each of which is a query and a key: W and w are the weighted sums, over the keys before them, of
# features times values and of features (see `iosim.numeric.reference_decoding`); they are returned with the new keys added.
DECODING = Task(
    name="decoding",
    inputs={"Q": ("n", "d"), "K": ("new", "d"), "V": ("new", "d_v"), "W": ("r", "d_v"), "w": ("r", "1")},
    outputs={"O": ("n", "d_v"), "W_new": ("r", "d_v"), "w_new": ("r", "1")},
)
