"""`iosim bounds` as its users meet it."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest

from iosim.bounds.bound import Setting
from iosim.bounds.einsum import einsum_bounds
from iosim.bounds.exact import BOUNDS, applicable, greatest
from iosim.bounds.literature import STATEMENTS
from iosim.bounds.survey import leading_term
from iosim.masks import parse_mask
from iosim.problem import Problem
from tests import commands

iosim = partial(commands.iosim, "bounds")
report = partial(commands.report, "bounds")
numbers = partial(commands.numbers, "bounds")

SIZES = ("--n", "65536", "--M", "100KB")


def lines(found: dict[str, object], group: int = 0) -> dict[str, dict[str, object]]:
    """The four lines of a bound, by label."""
    return {line["label"]: line for line in found["bounds"][group]["lines"]}  # type: ignore[index]


def test_four_lines_at_given_sizes() -> None:
    """n = 65536, d = 64, M = 50000 >= 4 64^2: 4nd, then 4n^2d^2/M with 4M/5 = 40000, and twice without."""
    n, d, M = 65_536, 64, 50_000
    found = lines(numbers(*SIZES))
    assert list(found) == ["trivial", "full", "leading", "simplified"]
    assert found["trivial"]["words"] == 4 * n * d
    leading = -(-4 * n * n * d * d // M)
    words = [found[label]["words"] for label in ("full", "leading", "simplified")]
    assert words == [leading + 40_000, leading, leading]
    assert found["simplified"]["expression"] == "4*d^2*n^2/M"
    assert found["full"]["theorem"] == "io_in_a_large_fast_memory"
    assert [found[label]["proved"] for label in found] == [True, True, False, False]


def test_the_greatest_bound_is_the_one_of_the_library() -> None:
    """Large and small M, causal, rectangular, tied; near the inputs' size the trivial bound is the greatest."""
    cases = {
        (65_536, 64, 64, 50_000): (),
        (65_536, 64, 64, 500): (),
        (4096, 576, 512, 20_000): ("--tied",),
        (4096, 64, 128, 9000): ("--mask", "causal"),
        (1000, 64, 64, 1_000_000): (),
    }
    for (n, d, d_v, M), flags in cases.items():
        found = numbers("--n", str(n), "--d", str(d), "--d-v", str(d_v), "--M", f"{M}w", *flags)
        pairs = n * (n + 1) // 2 if flags == ("--mask", "causal") else n * n
        tied = frozenset({"tied"} if flags == ("--tied",) else ())
        setting = Setting(N=pairs, n_q=n, n_k=n, d=d, d_v=d_v, M=M, properties=tied)  # type: ignore[arg-type]
        assert found["lower_bound_words"] == greatest(setting)[1]
        assert found["greatest"] == ("trivial" if M == 1_000_000 else "full")
        others = found["others"]
        assert isinstance(others, list)
        assert len(others) == max(0, len(list(applicable(setting))) - 2)


def test_heads_and_masks_are_counted_as_everywhere() -> None:
    """32 heads, 8 of keys, a window: N, n_q and n_k over all of them; formulas in n only for a single head."""
    problem = Problem(n=512, d=16, kv_heads=8, group=4, mask=parse_mask("window:32", where=""))
    given = ("--n", "512", "--d", "16", "--heads", "32", "--kv-heads", "8", "--M", "900w")
    found = numbers(*given, "--mask", "window:32")
    assert found["lower_bound_words"] == greatest(problem.setting(900))[1]
    assert "N*d" in str(lines(found)["simplified"]["expression"])
    # 32 heads without a mask: N = 32 512^2 is neither n^2 nor n^2/2 of one head
    assert "N*d" in str(lines(numbers(*given))["simplified"]["expression"])
    of_sums = lines(numbers(*given, "--degree", "2"), 1)["simplified"]
    assert "n_q" in str(of_sums["expression"])


def test_bounds_for_a_class_of_schedules_stand_apart() -> None:
    """What holds if no score is stored is larger, has a heading of its own, and is not the greatest for all."""
    found = numbers("--n", "65536", "--M", "500w")
    titles = [group["holds_for"] for group in found["bounds"]]  # type: ignore[index,union-attr]
    assert titles == ["every schedule", "no score computed twice, none stored"]
    special = lines(found, 1)["full"]
    assert special["requires"] == ["no recomputation", "no spilling"]
    assert special["words"] > found["lower_bound_words"]  # type: ignore[operator]


def test_all_regimes_in_symbols() -> None:
    """Without sizes: every bound with its condition and its formulas, no words; tied ones and those for wide sums when
    asked for."""
    found = numbers()
    names = {line["lower_bound"] for group in found["bounds"] for line in group["lines"]}  # type: ignore[index,union-attr]
    plain = {bound.name for bound in BOUNDS if not bound.requires & {"tied", "sums of 2 words", "sums of 4 words"}}
    assert names == plain
    wide = numbers("--sums", "fp32", "--dtype", "fp8")
    names = {line["lower_bound"] for group in wide["bounds"] for line in group["lines"]}  # type: ignore[index,union-attr]
    assert names == plain | {bound.name for bound in BOUNDS if "sums of 4 words" in bound.requires}
    tied = numbers("--tied")
    names = {line["lower_bound"] for group in tied["bounds"] for line in group["lines"]}  # type: ignore[index,union-attr]
    assert names == {bound.name for bound in BOUNDS if "tied" not in bound.excludes}
    assert found["lower_bound_words"] is None
    text = report()
    assert "holds for M >= 4*d^2 and d >= d_v" in text
    assert "holds for M >= 128*d^2/27 and d_v >= d" in text
    assert "holds for 2*M >= 9*d^2 and 3*M >= 4*d*(d + 3*d_v)" in report("--sums", "fp32")
    assert "holds for 4*d^2 >= M and 25*N^2*(d + d_v)^2 >= 9*M^3" in text
    assert "simplified    for n_q = n_k = n, d_v = d, N = n^2\n" in text
    # half as many pairs
    assert "simplified  2*d^2*n^2/M" in report("--mask", "causal")


def test_sums_in_another_format() -> None:
    """n = 2^16, d = 64, M = 100,000 words, sums of 2 words: N d^2 (1 + sqrt(2))^2/M - n d = 1,021,153,439.2 words, and 4M/5;
    in the format of a word, nothing changes."""
    sizes = ("--n", "65536", "--M", "100000w")
    wide = numbers(*sizes, "--sums", "fp32")
    assert wide["lower_bound_words"] == 1_021_233_440
    assert "sums of 2 words" in str(wide["problem"])
    assert numbers(*sizes, "--sums", "bf16") == numbers(*sizes)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--sums", "fp64", "--dtype", "fp8"), "--sums fp64 with --dtype fp8; allowed: as many bytes as a word"),
        (("--sums", "fp8"), "--sums fp8 with --dtype fp16; allowed: as many bytes as a word"),
        (("--sums", "fp32", "--tied"), "--tied with --sums; allowed: values of their own"),
        (("--sums", "fp32", "--degree", "2"), "--sums with --degree; allowed: one number format"),
        (("--sums", "fp32", "--einsum", "ik,kj->ij"), "--sums with --einsum; allowed: one number format"),
    ],
)
def test_sums_that_no_bound_is_for(flags: tuple[str, ...], message: str) -> None:
    """Other formats, and problems without bounds for wide sums, are refused."""
    result = iosim(*flags)
    assert result.exit_code == 2
    assert message in result.stderr


# The leading term by hand: many pairs, then d far above sqrt(M).
LEADING = {
    "io_at_least_N_d_plus_dv_squared_over_M_plus_4M_over_5": "N*(d + d_v)**2/M",
    "io_at_least_2N_d_plus_dv_over_root_M_minus_N_plus_3M_over_5": "2*N*(d + d_v)/sqrt(M)",
    "io_at_least_4_828_N_d_over_root_M_if_no_score_is_stored": "2*N*(d + sqrt(2)*d_v)/sqrt(M)",
    "io_at_least_N_d_times_d_plus_dv_over_M_plus_4M_over_5_if_tied": "N*d*(d + d_v)/M",
}


@pytest.mark.parametrize("name", LEADING)
def test_leading_terms(name: str) -> None:
    """Lower terms are left out, constants stay."""
    (bound,) = (bound for bound in BOUNDS if bound.name == name)
    assert str(leading_term(bound.expression)) == LEADING[name]


def test_the_literature_is_marked() -> None:
    """Every statement with its source; asymptotic ones say so and have no number."""
    found = numbers(*SIZES)["literature"]
    assert isinstance(found, list)
    assert [cited["title"] for cited in found] == [cited.title for cited in STATEMENTS]
    assert [cited["strength"] for cited in found].count("asymptotic") == len(STATEMENTS) - 1
    assert not any("words" in cited for cited in found)
    text = report(*SIZES)
    assert "in the literature (asymptotic unless it says >=: no value at given sizes)" in text
    assert "Saha and Ye 2024, for attention: Theta(min(" in text
    assert "abstract only" in text


def test_an_einsum_at_sizes_and_in_symbols() -> None:
    """SYRK: the bound of the engine with its derivation; without sizes the formulas; nothing about attention."""
    text = "C[i,j] += A[i,k] A[j,k]"
    bounds = einsum_bounds(text)
    found = numbers("--einsum", text, "--size", "i=529", "--size", "k=1024", "--M", "299w")
    assert found["lower_bound_words"] == bounds.greatest(bounds.sizes({"i": 529, "k": 1024}, 299))[1]
    assert lines(found)["leading"]["expression"] == "sqrt(2)*i^2*k/(2*sqrt(M))"
    assert found["literature"] == []
    assert any("share its words" in step for step in found["bounds"][0]["derivation"])  # type: ignore[index]
    printed = report("--einsum", "ik,kj->ij")
    assert "full        3*M/5 + 2*i*j*k/sqrt(M)" in printed
    assert "holds for every schedule and i^2*j^2*k^2 >= M^3/27" in printed
    assert "because     statement C[i,j] += A[i,k] B[k,j]" in printed


def test_an_einsum_with_something_in_between_says_what_it_needs() -> None:
    """2mm: the trivial bound for every schedule, the sum for those that compute nothing twice."""
    args = ["--einsum", "ik,kj->ij; ij,jl->il", "--M", "10000w"]
    found = numbers(*args, *(part for letter in "ijkl" for part in ("--size", f"{letter}=1000")))
    assert (found["greatest"], found["lower_bound_words"]) == ("trivial", 4_000_000)
    # 2 10^9 2/100 - 10^6 + 3 10^4/5
    assert lines(found, 1)["full"]["words"] == 40_000_000 - 1_000_000 + 6_000
    assert lines(found, 1)["full"]["requires"] == ["no recomputation"]


def test_latex_is_formulas_only() -> None:
    """A comment and a formula, in turn; one of the formulas is the simplified bound."""
    printed = report(*SIZES, "--latex").splitlines()
    assert all(line.startswith("% ") for line in printed[::2])
    assert r"\frac{4 d^{2} n^{2}}{M}" in printed[1::2]
    assert r"\frac{2 i j k}{\sqrt{M}}" in report("--einsum", "ik,kj->ij", "--latex").splitlines()


@pytest.mark.parametrize("args", [SIZES, (), ("--tied",), ("--einsum", "ik,kj->ij; ij,jl->il")])
def test_reports_are_plain_and_narrow(args: tuple[str, ...]) -> None:
    """No escape codes, no spaces at the ends of lines, no line longer than 100."""
    text = report(*args)
    assert "\x1b" not in text
    assert all(line == line.rstrip() and len(line) <= 100 for line in text.splitlines())


def test_help_imports_nothing_heavy() -> None:
    """`iosim bounds --help` needs neither numpy nor sympy."""
    code = "import sys, iosim.cli as c; c.main(['bounds', '--help'], standalone_mode=False); "
    code += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "sympy", "mpmath", "rich", "iosim.bounds.bound"} & set(done.stderr.split())
    assert "--einsum" in done.stdout
