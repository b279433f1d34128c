"""An output is finished when its words have seen what they need, and only then."""

from __future__ import annotations

import pytest

from iosim import Builder, Size, build, violations
from iosim.interpret.legality.rules import Rule
from iosim.program import (
    Program,
)
from tests.legality import agrees, breaks, legal


def attention(b: Builder, *, n: Size, d: Size, B: Size, what: str) -> None:
    """Scores times values, with a mistake in the reduction."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:], K[:,:], V[:,l]")

    def reduce(o, q, i, start, stop):  # type: ignore[no-untyped-def]
        with b.tiles("j", stop, B, start=start) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            with b.zeros("s", i, j) as s:
                b.op("add_abt", s, q, k)
                b.op("add_ab", o, s, v)

    with b.tiles("i", n, B) as i, b.load(Q[i, :]) as q, b.zeros("o", i, d) as o:
        match what:
            case "whole":
                reduce(o, q, i, 0, n)
            case "stored first":
                b.store(o, O[i, :])
                reduce(o, q, i, 0, n)
            case "ragged end missed":
                reduce(o, q, i, 0, n // B * B)
            case "a gap":
                reduce(o, q, i, 0, B)
                reduce(o, q, i, 2 * B, n)
            case "its own tile only":
                reduce(o, q, i, i.start, i.stop)
            case "up to its own tile":
                reduce(o, q, i, 0, i.stop)
        if what != "stored first":
            b.store(o, O[i, :])


UNFINISHED = {
    "whole": [],
    "stored first": [
        "loop i / store o: O[0:100, 0:4] needs Q[0:100, 0:4], has seen nothing of it",
        "loop i / store o: O[0:100, 0:4] needs K[0:100, 0:4], has seen nothing of it",
        "loop i / store o: O[0:100, 0:4] needs V[0:100, 0:4], has seen nothing of it",
    ],
    # 100 = 12 * 8 + 4
    "ragged end missed": [
        f"loop i / store o: O[0:100, 0:4] needs {x}[0:100, 0:4], has seen {x}[0:96, 0:4]" for x in "KV"
    ],
    "a gap": [
        f"loop i / store o: O[0:100, 0:4] needs {x}[0:100, 0:4], has seen {x}[0:8, 0:4] and {x}[16:100, 0:4]"
        for x in "KV"
    ],
    "its own tile only": [
        f"loop i / store o: O[0:100, 0:4] needs {x}[0:100, 0:4], each of its words has seen only a part, which moves "
        "along with it"
        for x in "KV"
    ],
    "up to its own tile": [
        f"loop i / store o: O[0:100, 0:4] needs {x}[0:100, 0:4], each of its words has seen only a part, which moves "
        "along with it"
        for x in "KV"
    ],
}


@pytest.mark.parametrize("what", UNFINISHED)
def test_an_unfinished_output_says_what_it_has_not_seen(what: str) -> None:
    """A reduction that starts too late, ends too early, leaves a gap or follows the row leaves the output unfinished."""
    program = _attention(what)
    rule = Rule.UNFINISHED.value
    breaks(program, {"n": 100, "d": 4, "B": 8}, *(f"{said} [{rule}]" for said in UNFINISHED[what]))
    agrees(program, {"n": 11, "d": 2, "B": 3})


def _attention(what: str) -> Program:
    def author(b: Builder, *, n: Size, d: Size, B: Size) -> None:
        attention(b, n=n, d=d, B=B, what=what)

    return build(author, name=what, n="n", d="d", B="B")


@pytest.mark.parametrize("first", ["zeros", "value"])
def test_neighbours_of_which_one_is_unfinished(first: str) -> None:
    """One half of the rows is stored with a value that has seen the input, the other half with zeros, in either order."""

    def author(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n,)), b.output("Y", (2 * n,), needs="Y[i] <- X[:]")
        with b.load(X[:]) as x, b.zeros("z", n) as z:
            b.store(z if first == "zeros" else x, Y[:n])
            b.store(x if first == "zeros" else z, Y[n:])

    program = build(author, name="half", n="n")
    rows = "0:3" if first == "zeros" else "3:6"
    breaks(
        program,
        {"n": 3},
        f"store z: Y[{rows}] needs X[0:3], has seen nothing of it [{Rule.UNFINISHED.value}]",
    )


def test_a_value_may_be_finished_in_slow_memory() -> None:
    """An output that is stored as zeros, loaded, added to and stored again is finished with its last visit."""

    def author(b: Builder, *, n: Size, B: Size, stop: Size) -> None:
        X, Y = b.input("X", (n, n)), b.output("Y", (n, 1), needs="Y[i,u] <- X[i,:]")
        with b.tiles("i", n, B) as i:
            with b.zeros("y", i, 1) as y:
                b.store(y, Y[i, :])
            with b.tiles("j", stop, B) as j, b.load(X[i, j]) as x, b.load(Y[i, :]) as y:
                with b.full("u", j, 1, fill=1.0) as u:
                    b.op("add_ab", y, x, u)
                b.store(y, Y[i, :])

    program = build(author, name="visits", n="n", B="B", stop="stop")
    legal(program, {"n": 100, "B": 8, "stop": 100})
    assert {v.rule for v in violations(program, {"n": 100, "B": 8, "stop": 99})} == {Rule.UNFINISHED}
    agrees(program, {"n": 11, "B": 3, "stop": 9})


def test_what_flows_through_scratch_is_followed() -> None:
    """A product of two steps through slow memory: all of the first step's rows, or only the own ones."""

    def author(b: Builder, *, n: Size, B: Size, own: Size) -> None:
        X, S = b.input("X", (n, n)), b.scratch("S", (n, n))
        Y = b.output("Y", (n, n), needs="Y[i,j] <- X[i,:], X[:,j]")
        with b.tiles("i", n, B) as i, b.tiles("j", n, B) as j, b.load(X[i, j]) as x:
            b.store(x, S[i, j])
        with b.tiles("i", n, B) as i, b.tiles("j", n, B) as j, b.zeros("y", i, j) as y:
            with b.tiles("k", own, B) as k, b.load(S[i, k]) as s, b.load(S[k, j]) as t:
                b.op("add_ab", y, s, t)
            b.store(y, Y[i, j])

    program = build(author, name="square", n="n", B="B", own="own")
    legal(program, {"n": 100, "B": 8, "own": 100})
    assert {v.rule for v in violations(program, {"n": 100, "B": 8, "own": 96})} == {Rule.UNFINISHED}
    for own in (7, 6):
        agrees(program, {"n": 7, "B": 2, "own": own})
