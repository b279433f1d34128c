"""Grids of runs: which points there are, how they are worked off side by side, and how nothing is lost on the way."""
