"""The best exact schedule known to this package, whatever the fast memory."""

from __future__ import annotations

from algorithms.block_sparse import block_sparse
from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from algorithms.fused import fused
from algorithms.recompute import recompute
from algorithms.standard import standard
from algorithms.tied import tied
from algorithms.two_pass import two_pass
from iosim import ATTENTION, DECODING, Best

exact = Best(
    name="exact",
    summary="whichever exact algorithm moves the fewest words",
    source="exact counting",
    best_of=(ATTENTION, DECODING),
    of=(standard, two_pass, fused, flash1, flash2, recompute, tied, block_sparse),
)
