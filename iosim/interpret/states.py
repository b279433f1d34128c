"""What is live and what has been written: the state between two statements, as far as the rules depend on it.

Its numbers may depend on loops; a state at the start of one iteration, and the one at the start of the next, tell what
the state at the start of any iteration might be.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from iosim.expr import Size
from iosim.interpret.boxes import Seen
from iosim.interpret.written import Written


@dataclass(frozen=True, slots=True)
class Live:
    """A tile: how large it is, whether all its words have been given values, and what these have seen."""

    words: Size
    shape: tuple[Size, ...]
    has_value: bool
    seen: Seen

    def mapped(self, f: Callable[[Size], Size]) -> Live:
        """With each of its numbers replaced, always in the same order."""
        seen = tuple(
            (name, tuple(tuple((f(low), f(high)) for low, high in b) for b in boxes)) for name, boxes in self.seen
        )
        return Live(f(self.words), tuple(map(f, self.shape)), self.has_value, seen)


Part: TypeAlias = Live | Written
_Part = TypeVar("_Part", Live, Written)


_Steps: TypeAlias = tuple[int, ...] | None  # of the numbers of a part, in the order of `mapped`; None if none changes


@dataclass(frozen=True, slots=True)
class Trend:
    """What each number of a state grows by from one iteration to the next.

    Attributes:
        skeleton: of the states that it is about.
        live: by tile.
        written: by array and box.
    """

    skeleton: object
    live: Mapping[str, _Steps]
    written: Mapping[str, tuple[_Steps, ...]]


@dataclass(slots=True)
class State:
    """What is live, what has been freed and not made again, and what has been written of each array."""

    live: dict[str, Live] = field(default_factory=dict)
    freed: frozenset[str] = frozenset()
    written: dict[str, tuple[Written, ...]] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.live), self.freed, dict(self.written))

    def skeleton(self) -> object:
        """Everything but the numbers."""

        def of(tile: Live) -> object:
            return len(tile.shape), tile.has_value, [(name, len(boxes)) for name, boxes in tile.seen]

        return (
            [(name, of(tile)) for name, tile in self.live.items()],
            self.freed,
            [(name, [written.skeleton() for written in boxes]) for name, boxes in self.written.items()],
        )

    def trend(self, earlier: State) -> Trend | None:
        """What has changed since the earlier state, if that is nothing but numbers, by constants."""
        skeleton = self.skeleton()
        if earlier.skeleton() != skeleton:
            return None
        live = {name: _steps(earlier.live[name], tile) for name, tile in self.live.items()}
        written = {name: tuple(map(_steps, earlier.written[name], boxes)) for name, boxes in self.written.items()}
        changes = [*live.values(), *itertools.chain.from_iterable(written.values())]
        if any(not isinstance(step, int) for steps in changes for step in steps or ()):
            return None
        return Trend(skeleton, live, written)  # type: ignore[arg-type]

    def advanced(self, trend: Trend, times: Size) -> State:
        """This state, so many iterations later."""
        live = {name: _advanced(tile, trend.live[name], times) for name, tile in self.live.items()}
        written = {
            name: tuple(_advanced(box, steps, times) for box, steps in zip(boxes, trend.written[name], strict=True))
            for name, boxes in self.written.items()
        }
        return State(live, self.freed, written)


def _steps(before: Part, now: Part) -> tuple[Size, ...] | None:
    if now is before or now == before:
        return None
    numbers: list[Size] = []

    def note(value: Size) -> Size:
        numbers.append(value)
        return value

    before.mapped(note)
    half = len(numbers)
    now.mapped(note)
    return tuple(b - a for a, b in zip(numbers[:half], numbers[half:], strict=True))


def _advanced(part: _Part, steps: _Steps, times: Size) -> _Part:
    if steps is None:
        return part
    left = iter(steps)

    def advance(value: Size) -> Size:
        step = next(left)
        return value + step * times if step else value

    return part.mapped(advance)
