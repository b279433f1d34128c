"""What several tests of approximate schedules share: stages by hand, and all cuts into passes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import comb

from algorithms.designs.design import Design
from algorithms.designs.parts import Stored
from algorithms.polynomial.stages import o_stationary, q_stationary, w_stationary
from iosim.builder import build
from iosim.program import Program

AUTHORS = {"w-stationary": w_stationary, "q-stationary": q_stationary, "o-stationary": o_stationary}


def staged(
    schedule: str,
    designs: tuple[Design, Design],
    widths: tuple[int, int],
    coefficients: tuple[float, ...] | None = None,
) -> Program:
    """The program with these blocks and columns at a time in each stage; queries and streams are left open."""
    d = designs[0].d
    sizes: dict[str, object] = {"n": "n", "n_k": "n", "d": d, "d_v": d, "e": widths[0], "N": "N", "c": "c"}
    sizes |= {"several": widths[0] <= d, "design": designs[0], "design_2": designs[1], "coefficients": coefficients}
    if schedule != "q-stationary":
        sizes |= {"e_2": widths[1], "several_2": widths[1] <= d}
    if schedule != "w-stationary":
        sizes |= {"B_r": "B_r", "f": "f"}
    return build(AUTHORS[schedule], name=schedule, **sizes)


class Displaced(Stored):
    """The blocks of a design, their sums one row too far."""

    def rows(self):  # type: ignore[no-untyped-def]
        return ({**row, "offset": row["offset"] + 1} for row in super().rows())

    def classes(self):  # type: ignore[no-untyped-def]
        return (({**row, "offset": row["offset"] + 1}, *rest) for row, *rest in super().classes())


def every_cut(d: int, g: int, M: int) -> Iterator[int]:
    """Words a row, V having as many columns as K, of all passes that fit in M words: for each number of them
    and each t, the fewest columns that the small pass must have."""
    r, prefixes = comb(d + g, g), max(g, 1) - 1
    sums, room = r * (d + 1) - 1, M - d - 2 - prefixes
    for NC in range(1, -(-sums // room) + 1 if room >= r else 2):
        missing = sums - NC * room
        for t in range(d + 1) if missing > 0 else [0]:
            small = comb(t + g, g)
            e = max(0, -(-missing // small))
            if e <= d and (not e or small * e + t + 1 + prefixes <= M):
                x = fewest_cuts(boundaries(d, d, g, t, e), NC, room)
                yield 2 * (NC * d + t) + 2 * d + 3 * (e + x) + (NC if NC > 1 else 0)


def boundaries(d: int, d_v: int, g: int, t: int, e: int) -> list[int]:
    """How many sums there are beside those of the small pass, up to the features' own and up to each column of V."""
    r, small = comb(d + g, g), comb(t + g, g)
    return list(accumulate([r - 1, *[r - small] * e, *[r] * (d_v - e)]))


def fewest_cuts(columns: list[int], NC: int, room: int) -> int:
    """The fewest columns that are cut by NC passes of at most `room` sums: every place where a pass can end is tried."""
    fewest = [0] + [NC] * columns[-1]  # with which passes so far can end there
    for _ in range(NC):
        cut = [int(end not in columns) for end in range(len(fewest))]
        fewest = [min(fewest[max(0, end - room) : end + 1]) + cut[end] for end in range(len(fewest))]
        fewest[: columns[0]] = [NC] * columns[0]
    return fewest[-1]
