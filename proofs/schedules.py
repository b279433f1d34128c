"""Schedules that move fewer words than statements that claim too much would allow: programs of `algorithms`, counted.

This is the only module of `proofs` that knows programs. What it is given is the setting of the statement.
"""

from __future__ import annotations

from dataclasses import replace

from algorithms.approx import approx
from algorithms.designs.design import GroupProducts
from algorithms.flash2 import flash2
from algorithms.fused import fused
from algorithms.polynomial.blocks import blocks_plan
from algorithms.recompute import recompute
from algorithms.tied import tied
from algorithms.two_pass import two_pass
from algorithms.witnesses import early_sums, polarisation
from iosim.bounds.bound import Setting
from iosim.expr import evaluate_int
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.tiled import Tiled
from proofs.model import Schedule


def flash2_order(x: Setting, rows: int, *, words: int = 1) -> Schedule:
    """Q and O once, K and V once for each tile of rows; sums take that many words."""
    found = _tiled("FlashAttention-2's order", flash2, "words", _problem(x), B_r=rows)
    return _with_wide_sums(found, rows * x.d, words)


def in_groups(x: Setting, rows: int, *, columns: int | None = None, words: int = 1) -> Schedule:
    """Q and K for each group of columns of V, d if not given, V and O once a row tile and once; sums take so many words."""
    wide = x.d if columns is None else columns
    by = f"FlashAttention-2's order once for each group of {'d' if columns is None else columns} columns of V"
    found = _tiled(by, recompute, "groups", _problem(x), B_r=rows, B_d=wide)
    return _with_wide_sums(found, rows * x.d, words)


def tied_order(x: Setting, rows: int) -> Schedule:
    """V is columns of K: each row of K once for each tile of rows, for both products."""
    by = "FlashAttention-2's order, each row of K loaded once for both products"
    return _tiled(by, tied, "rows", _problem(x, tied=True), B_r=rows)


def fused_order(x: Setting, rows: int, columns: int) -> Schedule:
    """Tiles of scores stay, columns of Q, K, V, O pass by; O is updated in slow memory."""
    by = "tiles of scores in fast memory, everything else streamed past"
    return _tiled(by, fused, "columns", _problem(x), B_r=rows, B_c=columns)


def two_passes(x: Setting, rows: int, columns: int) -> Schedule:
    """Tiles of scores are stored; tiles of O, of the same size, load them again."""
    by = "two passes: tiles of scores are stored, tiles of O load them again"
    return _tiled(by, two_pass, "tiles", _problem(x), B_r=rows, B_c=columns, B_o=rows, B_d=columns)


def columns_of_sums(x: Setting, size: int) -> Schedule:
    """Sums of all features, for `size` columns of V and ones after the other."""
    problem = _problem(x)
    plan = blocks_plan("approx", problem, GroupProducts(problem.d, problem.degree, 1), size)
    return _counted(f"sums of all features, for {size} columns after the other", plan)


def best_sums(x: Setting) -> Schedule:
    """The best schedule with sums of features that fits."""
    plan = approx.best(_problem(x), x.M)
    return _counted(f"the best schedule known, {plan.schedule}", plan)


def held_rows(x: Setting) -> Schedule:
    """All rows stay in fast memory; no sum moves."""
    return Schedule(
        by="all rows stay in fast memory, one sum after the other is built, used and dropped",
        io=evaluate_int(early_sums.held_rows_io(n=x.n_q, d=x.d), {}),
        peak=evaluate_int(early_sums.held_rows_peak(n=x.n_q, d=x.d, degree=_degree(x)), {}),
        source="algorithms.witnesses.early_sums",
    )


def row_sums(x: Setting, rows: int) -> Schedule:
    """Sums are used when they hold one row: flash attention in disguise."""
    return Schedule(
        by="the features of one row of K and V after the other, used for a tile of queries",
        io=evaluate_int(early_sums.row_sums_io(n=x.n_q, d=x.d, B=rows), {}),
        peak=evaluate_int(early_sums.row_sums_peak(d=x.d, B=rows, degree=_degree(x)), {}),
        source="algorithms.witnesses.early_sums",
    )


def polarised(n: int, d: int, k: int) -> Schedule:
    """K^T V of n rows and d columns, in blocks of k^2 columns."""
    return Schedule(
        by=f"polarisation in blocks of {k * k} columns",
        io=polarisation.io_words(n=n, d=d, k=k),
        peak=polarisation.peak_words(k),
        source="algorithms.witnesses.polarisation",
    )


def _with_wide_sums(found: Schedule, queries: int, words: int) -> Schedule:
    """The same if everything but the tile of Q, of so many words, takes that many words each; outputs are stored as one."""
    if words == 1:
        return found
    return replace(
        found,
        by=f"{found.by}, with {words} words for everything in fast memory but Q",
        peak=words * found.peak - (words - 1) * queries,
    )


def _problem(x: Setting, *, tied: bool = False) -> Problem:
    problem = Problem(n=x.n_q, n_k=x.n_k, d=x.d, d_v=x.d_v, tied=tied)
    return problem if x.g is None else replace(problem, degree=x.g)


def _degree(x: Setting) -> int:
    assert x.g is not None
    return x.g


def _tiled(by: str, algorithm: Tiled, name: str, problem: Problem, **tiles: int) -> Schedule:
    (schedule,) = (schedule for schedule in algorithm.schedules if schedule.name == name)
    return _counted(by, algorithm.with_tiles(schedule, problem, tiles))


def _counted(by: str, plan: Plan) -> Schedule:
    return Schedule(
        by=by, io=plan.io_words, peak=plan.peak_words, source=f"{plan.algorithm}, schedule {plan.schedule}, counted"
    )
