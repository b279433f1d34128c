"""A sweep: the points of a grid, worked off side by side by joblib's workers, each row kept as it comes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from iosim.display import Result, pairs
from iosim.errors import IosimError, SweepError, UsageError
from iosim.progress import Progress, silent
from iosim.sweeps.grid import Grid
from iosim.sweeps.journal import Journal
from iosim.sweeps.work import work
from iosim.table_files import read_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType


_VERDICTS = ("holds", "infeasible", "fails", "error")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sweep(Result):
    """A complete sweep.

    Attributes:
        path: of the file with its rows; None if it has none.
        verdicts: how many rows have each verdict.
        before: how many rows were there before.
        seconds: how long the others took.
        kept: the rows, if there is no file.
    """

    path: str | None
    verdicts: Mapping[str, int]
    before: int
    seconds: float
    kept: tuple[dict[str, Any], ...] = ()

    @property
    def size(self) -> int:
        """How many rows there are."""
        return sum(self.verdicts.values())

    @property
    def holds(self) -> bool:
        """Whether no check fails anywhere, and no point ended by an error; that a point is infeasible is a result, but not
        that all are."""
        return not self.verdicts["fails"] and not self.verdicts["error"] and self.verdicts["infeasible"] < self.size

    def rows(self) -> list[dict[str, object]]:
        """The rows, in the order of the grid, with the columns of `iosim.columns`."""
        return list(self.kept) if self.path is None else read_rows(self.path)

    def plot(self, kind: str | None = None, **settings: Any) -> Figure:
        """The rows as a figure of `iosim.plot`: of that kind, or over whichever of n and M has more values.

        Raises:
            UsageError: what can't be drawn.
        """
        from iosim import api

        rows = self.rows()
        if kind is None:
            n, M = (len({row[name] for row in rows}) for name in ("n", "fast_memory_words"))
            kind = "io-against-n" if n > M else "ski-slope"
        return api.plot(kind, rows, **settings)

    def to_dict(self) -> dict[str, object]:
        return {
            "output": self.path,
            "points_in_all": self.size,
            **{f"points_{verdict}": number for verdict, number in self.verdicts.items()},
            "points_before": self.before,
            "seconds": self.seconds,
        }

    def report(self) -> RenderableType:
        new = self.size - self.before
        facts = [("rows", f"{self.size:,}{f' in {self.path}' if self.path else ''}")]
        facts += [(verdict, f"{number:,}") for verdict, number in self.verdicts.items() if number]
        facts += [("there before", f"{self.before:,}")] if self.before else []
        facts += [("time", f"{self.seconds:.1f} s, {new / self.seconds:.3g} points/s")] if new else []
        return pairs(facts, indent=0)

    def __repr__(self) -> str:
        return f"<Sweep of {self.size:,} points{f' in {self.path}' if self.path else ''}>"


def run_sweep(
    grid: Grid,
    shared: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    output: str | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Works off what is missing of a sweep.

    Args:
        grid: the points.
        shared: what all points are asked for.
        settings: all of that as plain values, by which an interrupted sweep is known again.
        output: the file of its rows.
        jobs: how many processes work side by side; -1 for as many as there are processors.
        cluster: the address of a Dask scheduler whose workers do it instead.
        progress: called with what is going on and its fraction done.

    Raises:
        UsageError: the file or the cluster can't be used, or what is there was begun with other settings.
        SweepError: workers are lost; what is done is kept.
    """
    if jobs < 1 and jobs != -1:
        raise UsageError(f"--jobs {jobs}: allowed: whole numbers from 1, or -1 for one a processor")
    if output is None:
        with tempfile.TemporaryDirectory() as folder:
            found = run_sweep(
                grid, shared, settings, output=f"{folder}/rows.jsonl", jobs=jobs, cluster=cluster, progress=progress
            )
            rows = tuple(found.rows())
        return Sweep(path=None, verdicts=found.verdicts, before=0, seconds=found.seconds, kept=rows)
    say = progress or silent
    size, started = grid.size, monotonic()
    with Journal(output, size, settings) as journal:
        before = journal.done
        if before < size:
            with _workers(jobs, cluster) as results_of:
                points = grid.points(journal.missing)
                with closing(results_of((number, point, shared) for number, point in points)) as results:
                    for number, row in _guarded(results, journal):
                        journal.add(number, row)
                        say(f"{journal.done:,} of {size:,} points", journal.done / size)
        journal.finish()
    return Sweep(
        path=output,
        verdicts={verdict: journal.verdicts[verdict] for verdict in _VERDICTS},
        before=before,
        seconds=monotonic() - started,
    )


def _guarded(results: Iterator[Any], journal: Journal) -> Iterator[Any]:
    """The results; what workers can't do is one error that says what is kept."""
    try:
        yield from results
    except IosimError:
        raise
    except Exception as error:  # whatever joblib, loky or Dask raise
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise SweepError(f"the workers are lost: {said[:300]}; {journal.kept}") from error


@contextmanager
def _workers(jobs: int, cluster: str | None) -> Iterator[Callable[[Iterator[Any]], Any]]:
    """What makes results, as they come, out of the arguments of `work`."""
    from joblib import Parallel, delayed, parallel_config

    def results_of(arguments: Iterator[Any]) -> Any:
        return Parallel(return_as="generator_unordered")(delayed(work)(*each) for each in arguments)

    if cluster is None:
        with parallel_config(backend="loky", n_jobs=jobs):
            yield results_of
        return
    from iosim.sweeps.cluster import dask_backend

    with dask_backend(cluster) as backend, parallel_config(backend=backend, n_jobs=-1):
        yield results_of
