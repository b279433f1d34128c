"""Rows: what a run and a point of a curve say of the problem."""

from __future__ import annotations

import iosim
from iosim.columns import COLUMNS


def test_query_heads_that_share_a_key_head_are_counted() -> None:
    """2 sequences of 6 query heads on 3 key heads, in a run's row and in a curve's, which is of all of them."""
    run = iosim.run("flash2", n=8, d=2, M=100, batch=2, heads=6, kv_heads=3, mask="causal", numeric=False)
    (row,) = run.rows()
    assert list(row) == list(COLUMNS)
    assert (row["batch"], row["heads"], row["kv_heads"], row["n"], row["d"], row["mask"]) == (2, 6, 3, 8, 2, "causal")
    assert (row["dtype"], row["fast_memory_words"], row["tied"], row["degree"]) == ("fp16", 100, False, None)
    curve = iosim.tune("flash2", n=8, d=2, M=[100], batch=2, heads=6, kv_heads=3, mask="causal").rows()
    assert [(point["batch"], point["heads"], point["kv_heads"], point["mask"], point["degree"]) for point in curve] == [
        (2, 6, 3, "causal", None)
    ]
    # 2 times 3 key heads with queries of 2 each; the curve has the best of the schedules that the run has
    assert row["io_words"] == curve[0]["io_words"]
