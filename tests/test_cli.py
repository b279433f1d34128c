"""The command line as its users meet it: what goes to stdout, what to stderr, and the exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from iosim.registry import algorithms
from tests import own
from tests.commands import iosim, numbers, report
from tests.needs import NEEDS, flags

HEAD = str(Path(__file__).parent / "data" / "minilm_layer5_head0.npz")  # n = 512, d = 32
RUN = ("run", "--algo", "flash2", "--n", "64", "--M", "9KB")
KEYS = {
    "algorithm",
    "n",
    "d",
    "dtype",
    "fast_memory_words",
    "tiles",
    "loads_words",
    "stores_words",
    "io_words",
    "io_bytes",
    "peak_words",
    "flops",
    "closed_form",
    "closed_form_words",
    "legal",
    "numeric",
    "lower_bound_words",
    "verdict",
}


def process(*args: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """The command, in a process of its own, which can be interrupted even if the tests run in the background of a shell."""
    return subprocess.Popen(
        [sys.executable, "-m", "iosim", *args],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


# Good use


@pytest.mark.parametrize("name", algorithms())
def test_run_holds_for_every_algorithm_and_prints_the_keys_that_are_promised(name: str) -> None:
    """Every registered algorithm runs to the verdict that everything holds, with every promised key in its JSON."""
    found = numbers("run", *flags(name), "--n", "100", "--d", "8", "--M", "5000w")
    assert set(found) >= KEYS
    assert found["algorithm"] == name
    assert (found["n"], found["d"], found["dtype"], found["fast_memory_words"]) == (100, 8, "fp16", 5000)
    assert found["io_words"] == found["closed_form_words"] == found["loads_words"] + found["stores_words"]  # type: ignore[operator]
    assert found["io_bytes"] == 2 * found["io_words"]  # type: ignore[operator]
    assert found["legal"] is True
    assert found["verdict"] == "holds"
    assert 0 < found["lower_bound_words"] <= found["io_words"]  # type: ignore[operator]
    numeric = found["numeric"]
    assert isinstance(numeric, dict)
    if numeric["error_bound"] is None:
        assert algorithms()[name].method is not None
    else:
        assert numeric["max_abs_error"] <= numeric["error_bound"]
    # of O; of dQ, dK and dV
    assert numeric["rows_checked"] == (3 if found["computes"] == "gradient" else 1) * 100
    assert numeric["seed"] == 0


@pytest.mark.parametrize("name", algorithms())
@pytest.mark.parametrize("n", ["1", "7", "1Mi"])
def test_reports_are_plain_narrow_and_without_spaces_at_line_ends(name: str, n: str) -> None:
    """Piped output has no escape codes and no trailing spaces and no line longer than 100."""
    n = "4Ki" if (name, n) == ("block-sparse", "1Mi") else n  # there is a limit on the blocks of a mask
    text = report("run", *flags(name), "--n", n, "--d", "4", "--M", "2000w", "--no-numeric")
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 100
    assert text.splitlines()[-1].startswith("verdict: every check holds; the result was not computed")


def test_the_report_says_the_same_as_the_json() -> None:
    """Traffic, peak, flops and closed form of the table are those of the JSON."""
    args = ("run", "--algo", "flash1", "--n", "1000", "--M", "20000w", "--no-numeric")
    found, text = numbers(*args), report(*args)
    assert f"traffic          {found['io_words']:,} words (fp16, {found['io_bytes']:,} B)" in text
    assert f"peak         {found['peak_words']:,} words" in text
    assert f"flops            {found['flops']:,} (" in text
    assert f"{found['closed_form']} = {found['closed_form_words']:,}\n" in text
    arrays = found["loads_words_by_array"]
    assert isinstance(arrays, dict)
    for array, words in arrays.items():
        assert any(line.split()[:2] == [array, f"{words:,}"] for line in text.splitlines())


def test_a_number_that_is_wider_than_the_page_is_printed_whole() -> None:
    """Nothing is cut off a number, however long it is."""
    args = ("run", "--algo", "standard", "--n", "2^50", "--d", "2^50", "--M", "1000000w", "--no-numeric")
    assert f"{numbers(*args)['io_words']:,}\n" in report(*args)


def test_the_known_count_of_flash2_is_reproduced() -> None:
    """n = 1024, d = 64, row tiles of 32: Q and O once, K and V once for each of 32 row tiles."""
    found = numbers("run", "--algo", "flash2", "--n", "1024", "--M", "9KB", "--tiles", "B_r=32", "--no-numeric")
    assert found["io_words"] == 2 * 1024 * 64 + 2 * 1024 * 64 * 32 == 4_325_376
    assert found["tiles"] == {"B_r": 32}
    assert found["numeric"] is None


@pytest.mark.parametrize("size", ["40000w", "80000B", "80KB", "0.08MB", "78.125KiB"])
def test_the_same_fast_memory_in_any_notation_gives_the_same_run(size: str) -> None:
    """Bytes are converted at the dtype's width; words are words."""
    found = numbers("run", "--algo", "exact", "--n", "5000", "--M", size, "--no-numeric")
    assert (found["fast_memory_words"], found["fast_memory_bytes"]) == (40_000, 80_000)
    # 295 rows in 17 row tiles and 12 - 1 keys that stay: 2d words each for 16 row tiles less
    assert found["tiles"] == {"B_r": 295, "C": 12}
    assert found["io_words"] == 2 * 5000 * 64 * (1 + 17) - 11 * 2 * 64 * 16


def test_published_tiles_that_overflow_are_reported_as_illegal() -> None:
    """FlashAttention's tiles leave out the scores: the run goes on, names the rule and the factor, and exits with 1."""
    args = ("run", "--algo", "flash1", "--n", "300", "--M", "30000w", "--tiles", "paper")
    result = iosim(*args)
    assert result.exit_code == 1
    assert "30,976 words live, capacity is 30,000" in result.stdout
    assert "[capacity]; the peak is 1.035 M" in result.stdout  # 31,040 of 30,000 words
    assert "holds  error within its bound" in result.stdout
    assert result.stdout.splitlines()[-1] == "verdict: legal schedule FAILS"
    found = json.loads(iosim(*args, "--json").stdout)
    assert (found["legal"], found["verdict"], found["peak_words"]) == (False, "fails", 31_040)
    assert all("[capacity]" in violation for violation in found["violations"])


def test_published_tiles_that_fit_are_legal() -> None:
    """From about M = 8 d^2 words the published tiles of FlashAttention fit: B_c = ceil(M/4d), B_r = d."""
    found = numbers("run", "--algo", "flash1", "--n", "8192", "--M", "100KB", "--tiles", "paper", "--no-numeric")
    assert found["tiles"] == {"B_c": 196, "B_r": 64}


@pytest.mark.parametrize(
    "name", [name for name, algorithm in algorithms().items() if not algorithm.approximate and name not in NEEDS]
)
def test_exact_algorithms_match_the_reference_on_measured_data(name: str) -> None:
    """On Q, K, V of a real model every exact algorithm is softmax attention to rounding, on every row."""
    found = numbers("run", "--algo", name, "--input", HEAD, "--M", "16KiB")
    numeric = found["numeric"]
    assert isinstance(numeric, dict)
    assert numeric["max_abs_error"] < 1e-13
    # of O; of dQ, dK and dV
    assert numeric["rows_checked"] == numeric["rows"] == (3 if found["computes"] == "gradient" else 1) * 512


def test_heads_of_the_input_are_counted_together_and_all_compared(tmp_path: Path) -> None:
    """With three heads, words and rows are three times those of one; the peak is that of one."""
    with np.load(HEAD) as archive:
        np.savez(tmp_path / "three.npz", **{name: np.stack([archive[name]] * 3) for name in archive})
    args = ("run", "--algo", "flash2", "--M", "16KiB", "--input")
    one, three = numbers(*args, HEAD), numbers(*args, str(tmp_path / "three.npz"))
    assert three["heads"] == 3
    assert three["numeric"]["rows_checked"] == 3 * 512  # type: ignore[index]
    for key in ("loads_words", "stores_words", "io_words", "io_bytes", "flops", "closed_form_words", "exact_io_words"):
        assert three[key] == 3 * one[key], key  # type: ignore[operator]
    assert three["peak_words"] == one["peak_words"]


def test_approx_says_what_degree_measured_logits_need_and_that_it_does_not_pay() -> None:
    """A degree that is too low is measured, called what it is, and the needed degree named with its price."""
    args = ("run", "--algo", "approx", "--input", HEAD, "--M", "64KiB", "--degree", "2")
    found = numbers(*args)
    needed = found["degree_needed"]
    assert isinstance(needed, int)
    assert needed > 2
    text = " ".join(report(*args).split())
    assert "relative error 1 " in text
    assert f"a relative error of 0.1 on [-{found['logit_bound']:.4g}, " in text
    assert f"needs degree {needed}, that is " in text
    assert f"degree {needed} does not pay at n=512: " in text
    assert "measured, " in text
    assert text.endswith("verdict: every check holds; degree 2 is no approximation at these logits")


def test_without_a_degree_measured_logits_get_the_degree_that_they_need() -> None:
    """The degree that reaches 0.1 is picked, counted though far too large to run, and the verdict says it doesn't pay."""
    found = numbers("run", "--algo", "approx", "--input", HEAD, "--M", "64KiB")
    assert found["polynomial_relative_error"] <= 0.1  # type: ignore[operator]
    assert found["pays"] is False
    assert found["pays_from_n"] > 512  # type: ignore[operator]
    assert found["numeric"] is None
    assert report("run", "--algo", "approx", "--input", HEAD, "--M", "64KiB").endswith(
        "verdict: every check holds; the result was not computed; the approximation does not pay here\n"
    )


@pytest.mark.parametrize(
    "options",
    [
        "--degree 0",
        "--degree 1",
        "--degree 7",
        "--eps 1e-9",
        "--eps 0.9",
        "--logit-bound 20 --no-numeric",
        "--logit-bound 0.001 --eps 1e-6",
        "--logit-bound 20 --degree 2",
        "--logit-bound 60 --degree 2",
        "--degree 12 --logit-bound 40",
        "--n 1 --d 1",
        "--n 1",
        "--d 1",
        "--M 2000Gw",
        "--M 200w",
        "--dtype fp8 --M 9001B",
        "--rows 1",
        "--rows 1000000",
        "--seed 123456789012345678901234567890",
        "--max-flops inf",
        "--max-flops 1",
    ],
)
def test_odd_but_sound_requests_hold(options: str) -> None:
    """Whatever the polynomial and the sizes, the counts hold, and so does the bound wherever one is proved."""
    usual = {"--n": "60", "--d": "6", "--M": "400w"}
    sizes = [word for flag, size in usual.items() if flag not in options.split() for word in (flag, size)]
    text = report("run", "--algo", "approx", *sizes, *options.split())
    assert "\nverdict: every check holds" in text


def test_a_wider_logit_bound_tests_exact_algorithms_harder() -> None:
    """Random data obey --logit-bound for exact algorithms too."""
    found = numbers("run", "--algo", "flash2", "--n", "200", "--M", "9KB", "--logit-bound", "30")
    assert found["numeric"]["max_abs_error"] < 1e-12  # type: ignore[index]
    assert found["degree"] is None


def test_the_same_command_prints_the_same_and_another_seed_does_not() -> None:
    """Random data and samples come from the seed alone."""
    args = ("run", "--algo", "approx", "--n", "100", "--d", "8", "--M", "9KB", "--rows", "10")
    assert report(*args) == report(*args)
    assert report(*args) != report(*args, "--seed", "1")


def test_work_that_is_too_much_is_left_out_and_said_so() -> None:
    """Beyond --max-flops the counts stand alone, and the verdict says that the result was not computed."""
    text = report("run", "--algo", "exact", "--n", "65536", "--M", "9KB", "--max-flops", "1e6")
    assert "the result is not computed: " in text
    assert "(--max-flops)" in text
    assert text.endswith("verdict: every check holds; the result was not computed\n")


def test_list_names_every_algorithm_with_its_source_and_schedules() -> None:
    """`list` has each registered algorithm with what it is, its source, closed forms and regimes; so has its JSON."""
    text = " ".join(report("list").split())
    listed = json.loads(report("list", "--json"))
    assert list(listed) == list(algorithms())
    for algorithm in algorithms().values():
        assert f"{algorithm.name} {algorithm.summary} source {algorithm.source}" in text
    for entry in listed.values():
        for schedule in entry["schedules"]:
            facts = (
                f"words moved {schedule['closed_form']} peak words {schedule['closed_form_peak']} "
                f"holds for {schedule['regime']}"
            )
            assert f"{schedule['schedule']} {facts}" in text


def test_show_prints_one_schedule_or_all() -> None:
    """`show` prints the pseudo-code of every schedule, `--schedule` of one, `--json` the same texts."""
    both = report("show", "--algo", "flash2")
    words = report("show", "--algo", "flash2", "--schedule", "words")
    assert both.startswith(words.rstrip("\n") + "\n\nflash2 (rows), for sizes")
    listed = json.loads(report("show", "--algo", "flash2", "--json"))
    assert listed["algorithm"] == "flash2"
    assert [schedule["schedule"] for schedule in listed["schedules"]] == ["words", "rows", "cached", "cached rows"]
    assert "\n\n".join(schedule["pseudo_code"] for schedule in listed["schedules"]) + "\n" == both


def test_list_of_one_and_in_short() -> None:
    """`list NAME` says of one algorithm what `list` says of it; `list --short` has a line for each."""
    assert report("list", "flash2").strip() in report("list")
    assert list(json.loads(report("list", "flash2", "--json"))) == ["flash2"]
    short = report("list", "--short")
    assert all(any(line.startswith(f"{name} ") for line in short.splitlines()) for name in algorithms())
    assert "words moved" not in short


def test_without_a_verb_the_help_goes_to_stderr() -> None:
    """`iosim` alone is wrong usage: the help, on stderr, and exit code 2."""
    result = iosim()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: ")


# The process


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("run", "--algo", "flash2", "--n", "64", "--M", "9KB"), 0),
        (("run", "--algo", "flash1", "--n", "64", "--M", "3000w", "--tiles", "paper", "--no-numeric"), 1),
        (("run", "--algo", "flash2", "--n", "64", "--M", "1w"), 2),
        (("nonsense",), 2),
    ],
)
def test_exit_codes_of_the_process(args: tuple[str, ...], code: int) -> None:
    """0: every check holds. 1: one fails. 2: wrong usage; then stdout is empty, else stderr is."""
    running = process(*args)
    out, err = running.communicate(timeout=60)
    assert running.returncode == code
    assert bool(out) == (code != 2)
    assert bool(err) == (code == 2)
    assert b"Traceback" not in err


def test_help_imports_neither_numpy_nor_sympy() -> None:
    """What takes long to import is imported by the verbs that need it, not by `iosim --help`."""
    code = "import sys, iosim.cli as c; c.main(['--help'], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "sympy", "mpmath", "z3", "rich", "scipy", "matplotlib", "numba", "iosim.program"}
    assert not heavy & set(done.stderr.split())


def test_a_reader_that_stops_early_sees_no_traceback() -> None:
    """`iosim list | head -1`: the process ends quietly with the code that a shell gives for a closed pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    for args in (("list",), ("show", "--algo", "exact"), ("--help",), (*RUN, "--json")):
        running = process(*args, stdout=writing)
        assert running.communicate(timeout=60)[1] == b""
        assert running.returncode == 141
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line() -> None:
    """Output that can't be written is an error, not a success and not a traceback."""
    with open("/dev/full", "w") as full:
        running = process("list", stdout=full.fileno())
        assert running.communicate(timeout=60)[1] == b"Error: stdout: No space left on device\n"
    assert running.returncode == 2


def test_an_interrupt_ends_a_long_run_without_a_traceback(tmp_path: Path) -> None:
    """Ctrl-C during a computation: no traceback, nothing on stdout, exit code 130."""
    waits = own.write(
        tmp_path, ('print("this goes to stderr")', 'print("ready", flush=True); import time; time.sleep(60)')
    )
    running = process("run", "--algo", waits, "--n", "64", "--M", "9KB")
    assert running.stderr is not None
    assert running.stderr.readline() == b"ready\n"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, b"")
    assert err.strip() == b"Error: interrupted"
