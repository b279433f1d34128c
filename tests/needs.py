"""What the registered algorithms must be asked for: some are for problems of a kind only."""

from __future__ import annotations

NEEDS: dict[str, dict[str, object]] = {
    "tied": {"tied": True},
    "block-sparse": {"mask": "blocks:4,local,2"},
    "approx-decoding": {"mask": "causal"},
}


def needs(name: str) -> dict[str, object]:
    """Options of `iosim.verdict.run` with which the algorithm has something to do."""
    return NEEDS.get(name, {})


def flags(name: str) -> list[str]:
    """The same on the command line, with the flag that chooses the algorithm."""
    listed = ["--algo", name]
    for key, value in needs(name).items():
        listed += [f"--{key}"] if value is True else [f"--{key}", str(value)]
    return listed
