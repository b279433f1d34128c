"""What is taken where nothing is said, by functions and by verbs; these load little before they run."""

from __future__ import annotations

DEFAULT_D = 64
DEFAULT_EPS = 0.1  # relative error that a polynomial must reach
DEFAULT_LOGIT_BOUND = 1.0
ALL_ROWS = 4096  # up to this n every row of a result is compared
DEFAULT_ROWS = 256  # beyond
DEFAULT_MAX_FLOPS = 2e12  # a minute or two of numpy
PAGE_MAX_FLOPS = 1e11  # of a run on a page, which has many of them
DEFAULT_POINTS = 200  # of a curve whose fast memories are not given, or a few less
DEFAULT_LIMIT_GB = 4.0  # of states of a search
