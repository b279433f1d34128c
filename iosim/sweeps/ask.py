"""From what a user types to a grid, what its points share, and the settings by which the sweep is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iosim import __version__, request
from iosim.bounds.approx import MAX_DEGREE
from iosim.errors import UsageError
from iosim.masks import parse_mask
from iosim.registry import find, user_code
from iosim.sweeps.grid import Grid, make_grid
from iosim.units import Numbers, dtype, parse_counts, parse_sizes

MOST_POINTS = 10**7  # of which nobody is asked whether they are meant
_MOST_IN_RANGE = 10**12
_LISTED = 1000  # values of an axis that are written down one by one


def ask(
    names: Sequence[str],
    *,
    counts: Mapping[str, Numbers],
    M: Numbers,
    masks: Sequence[str],
    degree: Numbers | None,
    set: Mapping[str, Numbers],
    tiles: Any,
    yes: bool,
    **shared: Any,
) -> tuple[Grid, dict[str, Any], dict[str, Any]]:
    """The grid, what all its points are asked for, and the settings of the sweep as plain values.

    Args:
        names: of algorithms.
        counts: values of n, d, and so on.
        M: fast memories.
        masks: which keys a query meets.
        degree: of polynomials.
        set: values of settings of methods.
        tiles: as of `iosim.run`.
        yes: whether more than 10^7 points are meant.
        shared: everything else that `iosim.verdict.run` is asked for, and `input`, a file.

    Raises:
        UsageError: what can't be used at any point.
    """
    word = dtype(shared["dtype_name"], where="--dtype")
    names = [name.strip() for name in names]
    if not names:
        raise UsageError("--algo: none is given; allowed: like flash2,approx, see `iosim list`")
    algorithms = []
    for name in names:
        with user_code(name):
            algorithms.append((name, find(name)))
    sizes = {
        name: parse_counts(values, where=f"--{name.replace('_', '-')}", most=_MOST_IN_RANGE)
        for name, values in counts.items()
    }
    degrees = [] if degree is None else parse_counts(degree, where="--degree", least=0, most=_MOST_IN_RANGE)
    own = {name: parse_counts(v, where=f"--set {name}", least=0, most=_MOST_IN_RANGE) for name, v in set.items()}
    capacities = parse_sizes(M, word, where="--M", most=_MOST_IN_RANGE)
    _check(shared, sizes, degrees)
    for mask in masks:
        parse_mask(mask, where="--mask")
    shared |= {"tiles": request.parse_tiles(tiles)}
    grid = make_grid(algorithms, counts=sizes, masks=masks, degrees=degrees, settings=own, capacities=capacities)
    if grid.size > MOST_POINTS and not yes:
        raise UsageError(
            f"{grid.size:,} points: {' + '.join(_product(part.axes) for part in grid.parts)}; allowed: at most "
            f"{MOST_POINTS:,}, more with --yes"
        )
    settings = {
        "iosim": __version__,
        "algo": names,
        **{name: _plain(values) for name, values in sizes.items()},
        "mask": list(masks),
        "degree": _plain(degrees),
        "set": {name: _plain(values) for name, values in own.items()},
        "M_words": _plain(capacities),
        **shared,
        "files": dict(_files([*names, *masks, shared["input"] or ""])),
    }
    return grid, shared, settings


def _check(shared: Mapping[str, Any], sizes: Mapping[str, Sequence[int]], degrees: Sequence[int]) -> None:
    """What would be wrong at every point is an error at once."""
    path = shared["input"]
    if path is not None:
        if not isinstance(path, str):
            raise UsageError(
                "--input: the points of a sweep read a file; allowed: FILE.npz, FILE.safetensors, Q,K,V.npy"
            )
        from iosim.input_files import load_input

        load_input(path)
    elif "n" not in sizes:
        raise UsageError("--n is missing: give the number of queries, or data with --input")
    options = ("eps", "logit_bound", "seed", "rows", "numeric", "max_flops")
    request.check_options(degree=degrees[0] if degrees else None, **{name: shared[name] for name in options})
    for degree in degrees:
        if degree > MAX_DEGREE:
            raise UsageError(f"--degree {degree}: allowed: whole numbers from 0 to {MAX_DEGREE}")


def _product(axes: Iterable[tuple[str, Sequence[object]]]) -> str:
    return " x ".join(f"{len(values):,} {name}" for name, values in axes if len(values) > 1) or "1"


def _plain(values: Sequence[int]) -> list[int] | str:
    if len(values) <= _LISTED or not isinstance(values, range):
        return list(values)
    return f"{values.start}:{values[-1]}:+{values.step}"


def _files(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    """The files among some names, each with a digest of what is in it."""
    for name in names:
        for part in [name.partition(".py:")[0] + ".py" if ".py" in name else name, *name.split(",")]:
            if part and Path(part).is_file():
                yield part, hashlib.sha256(Path(part).read_bytes()).hexdigest()
