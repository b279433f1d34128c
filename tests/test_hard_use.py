"""Any request ends with every check holding, or with an error of one line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from iosim.api import run
from iosim.errors import IosimError
from iosim.registry import algorithms, find
from tests.needs import needs

REQUESTS = 300


def requests(seed: int, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Algorithms with options of a run: mostly small sizes, of which everything is computed; some that can't be met."""
    choose = random.Random(seed)
    names = sorted(algorithms())
    for _ in range(count):
        name = choose.choice(names)
        large = choose.random() < 0.2
        n = int(2 ** choose.uniform(10, 50)) if large else choose.choice((1, 2, 3, choose.randint(1, 70)))
        d = choose.choice((1, 2, choose.randint(1, 20), 64) if large else (1, 2, choose.randint(1, 9)))
        options: dict[str, Any] = dict(needs(name)) if choose.random() < 0.8 else {}
        if "set" not in options and find(name).method is not None and choose.random() < 0.5:
            option = choose.choice(find(name).method.options)  # type: ignore[union-attr]
            options["set"] = {option.name: choose.choice((0, 1, 2, 7, option.default))}
        if "mask" not in options and choose.random() < 0.4:
            options["mask"] = choose.choice(
                ("causal", f"window:{choose.randint(1, 9)}", "band:2,3", "band:all,4", "blocks:4,local,1")
            )
        if choose.random() < 0.3:
            options["n_k"] = n + choose.choice((0, 1, 5)) if choose.random() < 0.7 else choose.randint(1, 40)
        if choose.random() < 0.3:
            options["d_v"] = choose.randint(1, 9)
        if choose.random() < 0.3:
            options |= {"batch": choose.randint(1, 3), "heads": choose.choice((1, 2, 6))}
            options["kv_heads"] = choose.choice((1, 2, 3, 6))
        match choose.randint(0, 3) if find(name).takes_polynomial or choose.random() < 0.1 else 0:
            case 1:
                options["degree"] = choose.choice((0, 1, 2, 3, 5))
            case 2:
                options |= {"eps": choose.choice((1e-3, 0.1, 0.5)), "logit_bound": choose.choice((0.5, 2.0, 30.0))}
            case 3:
                options["logit_bound"] = choose.choice((1e-9, 1.0, 200.0))
        if choose.random() < 0.05:
            options["tiles"] = choose.choice(("paper", {"B_r": 2}, {"B_r": 0}, {"C": 3}))
        options["dtype"] = choose.choice(("fp64", "fp32", "fp16", "bf16", "fp8"))
        options["M"] = int(2 ** choose.uniform(1, 20 if large else 13))
        options |= {"n": n, "d": d, "numeric": not large, "seed": choose.randint(0, 9), "max_flops": 1e8}
        yield name, options


def outcome(name: str, options: dict[str, Any]) -> str:
    """What becomes of a request: it is refused, or all holds, or else what is wrong."""
    try:
        found = run(name, **options)
    except IosimError as error:
        return "refused" if str(error) and "\n" not in str(error) else f"not one line: {error}"
    broken = [f"{check.name}: {check.found}" for check in found.checks if not check.holds]
    assert found.to_dict()["verdict"] == ("fails" if broken else "holds")
    assert " ".join(str(found).split()).endswith(found.verdict)
    return "; ".join(broken) or "holds"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_any_request_holds_or_is_refused_in_one_line(seed: int) -> None:
    """Random requests in one process, many of which can't be met: no traceback, no warning, no check that fails."""
    outcomes = [(outcome(name, options), name, options) for name, options in requests(seed, REQUESTS // 4)]
    assert [each for each in outcomes if each[0] not in ("holds", "refused")] == []
    assert {said for said, *_ in outcomes} == {"holds", "refused"}
