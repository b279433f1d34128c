"""What an einsum-like text computes: statements over arrays, each a sum of products of array words.

Two notations, both for one statement or for several separated by `;`:

    letters   "ik,kj->ij; ij,jl->il"
              operands and result by their axes. Operands are named A, B, C, ... in order; the first operand of every
              later statement is the result of the one before it.
    names     "C[i,j] += A[i,k] B[k,j]; E[i,l] += C[i,j] D[j,l]"     or     "A[i,k] B[k,j] -> C[i,j]"
              an array is what its name says, so that statements and operands can share it. `=` and `+=` mean the same:
              the result is the sum over all letters that it does not have, starting from zero.

Further:

    C{i,j} += A[i,k] B[j,k]                 C{i,j} and C{j,i} are one word, which takes the sums of both (syr2k)
    X[i,j] += A[k,i] B[k,j] where i < k     only these points are computed (trmm); chains like i < j < k
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from iosim.errors import UsageError

MAX_LETTERS = 7  # of one statement
MAX_OPERANDS = 4  # of one statement
MAX_STATEMENTS = 5
MAX_LENGTH = 2000  # of the text
_NAME = r"[A-Za-z]\w*"
_ACCESS = re.compile(rf"(?P<array>{_NAME})\s*(?:\[(?P<axes>[^\[\]{{}}]*)\]|\{{(?P<free>[^\[\]{{}}]*)\}})", re.ASCII)
_ALLOWED = 'allowed: "ik,kj->ij" or "C[i,j] += A[i,k] B[k,j]", statements separated by ;'


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The word of an array that a point uses: `A[i,k]`.

    Attributes:
        unordered: the order of the letters is of no account, as in `C{i,j}`.
    """

    array: str
    letters: tuple[str, ...]
    unordered: bool = False

    def __str__(self) -> str:
        left, right = "{}" if self.unordered else "[]"
        return f"{self.array}{left}{','.join(self.letters)}{right}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One sum of products.

    Attributes:
        output: what the sum is added to.
        inputs: the factors of the product.
        chains: letters that must increase, each chain at least two long.
    """

    output: Access
    inputs: tuple[Access, ...]
    chains: tuple[tuple[str, ...], ...] = ()

    @property
    def letters(self) -> tuple[str, ...]:
        """In the order in which they come."""
        return tuple(dict.fromkeys(letter for access in self.inputs for letter in access.letters))

    def __str__(self) -> str:
        where = f" where {', '.join(' < '.join(chain) for chain in self.chains)}" if self.chains else ""
        return f"{self.output} += {' '.join(map(str, self.inputs))}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Einsum:
    """Statements in the order in which they are computed.

    Attributes:
        size_of: for each letter the first letter that has the same size.
    """

    statements: tuple[Statement, ...]
    size_of: dict[str, str]

    @property
    def sizes(self) -> tuple[str, ...]:
        """The letters whose sizes may differ."""
        return tuple(dict.fromkeys(self.size_of.values()))

    @property
    def produced(self) -> tuple[str, ...]:
        return tuple(statement.output.array for statement in self.statements)

    @property
    def intermediates(self) -> tuple[str, ...]:
        """Arrays that are produced and then read; they need not be in slow memory at the end."""
        read = {access.array for statement in self.statements for access in statement.inputs}
        return tuple(array for array in self.produced if array in read)

    def __str__(self) -> str:
        return "; ".join(map(str, self.statements))


def parse(text: str, *, where: str = "einsum") -> Einsum:
    """The statements that a text writes.

    Args:
        text: in one of the notations of this module.
        where: what to call the text in an error, such as the flag it came from.

    Raises:
        UsageError: it can't be read, or means something that is no such computation.

    Example:
        >>> print(parse("ik,kj->ij; ij,jl->il"))
        C[i,j] += A[i,k] B[k,j]; E[i,l] += C[i,j] D[j,l]
        >>> parse("C[i,j] += A[i,k] A[j,k]").sizes  # i and j index the same axis of A
        ('i', 'k')
    """
    short = " ".join(text.split())
    at = f"{where} {short if len(short) <= 80 else short[:80] + '...'!r}"
    parts = [part.strip() for part in text.split(";")]
    if len(text) > MAX_LENGTH:
        raise UsageError(f"{at}: {len(text):,} characters; allowed: {MAX_LENGTH:,}")
    if not all(parts):
        raise UsageError(f"{at}: an empty statement; {_ALLOWED}")
    if len(parts) > MAX_STATEMENTS:
        raise UsageError(f"{at}: {len(parts)} statements; allowed: at most {MAX_STATEMENTS}")
    named = any("[" in part or "{" in part for part in parts)
    statements = tuple(_named(part, at) for part in parts) if named else tuple(_by_letters(parts, at))
    _check(statements, at)
    return Einsum(statements=statements, size_of=_sizes(statements))


def _by_letters(parts: list[str], at: str) -> Iterator[Statement]:
    names = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    before: Access | None = None
    for part in parts:
        match = re.fullmatch(r"([a-zA-Z]+(?:\s*,\s*[a-zA-Z]+)*)\s*->\s*([a-zA-Z]*)", part)
        if match is None:
            raise UsageError(f"{at}: can't read {part!r}; {_ALLOWED}")
        operands = [tuple(operand.strip()) for operand in match[1].split(",")]
        if before is not None and len(operands[0]) != len(before.letters):
            raise UsageError(
                f"{at}: {part!r} begins with {len(operands[0])} letters; allowed: {len(before.letters)}, the axes of the "
                "result before it"
            )
        arrays = [before.array if before and i == 0 else next(names, "") for i in range(len(operands))]
        inputs = tuple(Access(array=a, letters=o) for a, o in zip(arrays, operands, strict=True))
        before = Access(array=next(names, ""), letters=tuple(match[2]))
        yield Statement(output=before, inputs=inputs)


def _named(part: str, at: str) -> Statement:
    body, _, conditions = part.partition(" where ")
    if "->" in body:
        right, _, left = body.partition("->")
    else:
        left, equals, right = body.partition("=")
        left = left.removesuffix("+")
        if not equals:
            raise UsageError(f"{at}: no ->, = or += in {part!r}; {_ALLOWED}")
    output = _accesses(left, at, part)
    if len(output) != 1:
        raise UsageError(f"{at}: {len(output)} results in {part!r}; allowed: one")
    inputs = _accesses(right, at, part)
    if any(access.unordered for access in inputs):
        raise UsageError(f"{at}: braces in an operand of {part!r}; allowed: in the result only")
    return Statement(output=output[0], inputs=tuple(inputs), chains=tuple(_chains(conditions, at)))


def _accesses(text: str, at: str, part: str) -> list[Access]:
    found = []
    for match in _ACCESS.finditer(text):
        free = match["free"]
        letters = tuple(letter.strip() for letter in (free or match["axes"] or "").split(","))
        letters = () if letters == ("",) else letters
        if not all(re.fullmatch(_NAME, letter, re.ASCII) for letter in letters):
            raise UsageError(f"{at}: {match[0]!r} is no array with letters; {_ALLOWED}")
        found.append(Access(array=match["array"], letters=letters, unordered=free is not None))
    rest = _ACCESS.sub("", text)
    if not found or rest.strip(" ,*\t\n"):
        raise UsageError(f"{at}: can't read {(rest.strip() or part)!r}; {_ALLOWED}")
    return found


def _chains(text: str, at: str) -> Iterator[tuple[str, ...]]:
    for condition in filter(None, (part.strip() for part in text.split(","))):
        chain = tuple(letter.strip() for letter in condition.split("<"))
        if len(chain) < 2 or not all(re.fullmatch(_NAME, letter, re.ASCII) for letter in chain):
            raise UsageError(f"{at}: can't read the condition {condition!r}; allowed: i < k, or i < j < k")
        yield chain


def _check(statements: tuple[Statement, ...], at: str) -> None:
    ranks: dict[str, int] = {}
    produced = [statement.output.array for statement in statements]
    for number, statement in enumerate(statements):
        letters, output = statement.letters, statement.output
        if len(letters) > MAX_LETTERS or len(statement.inputs) > MAX_OPERANDS:
            raise UsageError(f"{at}: {statement} is too large; allowed: {MAX_LETTERS} letters, {MAX_OPERANDS} operands")
        if "M" in letters:
            raise UsageError(f"{at}: M is the fast memory; allowed: other letters")
        if not set(output.letters) <= set(letters):
            (first, *_) = (letter for letter in output.letters if letter not in letters)
            raise UsageError(f"{at}: {first} of the result {output} is in no operand; allowed: {', '.join(letters)}")
        if len(set(output.letters)) < len(output.letters):
            raise UsageError(f"{at}: {output} repeats a letter; allowed: in operands only")
        if output.array in produced[:number]:
            raise UsageError(f"{at}: {output.array} is the result of two statements; allowed: one")
        for access in (*statement.inputs, output):
            if ranks.setdefault(access.array, len(access.letters)) != len(access.letters):
                raise UsageError(f"{at}: {access.array} has {ranks[access.array]} axes and {len(access.letters)}")
        for access in statement.inputs:
            if access.array in produced[number:]:
                raise UsageError(f"{at}: {access} is read before it is there; allowed: inputs and results before it")
        in_chains = [letter for chain in statement.chains for letter in chain]
        if len(set(in_chains)) < len(in_chains) or not set(in_chains) <= set(letters):
            raise UsageError(f"{at}: a letter of the conditions of {statement} is unknown or there twice")


def _sizes(statements: tuple[Statement, ...]) -> dict[str, str]:
    """Letters that index the same axis, or are compared, have the same size."""
    same: dict[str, str] = {letter: letter for statement in statements for letter in statement.letters}
    order = list(same)

    def find(letter: str) -> str:
        while same[letter] != letter:
            letter = same[letter]
        return letter

    def join(a: str, b: str) -> None:
        first, second = sorted((find(a), find(b)), key=order.index)
        same[second] = first

    axes: dict[tuple[str, int], str] = {}
    for statement in statements:
        for access in (*statement.inputs, statement.output):
            for axis, letter in enumerate(access.letters):
                join(axes.setdefault((access.array, axis), letter), letter)
            if access.unordered:
                for pair in pairwise(access.letters):
                    join(*pair)
        for chain in statement.chains:
            for pair in pairwise(chain):
                join(*pair)
    return {letter: find(letter) for letter in order}
