"""What a kind of figure is: what it is made of, from a file or from settings, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from iosim.errors import UsageError
from iosim.plots.rows import Row
from iosim.progress import Progress, silent
from iosim.refusals import missing
from iosim.registry import names_of
from iosim.request import COUNTS, refuse_polynomial
from iosim.units import flag_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a figure is asked for, as flags have it.

    Attributes:
        algo: names of algorithms, by commas; None if not given.
        given: the other flags that are given, by name.
        progress: called with what is going on and its fraction done.
    """

    algo: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = silent

    def names(self, default: str) -> list[str]:
        """The algorithms."""
        return [str(name) for name in names_of(self.algo or default)]

    def needed(self, name: str, *, like: str) -> Any:
        """A flag that must be given.

        Raises:
            UsageError: it is not.
        """
        value = self.given.get(name)
        if value is None:
            raise missing(flag_of(name), like=like, instead="a file with rows")
        return value

    def only(self, *names: str) -> dict[str, Any]:
        """Of the flags that are given, these."""
        return {name: self.given[name] for name in names if name in self.given}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of figure.

    Attributes:
        name: what `iosim plot` calls it.
        summary: one line.
        examples: command lines, without `iosim plot`.
        settings: flags that it knows.
        columns: columns of numbers that a file must have; none if it is not made from files.
        rows: makes the rows from settings.
        draw: makes the figure.
    """

    name: str
    summary: str
    examples: Sequence[str]
    settings: frozenset[str]
    columns: Sequence[str] = ()
    rows: Callable[[Settings], Sequence[Row]]
    draw: Callable[[Sequence[Row], Settings], Figure]

    def figure(self, source: str | Sequence[Row] | None, settings: Settings) -> Figure:
        """The figure of a file, of rows, or, of none, of settings.

        Raises:
            UsageError: a flag that it does not know, a file where it takes none, or what can't be drawn.
        """
        from iosim.plots.rows import with_numbers
        from iosim.table_files import read_rows

        drawn = {"by", "gpu"} & self.settings
        allowed = self.settings if source is None else drawn
        flags = [*(["algo"] if settings.algo is not None else []), *settings.given]
        wrong = [flag_of(name) for name in flags if name not in allowed]
        if wrong:
            known = ", ".join(flag_of(name) for name in sorted(allowed)) or "none"
            of = "" if source is None else " from a file"
            raise UsageError(f"{', '.join(wrong)}: not for {self.name}{of}; allowed: {known}")
        if source is None:
            return self.draw(self.rows(settings), settings)
        where = f"FILE {source}" if isinstance(source, str) else "rows"
        if not self.columns:
            raise UsageError(f"{where}: {self.name} is made from settings; allowed: like {self.examples[0]}")
        if not isinstance(source, str) and not _are_rows(source):
            raise UsageError("rows: allowed: a file, or a list of rows as `rows()` of a result has them")
        rows = read_rows(source) if isinstance(source, str) else source
        return self.draw(with_numbers(rows, self.columns, what=self.name, where=where), settings)


def _are_rows(source: object) -> bool:
    return isinstance(source, Sequence) and all(isinstance(row, Mapping) for row in source)


PROBLEM = frozenset({"algo", *COUNTS, "mask", "tied", "dtype", "degree", "set"})


def tuned_rows(settings: Settings, *, ranges: bool) -> list[Row]:
    """The rows of `iosim tune` for each algorithm, each n and each d, and all M.

    Args:
        settings: what is asked for; `algo` is exact if not given, or all with the polynomial if there is a degree.
        ranges: whether n may be many.
    """
    from iosim import api
    from iosim.units import parse_count, parse_counts

    given = settings.needed("n", like="1k:1M:*4" if ranges else "65536")
    counts = parse_counts(given, where="--n") if ranges else [parse_count(given, where="--n")]
    names: list[str | None] = [None] if settings.algo is None else [*settings.names("")]
    refuse_idle_degree(settings, [name for name in names if name is not None])
    others = {name: value for name, value in settings.given.items() if name not in ("n", "by", "gpu")}
    rows: list[Row] = []
    for number, (name, n) in enumerate((name, n) for name in names for n in counts):
        settings.progress(f"{name or 'tuning'} n={n}", number / (len(names) * len(counts)))
        degree = others.get("degree") if name is None or _takes_polynomial(name) else None
        found = api.tune(name, n=n, **{**others, "degree": degree})
        rows += found.rows()
    return rows


def refuse_idle_degree(settings: Settings, names: Sequence[str]) -> None:
    """Refuses a degree where all algorithms are named and none has a polynomial."""
    from iosim.registry import find

    if names:
        refuse_polynomial([find(name) for name in names], degree=settings.given.get("degree"))


def _takes_polynomial(name: str) -> bool:
    from iosim.registry import find

    return find(name).takes_polynomial


@cache
def kinds() -> Mapping[str, Kind]:
    """All kinds of figures, by name: those of the modules of this package that have one."""
    return {kind.name: kind for kind in _found()}


def _found() -> Iterator[Kind]:
    import importlib
    import pkgutil

    import iosim.plots

    for module in pkgutil.iter_modules(iosim.plots.__path__):
        kind = getattr(importlib.import_module(f"iosim.plots.{module.name}"), "KIND", None)
        if kind is not None:
            yield kind
