"""The best backward pass known to this package, whatever the fast memory."""

from __future__ import annotations

from algorithms.flash2_backward import flash2_backward, transposed_backward
from algorithms.split_backward import split_backward
from algorithms.standard_backward import standard_backward
from algorithms.two_pass_backward import two_pass_backward
from iosim import GRADIENT, Best

backward = Best(
    name="backward",
    summary="whichever backward pass moves the fewest words",
    source="exact counting",
    computes=GRADIENT,
    best_of=(GRADIENT,),
    of=(standard_backward, two_pass_backward, flash2_backward, transposed_backward, split_backward),
)
