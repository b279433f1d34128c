"""`iosim cache` and `iosim trace` at the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iosim import api
from iosim.errors import UsageError
from iosim.registry import algorithms
from tests.commands import iosim, numbers, report
from tests.needs import flags

SMALL = ("--algo", "flash2", "--n", "24", "--d", "4", "--M", "100w")


def test_cache_prints_what_is_counted_by_array() -> None:
    """Loads, stores and the split, the schedule's own numbers beside them."""
    text = report("cache", *SMALL)
    assert "trace: flash2" in text
    assert "the schedule itself: loads" in text
    assert "cache: 100 words, lru, fully associative" in text
    assert "compulsory" in text
    found = numbers("cache", *SMALL)
    assert found["loads_words"] == sum(found["loads_words_by_array"].values())
    assert found["io_words"] == found["loads_words"] + found["stores_words"]
    split = [found[f"{kind}_loads_words"] for kind in ("compulsory", "capacity", "conflict")]
    assert sum(split) == found["loads_words"]
    assert split[0] == 3 * 24 * 4  # Q, K, V once; O and the temporaries are written before they are read


@pytest.mark.parametrize("name", algorithms())
def test_opt_loads_no_more_than_any_algorithm(name: str) -> None:
    """Every registered algorithm at the command line: with M words OPT loads no more than the schedule, nor than LRU."""
    size = ("--n", "8", "--d", "4", "--M", "300w")
    opt = numbers("cache", *flags(name), *size, "--policy", "opt")
    lru = numbers("cache", *flags(name), *size)
    assert opt["loads_words"] <= opt["explicit_loads_words"]
    assert opt["loads_words"] <= lru["loads_words"]


def test_policies_lines_ways_and_a_second_cache() -> None:
    """Every policy answers; sets conflict; a second cache meets what the first one moves."""
    for policy in ("lru", "fifo", "opt", "plru", "random"):
        found = numbers("cache", *SMALL, "--cache", "64w", "--line", "4w", "--ways", "4", "--policy", policy)
        assert (found["policy"], found["sets"], found["capacity_words"]) == (policy, 4, 64)
    for policy in ("lru", "opt"):
        two = numbers("cache", *SMALL, "--policy", policy, "--M2", "400w", "--policy2", "opt")
        assert two["level_2"]["accesses"] == two["io_words"]
        assert two["level_2"]["loads_words"] <= two["loads_words"]
    assert "cache 2: 400 words, opt" in report("cache", *SMALL, "--M2", "400w", "--policy2", "opt")


def test_curves_fall() -> None:
    """Loads fall with the capacity, to what is compulsory; OPT is never above LRU, and both are the caches themselves."""
    curves = [numbers("cache", *SMALL, "--curve", "--policy", policy)["curve"] for policy in ("lru", "opt")]
    for curve in curves:
        loads = [point["loads_words"] for point in curve]
        assert loads == sorted(loads, reverse=True)
        assert loads[-1] == 3 * 24 * 4
    for lru, opt in zip(*curves, strict=False):
        assert opt["loads_words"] <= lru["loads_words"] or opt["capacity_words"] != lru["capacity_words"]
    at_64 = next(point for point in curves[0] if point["capacity_words"] == 64)
    assert at_64["loads_words"] == numbers("cache", *SMALL, "--cache", "64w")["loads_words"]
    assert "capacity" in report("cache", *SMALL, "--curve")


def test_temporaries_can_be_left_out() -> None:
    """Then only arrays are in the cache."""
    assert "temporaries" in numbers("cache", *SMALL)["loads_words_by_array"]
    found = numbers("cache", *SMALL, "--no-temporaries")
    assert found["loads_words_by_array"]["temporaries"] == 0
    assert found["accesses"] < numbers("cache", *SMALL)["accesses"]


def test_a_long_trace_is_skipped_through() -> None:
    """n = 65,536: 10^12 accesses. Compulsory: Q, K and V once."""
    found = numbers("cache", "--algo", "flash2", "--n", "65536", "--M", "100KB")
    assert found["accesses"] > 10**12
    assert found["compulsory_loads_words"] == 3 * 65536 * 64


@pytest.mark.parametrize("ending", [".npz", ".din", ".oracleGeneral"])
def test_a_trace_goes_to_a_file_and_back(ending: str, tmp_path: Path) -> None:
    """The cache of a file of uses is that of the algorithm; without the kinds, loads are all the misses."""
    path = str(tmp_path / f"t{ending}")
    result = iosim("trace", *SMALL, "--what", "uses", "-o", path)
    assert result.exit_code == 0
    assert result.stdout == ""
    found, direct = numbers("cache", "--trace", path, "--M", "100w"), numbers("cache", *SMALL)
    assert found["misses"] == direct["misses"]
    if ending != ".oracleGeneral":
        assert (found["loads_words"], found["stores_words"]) == (direct["loads_words"], direct["stores_words"])
    assert numbers("cache", "--trace", path, "--curve")["accesses"] == found["accesses"]


def test_traces_by_tile_and_by_word() -> None:
    """The first load by tile is the first words moved."""
    by_tile = report("trace", *SMALL, "--what", "moves").splitlines()
    assert by_tile[0].split() == ["load", "K[0:1,", "0:4]", "->", "k", "4"]
    by_word = report("trace", *SMALL, "--what", "moves", "--by", "word").splitlines()
    assert by_word[0].split() == ["load", "96", "K[0,", "0]"]
    assert len(by_word) == numbers("cache", *SMALL)["explicit_loads_words"] + 24 * 4
    assert any("use   add_abt s[" in line for line in report("trace", *SMALL).splitlines())


@pytest.mark.parametrize("by", ["tile", "word"])
@pytest.mark.parametrize("what", ["moves", "uses", "all"])
def test_the_function_has_what_the_command_prints(by: str, what: str, tmp_path: Path) -> None:
    """As text, as rows and as a file; rows by tile have the words that are loaded and stored."""
    found = api.trace("flash2", n=24, d=4, M=100, by=by, what=what)
    text = report("trace", *SMALL, "--by", by, "--what", what)
    assert str(found) == text.rstrip("\n")
    assert len(found.to_frame()) == len(text.splitlines())
    assert found._repr_html_().count("\n") >= len(text.splitlines()) - 1
    assert repr(found).startswith("<Trace flash2 ")
    words = sum(row["io_words"] or 0 for row in found.rows()) if by == "tile" else len(found.rows())  # type: ignore[misc]
    if what == "moves":
        assert words == api.run("flash2", n=24, d=4, M=100, numeric=False).io_words
    path, other = tmp_path / "one.npz", tmp_path / "other.npz"
    assert found.write(str(path)) > 0
    assert iosim("trace", *SMALL, "--what", what, "-o", str(other)).exit_code == 0
    assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("trace --by line", lambda: api.trace("flash2", n=24, d=4, M=100, by="line")),
        ("trace --what stores", lambda: api.trace("flash2", n=24, d=4, M=100, what="stores")),
        ("cache --policy mru", lambda: api.cache("flash2", n=24, d=4, M=100, policy="mru")),
        ("cache --M2 200w --policy2 mru", lambda: api.cache("flash2", n=24, d=4, M=100, M2=200, policy2="mru")),
        ("cache --ways 0", lambda: api.cache("flash2", n=24, d=4, M=100, ways=0)),
        ("cache --seed -1 --policy random", lambda: api.cache("flash2", n=24, d=4, M=100, seed=-1, policy="random")),
        ("cache --line2 2w", lambda: api.cache("flash2", n=24, d=4, M=100, line2=2)),
    ],
)
def test_the_function_refuses_what_the_command_refuses(command: str, call: Callable[[], object]) -> None:
    """With the line that the command prints, which says what is allowed."""
    verb, *flags = command.split()
    with pytest.raises(UsageError, match="allowed: ") as refused:
        call()
    printed = iosim(verb, *SMALL, *flags)
    assert (printed.exit_code, printed.stderr) == (2, f"Error: {refused.value}\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"algo": "flash2", "n": 8, "M": 400, "seed": 0}, "--seed without --policy random; allowed: with it"),
        ({"algo": "flash2", "n": 8, "M": 400, "line2": 4}, "--line2 without --M2; allowed: with it"),
        ({"algo": "flash2", "n": 8, "M": 400, "policy2": "lru"}, "--policy2 without --M2; allowed: with it"),
        ({"algo": "flash2", "n": 8, "M": 400, "curve": True, "cache": 7}, "--cache with --curve; allowed: without"),
        ({"algo": "flash2", "n": 8, "M": 400, "curve": True, "ways": 2}, "--ways with --curve; allowed: fully associ"),
        ({"trace": "x.din", "n": 8, "M": 400}, "--n with --trace x.din; allowed: with --algo"),
        ({"trace": "x.din", "degree": 0, "M": 400}, "--degree with --trace x.din; allowed: with --algo"),
        ({"trace": "x.din", "tiles": "best", "M": 400}, "--tiles with --trace x.din; allowed: with --algo"),
        ({"trace": "x.din", "temporaries": False, "M": 400}, "--no-temporaries with --trace x.din; allowed: with"),
        ({"trace": "x.din", "cache": 7, "M": 400}, "--M with --trace and --cache; allowed: one of --M and --cache"),
    ],
)
def test_the_function_refuses_what_says_nothing(given: dict[str, Any], said: str) -> None:
    """What changes nothing beside the rest is refused, as it is of the command, even where it is the default."""
    with pytest.raises(UsageError, match=re.escape(said)):
        api.cache(**given)


def test_a_trace_is_json_beside_its_file(tmp_path: Path) -> None:
    """With a file the steps are words, as in it."""
    found = json.loads(iosim("trace", *SMALL, "--what", "moves", "-o", str(tmp_path / "t.din"), "--json").stdout)
    assert found["by"] == "word"
    assert len(found["steps"]) == len((tmp_path / "t.din").read_text().splitlines())


def test_json_is_json() -> None:
    """Numbers are numbers, units in the names."""
    found = json.loads(report("cache", *SMALL, "--json"))
    assert all(name.islower() for name in found)
    assert isinstance(found["loads_words"], int)
