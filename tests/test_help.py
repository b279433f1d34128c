"""Every help text is read: its options are described, and its examples do what they say."""

from __future__ import annotations

import importlib
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import iosim
from iosim.cli import main
from iosim.plots import kinds
from iosim.table_files import write_rows
from tests import own


def commands() -> Iterator[tuple[str, click.Command]]:
    """iosim itself, each verb, and each verb of a verb, by what is typed."""
    yield "", main
    for name, command in main.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


def examples() -> Iterator[str]:
    """The command lines in the help texts, without `iosim`."""
    for _, command in commands():
        text = command.help
        assert text is not None
        for line in text.partition("Examples:")[2].splitlines():
            yield from [line.strip().removeprefix("iosim ")] if line.strip() else []
    for kind in kinds().values():
        yield from (f"plot {example}" for example in kind.examples)


EXAMPLES = tuple(dict.fromkeys(examples()))

# What takes long, and where it is: an example that gets there has been read to its last flag.
_LONG = (
    "iosim.runs.verdict.run",
    "iosim.approximation.tradeoff.tradeoff",
    "iosim.approximation.advice.advise",
    "iosim.tuning.tune.tune",
    "iosim.tuning.tune.least_memory",
    "iosim.gpu.tiles.gpu_tiles",
    "iosim.sweeps.sweep.run_sweep",
    "iosim.web.ask.web_report",
    "iosim.caches.ask.cache_counts",
    "iosim.caches.ask.cache_curve",
    "iosim.caches.ask.simulate",
    "iosim.pebbling.ask.pebble",
    "iosim.lowering.ask.kernel_run",
    "iosim.proof.theorem.Theorem.check",
    "iosim.traces.files.write_trace",
    "iosim.gpu.validate.run_alone",
    "iosim.gpu.validate.validate",
    "iosim.gpu.validate.again",
)

# What is not run: it needs a GPU or a cluster, or is meant for an hour.
_NOT_HERE = ("gpu ", "sweep --algo flash2,approx", "sweep --algo approx,performer", "sweep --algo standard")


for _name in _LONG:  # a module that is imported later would keep what stands in for a function for good
    importlib.import_module(_name.rpartition(".")[0].removesuffix(".Theorem"))


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_kept() -> Iterator[None]:
    """Afterwards every module has its own functions again."""
    yield
    for name, module in sys.modules.items():
        assert not name.startswith("iosim") or _reached not in vars(module).values(), name


class _Reached(BaseException):
    """What takes long would begin here."""


def _reached(*_: Any, **__: Any) -> None:
    raise _Reached


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the examples are typed, with the files that they name."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    np.savez("qkv.npz", **{name: random.standard_normal((40, 4)) for name in "QKV"})
    own.write(tmp_path, name="my_attention.py")
    Path("trace.din").write_text("0 10\n1 18\n0 10\n")
    Path("my.hdag").write_text("2 4 5\n0 0\n0 2\n1 1\n1 2\n1 3\n0 1 1\n1 1 1\n2 2 1\n3 1 1\n")
    return tmp_path


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_each_verb_has_an_example_and_describes_its_options(name: str, command: click.Command) -> None:
    """`--help` is on stdout, has an example, a text for each option, and no line longer than 100."""
    result = CliRunner().invoke(main, [*name.split(), "--help"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"iosim {name}".strip() in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    for param in command.params:
        assert isinstance(param, click.Argument) or param.help, param.name
        shown = param.opts[-1] if isinstance(param, click.Option) else param.make_metavar(click.Context(command))
        assert shown in result.stdout


@pytest.mark.parametrize(
    "example", [example for example in EXAMPLES if ".csv -o" not in example and ".csv --" not in example]
)
def test_an_example_is_read_to_its_end(example: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flag of each example exists and has a value that can be used; what takes long would begin next."""
    for name in _LONG:
        monkeypatch.setattr(name, _reached)
    monkeypatch.setattr("iosim.gpu.validate.find_ncu", lambda _: None)
    with suppress(_Reached):
        result = CliRunner().invoke(main, shlex.split(example))
        assert result.exit_code == 0, result.output


def test_examples_are_found_and_what_is_wrong_with_one_is_seen(folder: Path) -> None:
    """There are some for each verb; an unknown flag and a value that can't be used end with exit code 2."""
    assert len(EXAMPLES) > 70
    assert {name for name, _ in commands()} <= {" ".join(e.split()[:n]) for e in EXAMPLES for n in (0, 1, 2)}
    for wrong in ("run --algo flash2 --n 64 --m 9KB", "sweep --algo flash2 --n 1:9:+x --M 9KB -o grid.csv"):
        assert CliRunner().invoke(main, shlex.split(wrong)).exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("example", [example for example in EXAMPLES if not example.startswith(_NOT_HERE)])
def test_an_example_runs(example: str, folder: Path) -> None:
    """Every example that needs neither a GPU nor a cluster ends with exit code 0."""
    tuned, swept = iosim.tune("exact", n=256, d=8, M="64w:1Kiw:*2"), iosim.sweep("flash2", n=[64, 128], d=4, M=[60, 90])
    write_rows("slope.csv", tuned.rows())
    write_rows("grid.csv", swept.rows())
    measured = iosim.sweep("performer", n=64, d=4, M=600, set={"features": [4, 8]}, numeric=True)
    write_rows("errors.csv", measured.rows())
    result = CliRunner().invoke(main, shlex.split(example))
    assert result.exit_code == 0, result.output
