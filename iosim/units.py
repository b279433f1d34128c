"""How big is it, in words and in bytes?

Everything inside iosim counts words. Bytes and data types exist in this file only: sizes are parsed here when they come
in and written out here when they leave. All arithmetic is on integers, so no size is ever off by a rounding.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, SupportsIndex, TypeAlias

from iosim.errors import UsageError

# What stands for a number: as typed, or the number; a number of words for a size. Of several numbers, a text or a list.
Number: TypeAlias = str | SupportsIndex
Numbers: TypeAlias = Number | Iterable[Number]

MAX_WORDS: Final = 2**63  # more than any address space holds
MAX_COUNT: Final = 2**50  # n and d: traffic quadratic in them is still a number to read
_MOST_IN_RANGE: Final = 1000
MAX_TEXT: Final = 64  # characters; the largest size with its separators needs fewer than half of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtype:
    """A number format: its name and the bytes of one word of it."""

    name: str
    bytes: int

    def __str__(self) -> str:
        return self.name


DTYPES: Final[Mapping[str, Dtype]] = MappingProxyType(
    {
        "fp64": Dtype(name="fp64", bytes=8),
        "fp32": Dtype(name="fp32", bytes=4),
        "fp16": Dtype(name="fp16", bytes=2),
        "bf16": Dtype(name="bf16", bytes=2),
        "fp8": Dtype(name="fp8", bytes=1),
    }
)

FP16: Final = DTYPES["fp16"]  # if nothing is said

_MULTIPLIER: Final[Mapping[str, int]] = MappingProxyType(
    {
        "": 1,
        "k": 10**3,
        "m": 10**6,
        "g": 10**9,
        "t": 10**12,
        "ki": 2**10,
        "mi": 2**20,
        "gi": 2**30,
        "ti": 2**40,
    }
)

# Commas must stand before groups of three digits, and not after a zero: decimal commas ("1,5GiB", "0,125GiB") are refused.
_INTEGER = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*)"
_SIZE = re.compile(
    rf"(?P<whole>{_INTEGER})(?:\.(?P<decimals>[0-9]+))? *(?P<prefix>[kmgt]i?)?(?P<unit>[bw])?",
    re.IGNORECASE | re.ASCII,
)
_COUNT = re.compile(rf"(?P<base>{_INTEGER})(?:(?:\^|\*\*)(?P<power>[0-9]+))?(?P<prefix>[kmgt]i?)?", re.I | re.A)

_PLAIN = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)

_SIZE_ALLOWED = "allowed: a positive number with a unit, as in 100KB (100,000 bytes), 100KiB (102,400 bytes), 51200w"
_COUNT_ALLOWED = "allowed: a positive whole number, as in 65536, 65_536, 64Ki, 64k (64,000), 2^16"


def dtype(name: str, *, where: str = "dtype") -> Dtype:
    """The number format of that name.

    Args:
        name: one of `DTYPES`; upper or lower case.
        where: what to call the value in an error, such as the flag it came from.

    Raises:
        UsageError: no such format; names the allowed ones and the nearest.

    Example:
        >>> dtype("fp16").bytes
        2
    """
    found = DTYPES.get(name.lower())
    if found is None:
        import difflib

        near = difflib.get_close_matches(name.lower(), DTYPES, n=1, cutoff=0.4)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"{where} {_shown(name)}: unknown data type{hint}; allowed: {', '.join(DTYPES)}")
    return found


def whole(value: object) -> int | None:
    """The whole number that plain digits stand for, or an integer of Python or numpy; None for all else, True and False too.

    Example:
        >>> whole("12"), whole(-1), whole(1.0), whole(True), whole("1k")
        (12, -1, None, None, None)
    """
    if isinstance(value, str):
        return int(value) if _PLAIN.fullmatch(value) else None
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]  # which it says itself
    except TypeError:
        return None


def parse_whole(value: object, *, where: str, least: int | None = 1, most: int | None = None, shown: str = "") -> int:
    """A whole number in a range.

    Args:
        value: plain digits, or an integer.
        where: what to call the value in an error, such as the flag it came from.
        least, most: the range; without an end where there is none.
        shown: the end of the range, for people.

    Raises:
        UsageError: no whole number, or not in the range.
    """
    found = whole(value)
    if found is None or (least is not None and found < least) or (most is not None and found > most):
        start = ", like 2" if least is None else f" from {least}"
        end = "" if most is None else f" to {shown or most}"
        raise UsageError(f"{where} {value}: allowed: whole numbers{start}{end}")
    return found


def named(texts: Iterable[str], *, where: str, like: str) -> dict[str, str]:
    """What texts like `degree=1,2,3` say of each name.

    Args:
        where: what to call the texts in an error, such as the flag they came from.
        like: what is allowed, for errors.

    Raises:
        UsageError: not such a text, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not name or not equals:
            raise UsageError(f"{where} {_shown(text)}: allowed: like {like}")
        if name in found:
            raise UsageError(f"{where} {text}: {name} is given twice")
        found[name] = value
    return found


def parse_size(text: Number, dtype: Dtype, *, where: str = "size", whole: bool = False) -> int:
    """Words of fast memory that a size given in bytes or in words holds.

    `B` is bytes and `w` is words, behind an optional multiplier: k, M, G, T are powers of 1000 and Ki, Mi, Gi, Ti
    powers of 1024. Letters may be upper or lower case (b is never bits, m never milli). Digits may be grouped with
    commas or underscores. A size in bytes is rounded down to whole words, since a part of a word holds nothing: 101 B
    at fp16 are 50 words. A size in words must be whole.

    Args:
        text: the size as typed; or words as a number.
        dtype: the format of a word; matters for sizes in bytes only.
        where: what to call the value in an error, such as the flag it came from.
        whole: whether a size in bytes must be whole words too, as that of a line of a cache must.

    Units: words.

    Raises:
        UsageError: not a size, no unit, a fraction of a word, less than one word or more than 2^63.

    Example:
        >>> [parse_size(text, DTYPES["fp16"]) for text in ("100KB", "100KiB", "0.5MB", "51200w", "64Kiw", "101B")]
        [50000, 51200, 250000, 51200, 65536, 50]
    """
    if not isinstance(text, str):
        return parse_whole(text, where=where, most=MAX_WORDS, shown="2^63 words, or text")
    at = f"{where} {_shown(text)}"
    match = _SIZE.fullmatch(text.strip()) if len(text) <= MAX_TEXT else None
    if match is None:
        raise UsageError(f"{at}: not a size; {_SIZE_ALLOWED}")
    decimals, prefix, unit = match["decimals"] or "", match["prefix"] or "", (match["unit"] or "").lower()
    if not unit:
        bare = text.strip()
        raise UsageError(f"{at}: no unit; write {bare}B for bytes or {bare}w for words")
    # The size is amount / scale bytes or words, exactly.
    amount = int(_digits(match["whole"]) + decimals) * _MULTIPLIER[prefix.lower()]
    scale: int = 10 ** len(decimals)
    words, rest = divmod(amount, scale * dtype.bytes if unit == "b" else scale)
    if rest and (whole or unit == "w"):
        in_bytes = f"a multiple of {dtype.bytes} B" if whole else "a size in bytes (B)"
        raise UsageError(f"{at}: not a whole number of words; allowed: whole words, or {in_bytes}")
    if words == 0:
        raise UsageError(f"{at}: holds no word; allowed: at least 1w, that is {dtype.bytes} B at {dtype}")
    if words > MAX_WORDS:
        raise UsageError(f"{at}: too large; allowed: at most 2^63 words")
    return words


def parse_count(text: Number, *, where: str = "count", least: int = 1) -> int:
    """A number of things (rows, columns, heads): a positive integer.

    Plain digits, digits grouped with commas or underscores, a multiplier (k, M, G, T: powers of 1000; Ki, Mi, Gi, Ti:
    powers of 1024), or a power written 2^16 or 2**16.

    Args:
        text: the number as typed; or the number.
        where: what to call the value in an error, such as the flag it came from.
        least: 0 for what may be none.

    Raises:
        UsageError: not such a number, zero unless that is allowed, or more than 2^50.

    Example:
        >>> [parse_count(text) for text in ("65,536", "64Ki", "64k", "2^16")]
        [65536, 65536, 64000, 65536]
    """
    if not isinstance(text, str):
        return parse_whole(text, where=where, least=least, most=MAX_COUNT, shown="2^50, or text")
    at = f"{where} {_shown(text)}"
    match = _COUNT.fullmatch(text.strip()) if len(text) <= MAX_TEXT else None
    if match is None or (match["power"] and match["prefix"]):
        raise UsageError(f"{at}: not a count; {_COUNT_ALLOWED}")
    count = int(_digits(match["base"])) * _MULTIPLIER[(match["prefix"] or "").lower()]
    if match["power"] is not None:
        # A base of at least 2 passes the largest count at exponent 63, so a larger one need not be computed.
        count = int(count ** min(int(match["power"]), 63))
    if count < least:
        raise UsageError(f"{at}: is zero; {_COUNT_ALLOWED}")
    if count > MAX_COUNT:
        raise UsageError(f"{at}: too large; allowed: at most 2^50")
    return count


def flag_of(name: str) -> str:
    """What a parameter is called on the command line.

    Example:
        >>> flag_of("n_k")
        '--n-k'
    """
    return f"--{name.replace('_', '-')}"


def parse_each(given: Mapping[str, Number | None]) -> dict[str, int | None]:
    """Counts by the names of their parameters; None stays where nothing is said.

    Raises:
        UsageError: one can't be read; the message begins with its flag.

    Example:
        >>> parse_each({"n": "64Ki", "n_k": None})
        {'n': 65536, 'n_k': None}
    """
    return {name: None if value is None else parse_count(value, where=flag_of(name)) for name, value in given.items()}


def parse_sizes(text: Numbers, dtype: Dtype, *, where: str = "size", most: int = _MOST_IN_RANGE) -> Sequence[int]:
    """The sizes in a list `a,b,c` or a range `first:last:*factor` or `first:last:+step`, of which the last is the end.

    Args:
        most: how many there may be.

    Units: words.

    Raises:
        UsageError: not such a text, a size that can't be read, or too many.

    Example:
        >>> parse_sizes("1Kiw:6Kiw:*2", DTYPES["fp16"]), parse_sizes("1KB:3KB:+1KB", DTYPES["fp16"])
        ([1024, 2048, 4096], [500, 1000, 1500])
    """
    # a comma before three digits groups them, as in 51,200w
    one = partial(parse_size, dtype=dtype, where=where)
    return _many(text, one, r"(?<=[bBwW]),", where, "64KB,128KB", "1Kiw:4Miw", most)


def parse_counts(text: Numbers, *, where: str = "count", least: int = 1, most: int = _MOST_IN_RANGE) -> Sequence[int]:
    """The counts in a list `a,b,c` or a range `first:last:*factor` or `first:last:+step`, of which the last is the end.

    Args:
        least: 0 for what may be none.
        most: how many there may be.

    Raises:
        UsageError: not such a text, a count that can't be read, or too many.

    Example:
        >>> parse_counts("1k:8k:*2"), parse_counts("1k:4k:+1k"), parse_counts("64,128")
        ([1000, 2000, 4000, 8000], [1000, 2000, 3000, 4000], [64, 128])
    """
    return _many(text, partial(parse_count, where=where, least=least), ",", where, "64,128", "1k:1M", most)


def _many(
    text: Numbers, one: Callable[[Number], int], comma: str, where: str, listed: str, ends: str, most: int
) -> Sequence[int]:
    allowed = f"allowed: one, a list like {listed}, or a range FIRST:LAST:*FACTOR or FIRST:LAST:+STEP like {ends}:*2"
    if not isinstance(text, str):
        numbers = list(text) if isinstance(text, Iterable) else [text]
        if not numbers:
            raise UsageError(f"{where}: none is given; {allowed}")
        return _distinct([one(number) for number in numbers], where)
    if ":" not in text:
        parts = re.split(comma, text)
        if any(part.strip().startswith("0") and part.strip() != "0" for part in parts[1:]):
            # 1,024 is a list of two, and not meant
            raise UsageError(f"{where} {_shown(text)}: a comma parts numbers; {allowed}")
        return _distinct([one(part) for part in parts], where)
    first, last, step, *more = [*text.split(":"), "", ""]
    sign, digits = step[:1], step[1:]
    plain = digits.isascii() and digits.isdecimal() and len(digits) < 20
    by = int(digits) if plain else one(digits) if sign == "+" and digits else 0
    if any(more) or sign not in {"*", "+"} or by < (2 if sign == "*" else 1):
        raise UsageError(f"{where} {_shown(text)}: not a range; {allowed}")
    low, high = one(first), one(last)
    if sign == "*" and low == 0:
        raise UsageError(f"{where} {_shown(text)}: no multiple of 0 is another number; {allowed}")
    found: Sequence[int] = range(low, high + 1, by) if sign == "+" else _powers(low, high, by)
    if not found:
        raise UsageError(f"{where} {_shown(text)}: the range ends before it starts; {allowed}")
    if len(found) > most:
        raise UsageError(f"{where} {_shown(text)}: more than {most:,} of them; {allowed}")
    return found if len(found) > _MOST_IN_RANGE else list(found)


def _distinct(found: list[int], where: str) -> list[int]:
    seen: set[int] = set()
    for value in found:
        if value in seen:
            raise UsageError(f"{where}: {value} is given twice; allowed: each once")
        seen.add(value)
    return found


def _powers(low: int, high: int, by: int) -> list[int]:
    found = []
    while low <= high:
        found.append(low)
        low *= by
    return found


def parse_numbers(text: str | Mapping[str, SupportsIndex], *, where: str, least: int, like: str) -> dict[str, int]:
    """Names with a number each, like `B_r=32,B_c=1`; or a mapping of them.

    Args:
        least: that each number must be.
        like: an example, for errors.

    Raises:
        UsageError: not such a text, a number below `least`, or a name given twice.

    Example:
        >>> parse_numbers("B_r=32,B_c=1", where="tiles", least=1, like="B_r=32")
        {'B_r': 32, 'B_c': 1}
    """
    like = f"{like}, with a whole number from {least}"
    given = named(text.split(","), where=where, like=like) if isinstance(text, str) else text
    found: dict[str, int] = {}
    for name, value in given.items():
        number = whole(value)
        if number is None or number < least:
            raise UsageError(f"{where} {name}={value}: allowed: like {like}")
        found[name] = number
    return found


def words_to_bytes(words: int, dtype: Dtype) -> int:
    """Bytes that so many words occupy.

    Units: bytes.

    Example:
        >>> words_to_bytes(50_000, DTYPES["fp16"])
        100000
    """
    return operator.index(words) * dtype.bytes  # a Python integer: numpy's would wrap around at 2^63


def format_words(words: int, dtype: Dtype) -> str:
    """A number of words as reports show it: words, number format, bytes.

    Example:
        >>> format_words(50_000, DTYPES["fp16"])
        '50,000 words (fp16, 100,000 B)'
    """
    count = operator.index(words)
    return f"{count:,} word{'' if count == 1 else 's'} ({dtype}, {words_to_bytes(count, dtype):,} B)"


def _digits(integer: str) -> str:
    return integer.replace(",", "").replace("_", "")


def _shown(text: str) -> str:
    """The text as an error shows it: as typed if that can't be misread, else quoted; on one line; not too long."""
    short = text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."
    return short if short.isascii() and short.isprintable() and short.strip() == short != "" else ascii(short)
