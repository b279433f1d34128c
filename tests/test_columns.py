"""Rows: what a run and a point of a curve say of the problem."""

from __future__ import annotations

import iosim
from iosim.columns import COLUMNS


def test_query_heads_that_share_a_key_head_are_counted() -> None:
    """2 sequences of 6 query heads on 3 key heads: 12 and 6 in a run's row, and the same of 6 and 3 in a curve's."""
    run = iosim.run("flash2", n=8, d=2, M=100, batch=2, heads=6, kv_heads=3, mask="causal", numeric=False)
    (row,) = run.rows()
    assert list(row) == list(COLUMNS)
    assert (row["heads"], row["kv_heads"], row["n"], row["d"], row["mask"]) == (12, 6, 8, 2, "causal")
    assert (row["dtype"], row["fast_memory_words"], row["tied"], row["degree"]) == ("fp16", 100, False, None)
    curve = iosim.tune("flash2", n=8, d=2, M=[100], heads=6, kv_heads=3, mask="causal").rows()
    assert [(point["heads"], point["kv_heads"], point["mask"], point["degree"]) for point in curve] == [
        (6, 3, "causal", None)
    ]
