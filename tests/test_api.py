"""The Python API: the command line's results as values, by the same path, without its weight."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import iosim
from iosim.api.given import as_flags
from iosim.cli import VERBS, main
from iosim.columns import COLUMNS
from iosim.errors import IosimError, MissingPackageError, UnknownNameError, UsageError
from iosim.masks import CAUSAL
from iosim.plots import kinds
from iosim.verbs.gpu import gpu

GPU: dict[str, click.Command] = dict(gpu.commands)
HEAD = str(Path(__file__).parent / "data" / "minilm_layer5_head0.npz")  # n = 512, d = 32


def printed(*args: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(main, list(args))
    assert result.exit_code == 0, result.output
    return result.stdout.rstrip("\n")


SAME: dict[str, Any] = {
    "run --algo flash2 --n 100 --d 8 --M 2KB --mask causal": lambda: iosim.run(
        "flash2", n=100, d=8, M="2KB", mask="causal"
    ),
    "run --algo approx --n 96 --d 8 --M 300w --degree 1": lambda: iosim.run("approx", n="96", d=8, M=300, degree=1),
    "run --algo flash1 --n 90 --d 4 --M 200w --tiles B_r=5,B_c=5 --heads 2 --no-numeric": lambda: iosim.run(
        "flash1", n=90, d=4, M=200, tiles={"B_r": 5, "B_c": 5}, heads=2, numeric=False
    ),
    "list flash1": lambda: iosim.list_algorithms("flash1"),
    "show --algo flash1 --explain": lambda: iosim.show("flash1", explain=True),
    "bounds --n 100 --M 200w --dtype fp32": lambda: iosim.bounds(n=100, M=200, dtype="fp32"),
    "bounds --einsum ik,kj->ij --size i=9 --size j=9 --size k=9 --M 20w": lambda: iosim.bounds(
        einsum="ik,kj->ij", size={"i": 9, "j": 9, "k": 9}, M=20
    ),
    "bounds --tightness --n 100 --d 8 --M 50w:200w:*2": lambda: iosim.tightness(n=100, d=8, M="50w:200w:*2"),
    "bounds --tightness --n 100 --d 8 --M 50w,90w --degree 1": lambda: iosim.tightness(
        n=100, d=8, M=[50, 90], degree=1
    ),
    "tradeoff --n 40 --d 4 --M 900w --algo approx --grid degree=1,2,3 --dtype fp8": lambda: iosim.tradeoff(
        n=40, d=4, M=900, algo=["approx"], grid={"degree": "1:3:+1"}, dtype="fp8"
    ),
    "cache --algo flash2 --n 32 --d 4 --M 200w --line 2w": lambda: iosim.cache("flash2", n=32, d="4", M=200, line=2),
    "pebble --graph matmul:2x2x1 --M 4w --one-shot": lambda: iosim.pebble(graph="matmul:2x2x1", M=4, one_shot=True),
    "run --algo flash2 --n 20 --d 2 --M 60w --no-numeric --explain": lambda: iosim.run(
        "flash2", n=20, d=2, M=60, numeric=False, explain=True
    ),
    "prove inputs_are_loaded_and_outputs_stored": lambda: iosim.prove("inputs_are_loaded_and_outputs_stored"),
    "advise --n 64 --d 4 --M 200w --no-numeric": lambda: iosim.advise(n=64, d=4, M=200, numeric=False),
    "tune --algo flash2 --n 64 --d 4 --M 50w,200w": lambda: iosim.tune("flash2", n=64, d=4, M=[50, 200]),
    "tune --gpu h100 --n 64 --d 16 --tiles B_r=16,B_c=16,e=16,e_v=16": lambda: iosim.gpu_tiles(
        "h100", n=64, d=16, tiles="B_r=16,B_c=16,e=16,e_v=16"
    ),
    "sweep --algo flash2 --n 64 --d 4 --M 20w,200w -o rows.csv": lambda: iosim.sweep(
        "flash2", n=64, d=4, M=[20, 200], output="rows.csv"
    ),
    "trace --algo flash2 --n 4 --d 2 --M 20w --what moves": lambda: iosim.trace("flash2", n=4, d=2, M=20, what="moves"),
    "kernel --algo flash2 --n 32 --d 16 --tiles B_r=16,B_c=16 -o k.py": lambda: iosim.kernel(
        "flash2", n=32, d=16, tiles="B_r=16,B_c=16"
    ),
}


@cache
def result_of(command: str) -> Any:
    """The result that says the same as the command."""
    return SAME[command]()


TIMED = ("pebble", "prove", "sweep")  # which say how long it took


@pytest.mark.parametrize("command", SAME)
def test_a_result_prints_as_its_command_and_has_its_numbers(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`print(iosim.VERB(...))` is what `iosim VERB` prints, and `to_dict()`, an object, what its `--json` does."""
    monkeypatch.chdir(tmp_path)
    result = result_of(command)
    if not command.startswith((*TIMED, "kernel")):  # the source goes to the file
        assert str(result) == printed(*command.split())
    Path("rows.csv").unlink(missing_ok=True)  # which a sweep would read
    text = printed(*command.split(), "--json")
    assert text.startswith("{\n")
    assert untimed(json.loads(text)) == untimed(json.loads(json.dumps(result.to_dict())))


def untimed(value: Any) -> Any:
    """Without the seconds that anything took."""
    if isinstance(value, dict):
        return {name: untimed(each) for name, each in value.items() if name != "seconds"}
    return [untimed(each) for each in value] if isinstance(value, list) else value


# Objects whose keys are names: of tiles, arrays, checks, bounds.
BY_NAME = {
    "tiles",
    "sizes",
    "settings",
    "executed_tiles",
    "loads_words_by_array",
    "stores_words_by_array",
    "constants_words_by_array",
    "split_by_array",
    "checks",
    "conclusions",
    "lower_bounds_words",
    "graph_bounds_words",
    "graph_bounds_hold",
}
# Other words for the same, which flags or papers have.
SYNONYMS = {
    "algo": "algorithm",
    "M": "fast_memory_words",
    "M_words": "fast_memory_words",
    "memory_words": "fast_memory_words",
    "io": "io_words",
    "traffic_words": "io_words",
    "peak": "peak_words",
    "bound": "lower_bound",
    "bound_words": "lower_bound_words",
    "ratio": "io_over_lower_bound",
    "error": "max_abs_error",
    "time_s": "seconds",
    "function": "kernel",
    "code": "source_code",
}


def said(value: object) -> Iterator[tuple[str, str]]:
    """The keys of plain numbers and text, each with the kind of what it has; not the names in `BY_NAME`."""
    if isinstance(value, list):
        for each in value:
            yield from said(each)
    for name, each in value.items() if isinstance(value, dict) else ():
        if each is not None:
            yield name, "number" if type(each) in (int, float) else type(each).__name__
        if name not in BY_NAME:
            yield from said(each)


def test_one_thing_has_one_name_in_all_json() -> None:
    """A key has one kind of value in every verb, that of the column of this name; none is another word for a known one."""
    kinds = {(name, "number" if kind in (int, float) else kind.__name__) for name, (kind, _) in COLUMNS.items()}
    kinds -= {("tiles", "str"), ("settings", "str"), ("error", "str")}  # as JSON; no result, no error
    for command in SAME:
        found = result_of(command).to_dict()
        named = isinstance(result_of(command), Sequence)  # by name too
        kinds |= {*said(list(found.values()) if named else found)}
    names = Counter(name for name, _ in kinds)
    assert [name for name, many in names.items() if many > 1] == []
    assert {*SYNONYMS.values()} <= {*names}
    assert {*SYNONYMS} & {*names} == set()


def test_rows_have_the_names_of_columns() -> None:
    """What sweeps, curves and error against I/O say in rows is in columns of the same names and kinds, for one figure."""
    for command in ("tune --algo", "tradeoff", "bounds --tightness", "run --algo approx"):
        (found, *_) = (result_of(each).rows() for each in SAME if each.startswith(command))
        for name in {*found[0]} & {*COLUMNS}:
            assert {type(row[name]) for row in found} <= {COLUMNS[name][0], type(None)}, name
        assert {"algorithm", "fast_memory_words", "io_words"} <= {*found[0]}
        assert {*SYNONYMS} & {*found[0]} <= {"error"}


def test_every_verb_with_json_is_held_against_its_result() -> None:
    """No verb prints numbers that the test before this one does not look at; `gpu` has tests of its own."""
    have = {verb.name for verb in VERBS if any(param.name == "as_json" for param in verb.params)}
    assert have == {command.split()[0] for command in SAME}


def test_public_names_are_the_same_for_type_checkers_and_when_they_are_asked_for() -> None:
    """Each is imported from one home, under its own name; those of `iosim.api` are its functions, and `bounds`."""
    module = ast.parse(Path(str(iosim.__file__)).read_text(encoding="utf-8"))
    (for_types,) = (each for each in module.body if isinstance(each, ast.If))
    homes: dict[str, set[str | None]] = {}
    for line in for_types.body:
        assert isinstance(line, ast.ImportFrom)
        (alias,) = line.names
        assert alias.asname == alias.name
        homes.setdefault(line.module or "", set()).add(alias.name)
    assert homes.pop("iosim") == {"gpu"}
    assert homes["iosim.api"] == {*iosim.api.__all__}
    homes["iosim.api"].remove("bounds")  # a package that can be called, tested below
    assert homes == {home: {*names} for home, names in iosim._HOMES.items()}
    assert {*iosim.__all__} == {"bounds", "gpu"}.union(*iosim._HOMES.values())


# Flags about what is printed or written, and which of two functions is meant; `FILE` is data.
ABOUT_PRINTING = {
    "list": {"short"},
    "bounds": {"latex", "tightness"},
    "tradeoff": {"plot"},
    "tune": {"output"},
    "plot": {"path"},
    "trace": {"output"},
    "pebble": {"export"},
    "kernel": {"output"},
}
FUNCTIONS = {"list": ["list_algorithms"], "bounds": ["bounds", "tightness"], "tune": ["tune", "gpu_tiles"]}


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.name != "gpu"], ids=lambda verb: verb.name)
def test_parameters_are_named_as_flags_are(verb: click.Command) -> None:
    """Every flag of a verb but those about printing is a parameter of its functions, by its long name, and the other way."""
    long = [next((opt for opt in param.opts if opt[:2] == "--"), str(param.name)) for param in verb.params]
    flags = {name.removeprefix("--").replace("-", "_") for name in long}
    functions = FUNCTIONS.get(str(verb.name), [str(verb.name)])
    parameters = {name for each in functions for name in inspect.signature(getattr(iosim, each)).parameters}
    if verb.name == "plot":  # which settings there are, its kinds say
        assert {"settings", "data"} <= parameters
        parameters = parameters - {"settings", "data"} | {name for kind in kinds().values() for name in kind.settings}
    about_printing = ABOUT_PRINTING.get(str(verb.name), set())
    assert about_printing <= flags
    assert flags - {"json"} - about_printing == parameters - {"progress"}


def test_heads_are_of_a_sequence_wherever_they_are_given() -> None:
    """A verb and a function that ask for heads ask for sequences as well, with the same words."""
    asked = [{param.name: getattr(param, "help", "") for param in verb.params} for verb in (*VERBS, *GPU.values())]
    on_a_gpu = [flags.pop("heads") for flags in asked if "heads" in flags and "batch" not in flags]
    batches = [(flags["batch"], flags["heads"], flags["kv_heads"]) for flags in asked if "heads" in flags]
    assert len(on_a_gpu) == len(GPU)  # whose cases have one sequence
    assert len(batches) == 8  # run, bounds, tune, sweep, plot, cache, trace, kernel
    assert {*on_a_gpu, *(heads for _, heads, _ in batches)} == {"Query heads of a sequence.  [default: 1]"}
    assert len({*batches}) == 1
    functions = [inspect.signature(getattr(iosim, name)).parameters for name in iosim.api.__all__]
    assert all("batch" in parameters for parameters in functions if "heads" in parameters)


def test_values_stand_for_text() -> None:
    """Numbers of numpy, masks and algorithms are taken as well as their names."""
    text = iosim.run("flash2", n="128", d="16", M="1000w", mask="causal", numeric=False)
    (flash2,) = iosim.list_algorithms("flash2")
    values = iosim.run(flash2, n=np.int64(128), d=np.int32(16), M=np.int64(1000), mask=CAUSAL, numeric=False)
    assert values.to_dict() == text.to_dict()


def test_arrays_are_input_as_a_file_is() -> None:
    """Q, K and V in this order, by name or from a file are the same data."""
    with np.load(HEAD) as file:
        arrays = {name: file[name] for name in ("Q", "K", "V")}
    ways = [HEAD, Path(HEAD), arrays, (arrays["Q"], arrays["K"], arrays["V"]), iosim_input(arrays)]
    found = [iosim.run("flash2", M="16KB", input=way, rows=20).to_dict() for way in ways]
    assert found[0]["n"] == 512
    assert all(other == found[0] for other in found)


def iosim_input(arrays: dict[str, Any]) -> Any:
    from iosim.numeric.inputs import from_arrays

    return from_arrays(**arrays)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: iosim.run("flash2", n=0, M=1000), UsageError, "--n 0: allowed: whole numbers from 1 to 2^50"),
        (lambda: iosim.run("flash2", n=True, M=1000), UsageError, "--n True: allowed: whole numbers"),
        (lambda: iosim.run("flash2", n=6.5, M=1000), UsageError, "--n 6.5: allowed: whole numbers"),
        (lambda: iosim.run("flash2", n=2**60, M=1000), UsageError, "--n 1152921504606846976: allowed: whole"),
        (lambda: iosim.run("flash2", n=64, M=100), UsageError, "--M 100: flash2 at d=64 needs at least 132 words"),
        (lambda: iosim.run("flash2", n=64, M="100"), UsageError, "--M 100: no unit"),
        (lambda: iosim.run("flash3", n=64, M=100), UnknownNameError, "--algo flash3: no such algorithm (did you mean"),
        (lambda: iosim.run(5, n=64, M=100), UsageError, "--algo 5: allowed: a name"),  # type: ignore[arg-type]
        (lambda: iosim.sweep(["flash2", ""], n=64, M=100), UsageError, "--algo '': allowed: a name"),
        (lambda: iosim.run("flash2", n=64, M=1000, tiles={"B_r": 1.5}), UsageError, "--tiles B_r=1.5: allowed: like B_r=32"),
        (lambda: iosim.run("flash2", M=1000, input={"Q": 1, "K": 2}), UsageError, "--input: allowed: a file, Q, K and V"),
        (lambda: iosim.show("flash2", schedule="none"), UsageError, "--schedule none: no such schedule; flash2 has"),
        (lambda: iosim.bounds(M=100), UsageError, "without --n"),
        (lambda: iosim.cache("flash2", n=8), UsageError, "--M is missing"),
        (lambda: iosim.pebble("exact", n=2, graph="fft:8", M=4), UsageError, "--algo exact --graph fft:8: allowed: one"),
        (lambda: iosim.prove("nothing"), UnknownNameError, "nothing: no such theorem"),
        (lambda: iosim.sweep([], n=64, M=1000), UsageError, "--algo: none is given"),
        (lambda: iosim.tradeoff(n=64, M=1000, algo=["flash2"]), UsageError, "--algo flash2: it is exact"),
        (lambda: iosim.tradeoff(n=64, M=1000, grid={"degree": []}), UsageError, "--grid degree: none is given"),
    ],
)  # fmt: skip
def test_what_cant_be_used_is_an_exception(call: Any, error: type[IosimError], said: str) -> None:
    """What ends the command with exit code 2 is an exception here, with the same line; never an exit."""
    with pytest.raises(error, match=re.escape(said)):
        call()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("run", {"mask": 5}, "--mask 5: allowed: a mask, or text like causal"),
    ("run", {"mask": None}, "--mask None: allowed: a mask"),
    ("run", {"tied": "yes"}, "--tied yes: allowed: True, False"),
    ("run", {"numeric": 0}, "--numeric 0: allowed: True, False"),
    ("run", {"dtype": 16}, "--dtype 16: allowed: text"),
    ("run", {"degree": 1.5}, "--degree 1.5: allowed: whole numbers, or None"),
    ("run", {"degree": True}, "--degree True: allowed: whole numbers, or None"),
    ("run", {"eps": "small"}, "--eps small: allowed: numbers, or None"),
    ("run", {"logit_bound": [1]}, "--logit-bound [1]: allowed: numbers, or None"),
    ("run", {"set": ["features"]}, "--set ['features']: allowed: text like"),
    ("run", {"tiles": None}, "--tiles None: allowed: text like"),
    ("run", {"input": 5}, "--input: allowed: a file, Q, K and V"),
    ("run", {"seed": 0.5}, "--seed 0.5: allowed: whole numbers, or None"),
    ("run", {"max_flops": "many"}, "--max-flops many: allowed: numbers"),
    ("run", {"M": 1.5}, "--M 1.5: allowed: whole numbers from 1"),
    ("bounds", {"size": 5}, "--size 5: allowed: a mapping"),
    ("prove", {"name": 5}, "--name 5: allowed: text, or None"),
    ("tradeoff", {"grid": "degree=1"}, "--grid degree=1: allowed: a mapping"),
    ("sweep", {"algo": 5}, "--algo 5: allowed: text, or a list"),
    ("sweep", {"mask": 5}, "--mask 5: allowed: text, or a list"),
    ("sweep", {"output": 5}, "--output 5: allowed: text, or None"),
    ("sweep", {"jobs": 0.5}, "--jobs 0.5: allowed: whole numbers"),
    ("plot", {"data": [5]}, "rows: allowed: a file, or a list of rows"),
    ("cache", {"ways": "two"}, "--ways two: allowed: whole numbers, or None"),
    ("pebble", {"limit_s": "long"}, "--limit-s long: allowed: numbers, or None"),
    ("gpu_tiles", {"gpu": 5}, "--gpu 5: allowed: text"),
]
FIRST = {"bounds": (), "prove": (), "tradeoff": (), "plot": ("ski-slope",), "gpu_tiles": ()}


@pytest.mark.parametrize(("name", "wrong", "said"), WRONG)
def test_a_value_of_a_wrong_kind_is_refused_by_its_flag(name: str, wrong: dict[str, Any], said: str) -> None:
    """What no flag could say is a `UsageError` too, not an error from somewhere within."""
    usual = {"prove": {}, "plot": {}, "gpu_tiles": {"n": 64}}.get(name, {"n": 64, "M": 1000})
    given = {**usual, **({"einsum": "ij->i"} if name == "bounds" else {}), **wrong}
    first = () if "algo" in wrong else FIRST.get(name, ("flash2",))
    with pytest.raises(UsageError, match=re.escape(said)):
        getattr(iosim, name)(*first, **given)


def test_a_parameter_of_an_unknown_kind_is_refused_at_once() -> None:
    """Annotations are read as text: one that is written otherwise would switch its check off."""

    def asked(n: int | None = None, text: str | Path = "", **rest: Any) -> None: ...

    with pytest.raises(TypeError, match=r"^asked\(text: str \| Path\): allowed: int; .*; Number; "):
        as_flags(asked)


def test_an_unknown_parameter_is_told_the_known_ones() -> None:
    """As in Python a `TypeError`, which names what is allowed; settings of figures are flags."""
    with pytest.raises(TypeError, match=r"run\(\) has no parameter N; allowed: algo, M, n, n_k, d, d_v, batch, heads"):
        iosim.run("flash2", N=64, M=1000)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="--N: not for ski-slope; allowed: --M, --algo, --batch, --d"):
        iosim.plot("ski-slope", N=64)


def test_numbers_are_text_or_of_numpy_everywhere() -> None:
    """Whatever counts, measures or limits may be given as a flag has it."""
    plain = iosim.run("approx", n=96, d=8, M=300, degree=1, logit_bound=2.0, seed=3, rows=5, max_flops=1e9)
    text = iosim.run(
        "approx", n="96", d="8", M="300w", degree="1", logit_bound="2", seed="3", rows="5", max_flops="1e9"
    )  # type: ignore[arg-type]
    numbers: dict[str, Any] = {
        "degree": np.int64(1),
        "logit_bound": np.float32(2),
        "seed": np.uint8(3),
        "rows": np.int32(5),
    }
    assert (
        text.to_dict() == plain.to_dict() == iosim.run("approx", n=96, d=8, M=300, max_flops=1e9, **numbers).to_dict()
    )


def test_a_run_is_a_row_of_every_column() -> None:
    """A run's frame has one row with the documented columns, and frames of several can be joined."""
    exact = iosim.run("flash2", n=64, d=8, M=500)
    approximate = iosim.run("approx", n=64, d=8, M=500, degree=1, numeric=False)
    table = pd.concat([exact.to_frame(), approximate.to_frame()], ignore_index=True)
    assert list(table.columns) == list(COLUMNS)
    assert list(table["algorithm"]) == ["flash2", "approx"]
    assert table["io_words"][0] == exact.io_words == exact.loads_words + exact.stores_words
    assert table["rows_checked"][0] == 64
    assert pd.isna(table["rows_checked"][1])
    for name, value in approximate.rows()[0].items():
        assert value is None or type(value) is COLUMNS[name][0], name


def test_a_frame_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pandas is missing, `to_frame()` names the extra that brings it."""
    run = iosim.run("flash2", n=64, d=8, M=500, numeric=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match=re.escape("pip install 'iosim[notebooks]'")):
        run.to_frame()


def test_a_notebook_shows_the_report() -> None:
    """The HTML of a result has the text of its report, escaped, and `repr` is one line."""
    run = iosim.run("flash2", n=64, d=8, M=500, numeric=False)
    html = run._repr_html_()
    text = (
        re.sub(r"<[^>]*>", "", html)
        .replace("&gt;", ">")
        .replace("&lt;", "<")
        .replace("&#x27;", "'")
        .replace("&amp;", "&")
    )
    assert [line.rstrip() for line in text.strip().splitlines()] == str(run).splitlines()
    assert repr(run).startswith(
        f"<Run flash2 {run.schedule}, n=64, d=8, M=500 words: {run.io_words:,} words moved; every"
    )
    assert "the peak is reached here" in run.explain()._repr_html_()


def test_plots_are_figures_with_the_counted_words() -> None:
    """A bar for each array with its loads and its stores, one for all of them, and one for the lower bound."""
    run = iosim.run("flash2", n=100, d=8, M=500, numeric=False)
    (axes,) = run.plot().axes
    loads, stores = ([bar.get_width() for bar in bars] for bars in axes.containers[:2])
    assert [label.get_text() for label in axes.get_yticklabels()][: len(loads)] == ["Q", "K", "V", "O", "all"]
    assert (loads[:-1], loads[-1]) == ([run.loads.get(name, 0) for name in "QKVO"], run.loads_words)
    assert (stores[:-1], stores[-1]) == ([run.stores.get(name, 0) for name in "QKVO"], run.stores_words)
    assert axes.containers[2][0].get_width() == run.lower_bound[1]
    assert iosim.tradeoff(n=40, d=4, M=900, algo="approx", grid={"degree": 1}).plot().axes


def test_modules_that_share_a_name_with_a_verb_are_both() -> None:
    """`iosim.bounds` is a function and a package, whichever was asked for first."""
    code = (
        "import iosim, inspect; first = iosim.bounds; from iosim.bounds.exact import BOUNDS\n"
        "import iosim.approximation.tradeoff\n"
        "assert iosim.bounds is first and iosim.bounds(n=64, M=100).greatest.words > 0 and BOUNDS\n"
        "assert 'einsum' in inspect.signature(iosim.bounds).parameters and callable(iosim.tradeoff)\n"
        "assert {'run', 'bounds', 'tradeoff', 'Tiled'} <= set(dir(iosim))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""


def test_the_package_about_gpus_is_there() -> None:
    """`import iosim` is enough for `iosim.gpu.attention`, as README writes it."""
    code = "import iosim; assert 'attention' in iosim.gpu.__all__"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""


def test_importing_iosim_imports_nothing_else() -> None:
    """`import iosim` brings none of the packages that take time, and no module of iosim."""
    code = "import sys, iosim; print([name for name in sys.modules if name.partition('.')[0] in sys.argv[1:]])"
    heavy = ["numpy", "sympy", "matplotlib", "pandas", "numba", "rich", "click", "joblib"]
    found = subprocess.run([sys.executable, "-c", code, "iosim", *heavy], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['iosim']"
