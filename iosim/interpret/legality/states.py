"""What is live and what has been written: the state between two statements, as far as the rules depend on it.

Its numbers may depend on loops; a state at the start of one iteration, and the one at the start of the next, tell what
the state at the start of any iteration might be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from iosim.expr import Size
from iosim.interpret.legality.boxes import Seen
from iosim.interpret.legality.written import Written


@dataclass(frozen=True, slots=True)
class Live:
    """A tile: how large it is, whether all its words have been given values, and what these have seen."""

    words: Size
    shape: tuple[Size, ...]
    has_value: bool
    seen: Seen

    def skeleton(self) -> object:
        """Everything but the numbers."""
        return len(self.shape), self.has_value, tuple((name, len(boxes)) for name, boxes in self.seen)

    def mapped(self, f: Callable[[Size], Size]) -> Live:
        """With each of its numbers replaced, always in the same order."""
        seen = tuple(
            (name, tuple(tuple((f(low), f(high)) for low, high in b) for b in boxes)) for name, boxes in self.seen
        )
        return Live(f(self.words), tuple(map(f, self.shape)), self.has_value, seen)


_Part = TypeVar("_Part", Live, Written)


_Steps: TypeAlias = tuple[int, ...]  # what each number of a part grows by, in the order of `mapped`


@dataclass(frozen=True, slots=True)
class Trend:
    """What grows from one iteration to the next: tiles by name, boxes by array and position. All else stays as it is."""

    live: Mapping[str, _Steps]
    written: Mapping[tuple[str, int], _Steps]


@dataclass(slots=True)
class State:
    """What is live, what has been freed and not made again, and what has been written of each array."""

    live: dict[str, Live] = field(default_factory=dict)
    freed: frozenset[str] = frozenset()
    written: dict[str, tuple[Written, ...]] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.live), self.freed, dict(self.written))

    def trend(self, earlier: State) -> Trend | None:
        """What has changed since the earlier state, if that is nothing but numbers, by constants."""
        if self.freed != earlier.freed or self._parts() != earlier._parts():
            return None
        live = {name: _steps(earlier.live[name], tile) for name, tile in self.live.items()}
        written = {
            (name, position): _steps(before, box)
            for name, boxes in self.written.items()
            for position, (before, box) in enumerate(zip(earlier.written[name], boxes, strict=True))
        }
        if None in live.values() or None in written.values():
            return None
        return Trend({part: x for part, x in live.items() if x}, {part: x for part, x in written.items() if x})

    def _parts(self) -> object:
        return list(self.live), [(name, len(boxes)) for name, boxes in self.written.items()]

    def advanced(self, trend: Trend, times: Size) -> State:
        """This state, so many iterations later."""
        later = self.copy()
        for name, steps in trend.live.items():
            later.live[name] = _advanced(self.live[name], steps, times)
        for (name, position), steps in trend.written.items():
            boxes = later.written[name]
            box = _advanced(boxes[position], steps, times)
            later.written[name] = (*boxes[:position], box, *boxes[position + 1 :])
        return later


def _steps(before: _Part, now: _Part) -> _Steps | None:
    """None if more has changed than numbers, by constants; empty if nothing has."""
    if now is before or now == before:
        return ()
    if before.skeleton() != now.skeleton():
        return None
    numbers: list[Size] = []

    def note(value: Size) -> Size:
        numbers.append(value)
        return value

    before.mapped(note)
    half = len(numbers)
    now.mapped(note)
    steps = [b - a for a, b in zip(numbers[:half], numbers[half:], strict=True)]
    constant = tuple(step for step in steps if isinstance(step, int))
    return constant if len(constant) == half else None


def _advanced(part: _Part, steps: _Steps, times: Size) -> _Part:
    left = iter(steps)

    def later(value: Size) -> Size:
        step = next(left)
        return value + step * times if step else value

    return part.mapped(later)
