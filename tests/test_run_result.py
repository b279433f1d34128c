"""A run as plain numbers: each under its own name, with its unit, and by hand."""

from __future__ import annotations

from typing import Any

import pytest

from iosim.api import run


def numbers(name: str, **options: Any) -> dict[str, Any]:
    return run(name, **options).to_dict()


def test_the_numbers_of_an_exact_run_by_hand() -> None:
    """Two key heads with two query heads each, 6 queries, 9 keys, d = 2, d_v = 3, M = 30 words of fp32.

    For each key head 12 rows of Q in tiles of 3, and one key with its value kept between the tiles: Q and O once, 12 2 and
    12 3 words; K and V once for each of the 4 tiles, less the kept word of the 3 later ones, 9 2 4 - 3 2 and 9 3 4 - 3 3.
    """
    found = numbers("flash2", n=6, n_k=9, d=2, d_v=3, heads=4, kv_heads=2, M=30, dtype="fp32", rows=4, seed=3)
    words = {"Q": 2 * 24, "K": 2 * (72 - 6), "V": 2 * (108 - 9)}
    assert found["tiles"] == {"B_r": 3, "C": 1}
    assert found["loads_words_by_array"] == words
    assert found["stores_words_by_array"] == {"O": 2 * 36}
    # each pair once; every query and output, every key and value
    least = 24 * 2 + 24 * 3 + 2 * 9 * 2 + 2 * 9 * 3
    expected = {
        "algorithm": "flash2",
        "computes": "attention",
        "schedule": "cached",
        "n": 6,
        "d": 2,
        "n_k": 9,
        "d_v": 3,
        "batch": 1,
        "heads": 4,
        "kv_heads": 2,
        "mask": "full",
        "tied": False,
        "pairs": 4 * 6 * 9,
        "dtype": "fp32",
        "fast_memory_words": 30,
        "fast_memory_bytes": 120,
        "loads_words": 378,
        "stores_words": 72,
        "io_words": 450,
        "io_bytes": 1800,
        "closed_form_words": 450,
        "peak_words": 30,
        "legal": True,
        "violations": [],
        "degree": None,
        "logit_bound": None,
        "polynomial_relative_error": None,
        "degree_needed": None,
        "settings": {},
        "exact_algorithm": "flash2",
        "exact_schedule": "cached",
        "exact_io_words": 450,
        "pays": None,
        "pays_from_n": None,
        "lower_bound_words": least,
        "lower_bound": "inputs_are_loaded_and_outputs_stored",
        "lower_bound_class": "every schedule",
        "universal_lower_bound_words": least,
        "io_over_lower_bound": 450 / 210,
        "verdict": "holds",
    }
    assert {name: found[name] for name in expected} == expected
    assert (found["loads_words"], found["stores_words"]) == (sum(words.values()), 72)
    assert found["lower_bounds_words"]["inputs_are_loaded_and_outputs_stored"] == least
    assert max(found["lower_bounds_words"].values()) == least
    numeric = found["numeric"]
    # 4 rows of each of 4 heads
    assert (numeric["rows_checked"], numeric["rows"], numeric["seed"]) == (16, 24, 3)
    assert numeric["max_abs_error"] <= numeric["error_bound"] == numeric["rounding_bound"] < 1e-12
    assert numeric["relative_frobenius_error"] < 1e-14
    assert numeric["method_max_abs_error"] is None
    others = found["other_schedules"]
    # nothing kept: 4 tiles times 45 words of K and V, 60 of Q and O, for two heads
    assert {(other["algorithm"], other["schedule"], other["io_words"]) for other in others} == {
        ("flash2", name, 2 * (4 * 45 + 60)) for name in ("words", "rows", "cached rows")
    }
    assert [other["io_words"] for other in others] == sorted(other["io_words"] for other in others)
    assert all(0 < other["peak_words"] <= 30 for other in others)
    assert all(found["checks"].values())
    assert found["notes"] == ["2 key heads, one after the other: counts are for all, the peak is for one"]


def test_the_numbers_of_an_approximate_run_by_hand() -> None:
    """n = 6, d = 2: all fits, so that exact attention and the polynomial move the same 4 12 words; degree 3 is needed on
    [-2, 2], where degree 2 has a relative error of 0.27 (0.04 on [-1, 1])."""
    found = numbers("approx", n=6, d=2, M=40, degree=2, logit_bound=2.0)
    expected = {
        "schedule": "approx-resident resident",
        "degree": 2,
        "logit_bound": 2.0,
        "degree_needed": 3,
        "io_words": 48,
        "exact_io_words": 48,
        "pays": False,
        "pays_from_n": 9,
        "lower_bound_class": "every schedule",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["polynomial_relative_error"] == pytest.approx(0.27, abs=0.001)
    numeric = found["numeric"]
    assert numeric["method_max_abs_error"] < 1e-14 < numeric["max_abs_error"] <= numeric["error_bound"]
    assert numeric["rounding_bound"] < 1e-11
    assert found["other_schedules"][0]["schedule"] == "blocks"
    assert numbers("top-keys", n=6, d=2, M=90, set={"kept": 3})["settings"] == {"kept": 3}
    assert numbers("approx-decoding", n=1, n_k=30, d=8, M=1000)["pays_from_n_k"] == 52


def test_a_relative_error_picks_the_least_degree_that_has_it() -> None:
    """On [-1, 1] degree 2 has 0.04 and degree 3 has 0.005."""
    for eps, degree in ((0.1, 2), (0.04, 2), (0.01, 3)):
        found = numbers("approx", n=6, d=2, M=90, eps=eps, numeric=False)
        assert found["degree"] == degree
        assert found["polynomial_relative_error"] <= eps


def test_a_run_is_one_row_of_a_sweep_and_names_itself() -> None:
    """With the columns of a sweep; in Python, what was asked for, what it moves, and its verdict."""
    found = run("exact", n=6, d=2, M=60)
    (row,) = found.rows()
    assert row["io_words"] == found.io_words == 48
    assert repr(found) == "<Run exact flash2 cached, n=6, d=2, M=60 words: 48 words moved; every check holds>"
    assert run("flash2", n=6, d=2, M=60).schedule == "cached"
