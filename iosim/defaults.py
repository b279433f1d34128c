"""What is taken where nothing is said, by functions and by verbs; these load little before they run."""

from __future__ import annotations

DEFAULT_D = 64
DEFAULT_MAX_FLOPS = 2e12  # a minute or two of numpy
