"""What the registered algorithms must be asked for: some are for problems of a kind only."""

from __future__ import annotations

NEEDS: dict[str, dict[str, object]] = {
    "tied": {"tied": True},
    "block-sparse": {"mask": "blocks:4,local,2"},
    "approx-decoding": {"mask": "causal"},
    "performer": {"set": {"features": 4}},
    "nystrom": {"set": {"landmarks": 1}},
    "linformer": {"set": {"rows": 1}},
    "top-keys": {"set": {"kept": 1}},
    "support-basis": {"set": {"queries": 1, "keys": 1}},
    "looped-block-order": {"set": {"loops": 2, "hidden": 1}},
    "looped-layer-order": {"set": {"loops": 2, "hidden": 1}},
    "hyper": {"set": {"block": 1, "samples": 2}},
    "based": {"set": {"window": 1}},
    "token-hunting": {"set": {"width": 2}},
}


def needs(name: str) -> dict[str, object]:
    """Options of `iosim.run` with which the algorithm has something to do."""
    return NEEDS.get(name, {})


def flags(name: str) -> list[str]:
    """The same on the command line, with the flag that chooses the algorithm."""
    listed = ["--algo", name]
    for key, value in needs(name).items():
        if isinstance(value, dict):
            listed += ["--set", ",".join(f"{name}={number}" for name, number in value.items())]
        else:
            listed += [f"--{key}"] if value is True else [f"--{key}", str(value)]
    return listed
