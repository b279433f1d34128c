"""What there is: the registered algorithms, and their programs as pseudo-code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from iosim.algorithm import Algorithm
from iosim.display import Result
from iosim.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class Listing(Result, Sequence[Algorithm]):
    """Algorithms, in the order of their names."""

    algorithms: tuple[Algorithm, ...]

    @overload
    def __getitem__(self, index: int) -> Algorithm: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Algorithm]: ...
    def __getitem__(self, index: int | slice) -> Algorithm | Sequence[Algorithm]:
        return self.algorithms[index]

    def __len__(self) -> int:
        return len(self.algorithms)

    def __iter__(self) -> Iterator[Algorithm]:
        return iter(self.algorithms)

    def __repr__(self) -> str:
        return f"<Listing {', '.join(algorithm.name for algorithm in self)}>"

    def report(self) -> RenderableType:
        from iosim.terminal import list_report

        return list_report(self.algorithms)

    def names(self) -> RenderableType:
        """What `--short` prints."""
        from iosim.terminal import names_report

        return names_report(self.algorithms)

    def to_dict(self) -> dict[str, object]:
        """By name."""
        return {str(row["algorithm"]): row for row in self.rows()}

    def rows(self) -> list[dict[str, object]]:
        return [_description(algorithm) for algorithm in self]


def _description(algorithm: Algorithm) -> dict[str, object]:
    return {
        "algorithm": algorithm.name,
        "summary": algorithm.summary,
        "source": algorithm.source,
        "approximate": algorithm.approximate,
        "settings": {
            o.name: {"default": o.default, "least": o.least, "most": o.axis or o.limit, "help": o.help}
            for o in (algorithm.method.options if algorithm.method else ())
        },
        "schedules": [
            {
                "schedule": form.schedule,
                "closed_form": str(form.io),
                "closed_form_peak": str(form.peak),
                "regime": form.regime,
            }
            for form in algorithm.forms()
        ],
    }


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PseudoCode(Result):
    """The programs of an algorithm as text, by schedule."""

    algorithm: str
    schedules: Mapping[str, str]

    def report(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        return Group(Text("\n\n".join(self.schedules.values()), no_wrap=True, overflow="ignore"))

    def to_dict(self) -> dict[str, object]:
        return {"algorithm": self.algorithm, "schedules": self.rows()}

    def rows(self) -> list[dict[str, object]]:
        return [{"schedule": name, "pseudo_code": text} for name, text in self.schedules.items()]


def pseudo_code(algorithm: Algorithm, *, schedule: str | None, explain: bool) -> PseudoCode:
    """The programs of all its schedules, or of one.

    Raises:
        UsageError: it has no such schedule.
    """
    from iosim.explanation import annotated
    from iosim.interpret.render import render

    forms = algorithm.forms()
    names = [form.schedule for form in forms]
    if schedule is not None:
        if schedule not in names:
            raise UsageError(f"--schedule {schedule}: no such schedule; {algorithm.name} has {', '.join(names)}")
        forms = tuple(form for form in forms if form.schedule == schedule)
    text = annotated if explain else render
    return PseudoCode(algorithm=algorithm.name, schedules={form.schedule: text(form.program) for form in forms})
