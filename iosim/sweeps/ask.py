"""From what a user types to a grid, what its points share, and the settings by which the sweep is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iosim import __version__, request
from iosim.algorithm import Algorithm
from iosim.defaults import DEFAULT_MAX_FLOPS
from iosim.errors import UsageError
from iosim.masks import parse_mask
from iosim.refusals import missing
from iosim.registry import find, names_of
from iosim.sweeps.grid import Grid, Part, make_grid, shape_of
from iosim.units import MAX_WORDS, Numbers, dtype, flag_of, parse_counts, parse_sizes
from iosim.user_files import file_of, user_code

if TYPE_CHECKING:
    from iosim.numeric.inputs import AttentionInput

MOST_POINTS = 10**7  # of which nobody is asked whether they are meant
_MOST_IN_RANGE = 10**12
_LOOKED_AT = 10**4  # points of which one has to be possible
_OPTIONS = ("seed", "rows", "numeric", "max_flops")
_LISTED = 1000  # values of an axis that are written down one by one


def ask(
    names: str | Sequence[str],
    *,
    counts: Mapping[str, Numbers],
    M: Numbers,
    masks: Sequence[str],
    degree: Numbers | None,
    eps: float | None,
    logit_bound: float | None,
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
        degree, eps: of polynomials.
        logit_bound: of polynomials, and of random data.
        set: values of settings of methods.
        tiles: as of `iosim.run`.
        yes: whether more than 10^7 points are meant.
        shared: everything else that `iosim.run` is asked for; its `dtype` is `dtype_name`, its `input` a file.

    Raises:
        UsageError: what can't be used at any point.
    """
    word = dtype(shared["dtype_name"], where="--dtype")
    algorithms = []
    for name in names_of(names):
        with user_code(str(name)):
            algorithms.append((str(name), find(name)))
    sizes = {name: parse_counts(values, where=flag_of(name), most=_MOST_IN_RANGE) for name, values in counts.items()}
    degrees = [] if degree is None else parse_counts(degree, where="--degree", least=0, most=_MOST_IN_RANGE)
    own = {name: parse_counts(v, where=f"--set {name}", least=0, most=_MOST_IN_RANGE) for name, v in set.items()}
    capacities = parse_sizes(M, word, where="--M", most=_MOST_IN_RANGE)
    for place, mask in enumerate(masks):
        parse_mask(mask, where="--mask")
        if mask in masks[:place]:
            raise UsageError(f"--mask: {mask} is given twice; allowed: each once")
    data = _data(shared["input"], sizes)
    request.check_options(
        degree=max(degrees, default=None), eps=eps, logit_bound=logit_bound, **{name: shared[name] for name in _OPTIONS}
    )
    most = DEFAULT_MAX_FLOPS if shared["max_flops"] is None else shared["max_flops"]
    shared |= {"tiles": request.parse_tiles(tiles), "seed": shared["seed"] or 0, "max_flops": most}
    polynomial: dict[str, Sequence[object]] = {"degree": degrees, "eps": [] if eps is None else [eps]}
    if data is None:
        shared |= {"logit_bound": logit_bound}
    elif logit_bound is not None:  # other algorithms take data as they are
        polynomial["logit_bound"] = [logit_bound]
    grid = make_grid(
        algorithms,
        counts=sizes,
        masks=masks,
        polynomial={name: values for name, values in polynomial.items() if values},
        settings=own,
        capacities=capacities,
    )
    if grid.size > MOST_POINTS and not yes:
        raise UsageError(
            f"{grid.size:,} points: {' + '.join(_product(part.axes) for part in grid.parts)}; allowed: at most "
            f"{MOST_POINTS:,}, more with --yes"
        )
    for part, (name, algorithm) in zip(grid.parts, algorithms, strict=True):
        with user_code(name):
            _check_possible(part, algorithm, shared, data)
    settings = {
        "iosim": __version__,
        "algo": [name for name, _ in algorithms],
        **{name: _plain(values) for name, values in sizes.items()},
        "mask": list(masks),
        "degree": _plain(degrees),
        "set": {name: _plain(values) for name, values in own.items()},
        "M": _plain(capacities),
        **shared,
        "eps": eps,
        "logit_bound": logit_bound,
        "files": dict(_files([*(name for name, _ in algorithms), *masks, shared["input"] or ""])),
    }
    return grid, shared, settings


def _data(path: Any, sizes: Mapping[str, Sequence[int]]) -> AttentionInput | None:
    """What is in the file that all points read, if there is one."""
    if path is None:
        if "n" not in sizes:
            raise missing("--n", like="65536", instead=request.WITH_INPUT)
        return None
    if not isinstance(path, str):
        raise UsageError("--input: the points of a sweep read a file; allowed: FILE.npz, FILE.safetensors, Q,K,V.npy")
    from iosim.numeric.input_files import load_input

    return load_input(path)


def _check_possible(part: Part, algorithm: Algorithm, shared: Mapping[str, Any], data: AttentionInput | None) -> None:
    """Whether there is a point at which the algorithm can do something, if only the fast memory is large enough.

    Raises:
        UsageError: what is wrong at the first point, if something is at each.
    """
    logits = None if data is None or not algorithm.takes_polynomial else request.measured_logits(data, lambda *_: None)
    memories = len(dict(part.axes)["M"])  # they change from each point to the next
    wrong: UsageError | None = None
    for number in islice(range(0, len(part), memories), _LOOKED_AT):
        point = dict(part.point(number))
        asked: dict[str, Any] = {name: point.get(name) for name in ("degree", "eps", "logit_bound", "settings")}
        try:
            problem, _ = request.stated(
                algorithm, request.make_problem(shape_of(point, tied=shared["tied"]), data), **asked, logits=logits
            )
            if isinstance(shared["tiles"], str):
                algorithm.check_supported(problem)
            if shared["tiles"] == "paper":
                algorithm.published(problem, MAX_WORDS)
            elif isinstance(shared["tiles"], Mapping):
                algorithm.explicit(problem, shared["tiles"])
            return
        except UsageError as error:
            wrong = wrong or error
    if wrong is not None and len(part) <= _LOOKED_AT * memories:
        raise wrong


def _product(axes: Iterable[tuple[str, Sequence[object]]]) -> str:
    return " x ".join(f"{len(values):,} {name}" for name, values in axes if len(values) > 1) or "1"


def _plain(values: Sequence[int]) -> list[int] | str:
    if len(values) <= _LISTED or not isinstance(values, range):
        return list(values)
    return f"{values.start}:{values[-1]}:+{values.step}"


def _files(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    """The files among some names, each with a digest of what is in it."""
    for name in names:
        for part in [file_of(name) or name, *name.split(",")]:
            if part and Path(part).is_file():
                yield part, hashlib.sha256(Path(part).read_bytes()).hexdigest()
