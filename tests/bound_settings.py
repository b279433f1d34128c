"""Settings of square attention, and sizes for random ones."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from iosim.bounds.bound import Property, Setting

ALL: frozenset[Property] = frozenset({"no recomputation", "no spilling"})
SIZES = st.integers(1, 10**6)


def setting(n: int, d: int, M: int, *, d_v: int | None = None, properties: Sequence[Property] = ()) -> Setting:
    """Every query meets every key."""
    return Setting(N=n * n, n_q=n, n_k=n, d=d, d_v=d if d_v is None else d_v, M=M, properties=frozenset(properties))
