"""One point: what a worker does, in whatever process it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from time import perf_counter
from typing import Any

from iosim.algorithm import Algorithm
from iosim.columns import COLUMNS, run_row
from iosim.defaults import DEFAULT_D
from iosim.errors import UsageError
from iosim.problem import Problem
from iosim.registry import find
from iosim.runs.verdict import data_and_reference, run
from iosim.sweeps.grid import Point, shape_of
from iosim.units import dtype
from iosim.user_files import user_code

_PASSED_ON = ("degree", "eps", "logit_bound", "settings", "tiles", "seed", "rows", "numeric", "max_flops")


def work(number: int, point: Point, shared: Mapping[str, Any]) -> tuple[int, dict[str, object]]:
    """The number of the point, and its row. What goes wrong is said in the row: one point does not stop the others.

    Args:
        shared: what all points are asked for, as `iosim.sweeps.ask.ask` has it.
    """
    started = perf_counter()
    options: dict[str, Any] = {**shared, **point}
    algo, path, M = options["algo"], options["input"], options["M"]
    try:
        with user_code(algo):
            found = run(
                _algorithm(algo),
                shape_of(point, tied=options["tied"]),
                M,
                where=f"--M {M}",
                word=dtype(options["dtype_name"]),
                data=None if path is None else _data(path),
                elsewhere=False,
                against=_against,
                **{name: options[name] for name in _PASSED_ON if name in options},
            )
            return number, {**run_row(found, perf_counter() - started), "algorithm": algo}
    except UsageError as error:
        return number, _without(options, "infeasible", str(error), perf_counter() - started)
    except Exception as error:  # noqa: BLE001  whatever it is, hours of other points must not be lost for it
        said = f"{type(error).__name__}: {error}"
        return number, _without(options, "error", said, perf_counter() - started)


def _without(options: Mapping[str, Any], verdict: str, said: str, seconds: float) -> dict[str, object]:
    """The row of a point without a result: what was asked for, and why there is none."""
    n, d, heads = options.get("n"), options.get("d", DEFAULT_D), options.get("heads", 1)
    asked = {
        "algorithm": options["algo"],
        "n": n,
        "n_k": options.get("n_k", n),
        "d": d,
        "d_v": options.get("d_v", d),
        "batch": options.get("batch", 1),
        "heads": heads,
        "kv_heads": options.get("kv_heads", heads),
        "mask": options["mask"],
        "tied": options["tied"],
        "degree": options.get("degree"),
        "settings": json.dumps(options["settings"]),
        "dtype": options["dtype_name"],
        "fast_memory_words": options["M"],
        "verdict": verdict,
        "seconds": seconds,
        "error": " ".join(said.split()),
    }
    return {name: asked.get(name) for name in COLUMNS}


# What a worker keeps from one point to the next; searches for tiles are kept by the algorithms themselves.


@lru_cache(maxsize=64)
def _algorithm(name: str) -> Algorithm:
    return find(name)


def _against(problem: Problem, *asked: Any) -> Any:
    """The same data and reference for all that is asked of one problem."""
    return _data_and_reference(replace(problem, degree=0, coefficients=None, settings=()), *asked)


_data_and_reference = lru_cache(maxsize=1)(data_and_reference)


@lru_cache(maxsize=1)
def _data(path: str) -> Any:
    from iosim.numeric.input_files import load_input

    return load_input(path)
