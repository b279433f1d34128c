"""The text of a kernel while it is written: lines, names of variables, and what is made once for all that need it."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass, field

_TAKEN = {
    "tl",
    "triton",
    "range",
    "float",
    "pass",
    "for",
    "in",
    "if",
    "is",
    "as",
    "or",
    "and",
    "not",
    "lambda",
    "del",
    "def",
}


@dataclass
class _Hoisted:
    """Lines at the start of a kernel or of the body of a loop over a table.

    Attributes:
        known: variables that they may use.
        names: what each of their right sides is called.
    """

    known: frozenset[str]
    names: dict[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        return [f"{name} = {text}" for text, name in self.names.items()]


@dataclass
class Lines:
    """The lines so far."""

    text: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _hoisted: list[_Hoisted] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        """More lines, at the end."""
        self.text += lines

    def unique(self, name: str) -> str:
        """A variable of its own."""
        name = re.sub(r"\W", "_", name)
        unique, times = name, 1
        while unique in self._names or unique in _TAKEN:
            times += 1
            unique = f"{name}_{times}"
        self._names.add(unique)
        return unique

    def once(self, name: str, text: str) -> str:
        """A variable with the value of `text`: made as early as what it needs is known, and for all that need it."""
        needs = {word for word in re.findall(r"\w+", text) if word in self._names}
        for level in self._hoisted:
            if needs <= level.known:
                if text not in level.names:
                    level.names[text] = self.unique(name)
                return level.names[text]
        variable = self.unique(name)
        self.add(f"{variable} = {text}")
        return variable

    def hoisting(self, write: Callable[[], None]) -> None:
        """What `write` writes, after what it asks to come before."""
        level = _Hoisted(frozenset(self._names))
        self._hoisted.append(level)
        before, self.text = self.text, []
        write()
        self.text = [*before, *level.lines, *self.text]
        self._hoisted.pop()

    def indented(self, head: str, write: Callable[[], Set[str]]) -> None:
        """What `write` writes under a head, without lines for numbers that are not used there.

        Args:
            write: returns the names of numbers.
        """
        outside, self.text = self.text, []
        numbers = write()
        inside = "\n".join(self.text)
        kept = [line for line in self.text if not _unused(line, inside, numbers)]
        self.text = [*outside, head, *(f"    {line}" for line in kept or ["pass"])]


def _unused(line: str, text: str, numbers: Set[str]) -> bool:
    found = re.match(r"(\w+) = tl\.(minimum|load)\(", line)
    return found is not None and found[1] in numbers and len(re.findall(rf"\b{found[1]}\b", text)) == 1
