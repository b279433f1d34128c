"""The best exact schedule known to this package, whatever the fast memory."""

from __future__ import annotations

from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from algorithms.standard import standard
from iosim import Best

exact = Best(
    name="exact",
    summary="whichever exact algorithm moves the fewest words",
    source="exact counting",
    of=(standard, flash1, flash2),
)
