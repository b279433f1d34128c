"""Sizes in words and bytes: parsed exactly, written exactly, refused in one line."""

import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import UsageError
from iosim.units import (
    DTYPES,
    MAX_COUNT,
    MAX_TEXT,
    MAX_WORDS,
    Dtype,
    dtype,
    format_words,
    parse_count,
    parse_counts,
    parse_numbers,
    parse_size,
    parse_sizes,
    whole,
    words_to_bytes,
)
from tests.refusals import refused

FP16 = DTYPES["fp16"]
MULTIPLIERS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4} | {
    "Ki": 1024,
    "Mi": 1024**2,
    "Gi": 1024**3,
    "Ti": 1024**4,
}
dtypes = st.sampled_from(list(DTYPES.values()))


@pytest.mark.parametrize(("name", "size"), [("fp64", 8), ("fp32", 4), ("fp16", 2), ("bf16", 2), ("fp8", 1)])
def test_dtype_has_the_bytes_of_its_format(name, size):
    """Each number format is found by its name, in either case, with the bytes of one word."""
    assert dtype(name) == dtype(name.upper()) == Dtype(name=name, bytes=size)


def test_there_are_no_other_dtypes():
    """The table of formats can't be extended or changed by accident."""
    assert list(DTYPES) == ["fp64", "fp32", "fp16", "bf16", "fp8"]
    with pytest.raises(TypeError, match="does not support item assignment"):
        DTYPES["fp4"] = Dtype(name="fp4", bytes=1)


@pytest.mark.parametrize(
    ("typo", "meant"), [("float16", "fp16"), ("fp-32", "fp32"), ("bfloat16", "bf16"), ("f8", "fp8")]
)
def test_unknown_dtype_names_the_allowed_and_the_nearest(typo, meant):
    """A mistyped format is answered with the flag, the likely meaning and the list of formats."""
    refused(
        lambda: dtype(typo, where="--dtype"),
        f"--dtype {typo}: unknown data type (did you mean {meant}?)",
        "allowed: fp64, fp32, fp16, bf16, fp8",
    )


def test_unknown_dtype_without_a_near_one_suggests_nothing():
    """A format like none of the table is answered with the list alone."""
    refused(lambda: dtype("zzz"), "dtype zzz: unknown data type; allowed: fp64, fp32, fp16, bf16, fp8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("100KB", 50_000),  # 100,000 B / 2
        ("100KiB", 51_200),  # 102,400 B / 2
        ("0.5MB", 250_000),  # 500,000 B / 2
        ("1.5GiB", 805_306_368),  # 3 * 2^29 B / 2
        ("64B", 32),
        ("51200w", 51_200),
        ("50kw", 50_000),
        ("1Mw", 1_000_000),
        ("64Kiw", 65_536),
        ("0.5kw", 500),  # a fraction of a thousand, but whole words
        ("1,000w", 1_000),
        ("1_000w", 1_000),
        (" 100 KB ", 50_000),
        ("100kb", 50_000),
        ("100kib", 51_200),
        ("2TiB", 2**40),  # 2 * 2^40 B / 2
        ("007w", 7),
    ],
)
def test_size_is_the_words_it_says(text, words):
    """Sizes in bytes and in words, with powers of 1000 and of 1024, mean what they say at fp16."""
    assert parse_size(text, FP16) == words


def test_size_in_bytes_is_rounded_down_to_whole_words():
    """Bytes that don't fill a word hold nothing: 101 B at fp16 are 50 words."""
    assert parse_size("101B", FP16) == 50
    assert parse_size("103B", DTYPES["fp32"]) == 25
    # 0.1 KiB = 102.4 B
    assert parse_size("0.1KiB", FP16) == 51


def test_size_is_exact_where_floating_point_is_not():
    """0.29 * 100 is 28.999... in floating point, and 2^63 is not distinguishable from 2^63 - 1."""
    assert parse_size("0.29kw", FP16) == 290
    assert parse_size("1.15MB", DTYPES["fp8"]) == 1_150_000
    assert parse_size(f"{2**63 - 1}w", FP16) == 2**63 - 1


@settings(deadline=None)
@given(words=st.integers(1, MAX_WORDS), word=dtypes)
def test_size_round_trips_through_words_and_bytes(words, word):
    """A number of words written in words or in bytes, grouped or not, is read back as itself."""
    size = words_to_bytes(words, word)
    for text in (f"{words}w", f"{words:,}w", f"{words:_} w", f"{size}B", f"{size:,}b", f"{size:_} B"):
        assert parse_size(text, word) == words


@settings(deadline=None)
@given(words=st.integers(1, MAX_WORDS), word=dtypes)
def test_formatted_words_read_back(words, word):
    """Both numbers of a formatted size are exact, so each can be read back."""
    found = re.fullmatch(r"([\d,]+) words? \((\w+), ([\d,]+) B\)", format_words(words, word))
    assert found is not None
    assert parse_size(f"{found[1]}w", FP16) == parse_size(f"{found[3]}B", dtype(found[2])) == words


@settings(deadline=None)
@given(
    whole=st.integers(0, 10**6),
    decimals=st.text("0123456789", max_size=9),
    prefix=st.sampled_from(list(MULTIPLIERS)),
    word=dtypes,
)
def test_size_in_bytes_is_the_floor_of_the_exact_quotient(whole, decimals, prefix, word):
    """For any decimal number and multiplier the words are the floor of exact bytes over bytes of a word."""
    number = f"{whole}.{decimals}" if decimals else f"{whole}"
    words = Fraction(number) * MULTIPLIERS[prefix] // word.bytes
    if words:
        assert parse_size(f"{number}{prefix}B", word) == words
    else:
        refused(lambda: parse_size(f"{number}{prefix}B", word), "holds no word", f"{word.bytes} B at {word}")


@pytest.mark.parametrize("bare", ["100", "64Ki", "0.5M"])
def test_size_without_a_unit_shows_both_ways_to_write_it(bare):
    """A bare number could be bytes or words, so it is refused with both spellings."""
    refused(
        lambda: parse_size(bare, FP16, where="--M"),
        f"--M {bare}: no unit; write {bare}B for bytes or {bare}w for words",
    )


@pytest.mark.parametrize("text", ["0.5w", "1.0001kw", "0.1Kiw"])
def test_size_of_a_fraction_of_a_word_is_refused(text):
    """A size in words that isn't whole is an error, never rounded."""
    refused(lambda: parse_size(text, FP16, where="--M"), f"--M {text}: not a whole number of words", "allowed: whole")


@pytest.mark.parametrize("text", ["0w", "0KB", "0.0B", "0.000kw", "1B"])
def test_size_of_no_word_is_refused(text):
    """Zero, and bytes that don't fill one word, are refused with the smallest allowed size."""
    refused(
        lambda: parse_size(text, FP16, where="--M"), f"--M {text}: holds no word; allowed: at least 1w, that is 2 B"
    )


@pytest.mark.parametrize("text", [f"{2**63 + 1}w", f"{2**64 + 2}B", "9999999999Tiw", "9" * 40 + "GB"])
def test_absurd_size_is_refused(text):
    """More than 2^63 words is a mistake."""
    refused(lambda: parse_size(text, FP16, where="--M"), f"--M {text}: too large; allowed: at most 2^63 words")


@pytest.mark.parametrize(
    "text",
    [
        "-5KB",
        "+5KB",
        "nan",
        "nanB",
        "infw",
        "1e3B",
        "1,5GiB",
        "1,00w",
        "1__0w",
        "_1w",
        ".5MB",
        "5.MB",
        "KB",
        "5 K B",
        "5PB",
        "5iB",
        "5kik",
        "100KBps",
        "0x10w",
        "1/2MB",
        "5w\n6w",
        "1.5.2w",
    ],
)
def test_what_is_not_a_size_is_refused(text):
    """Signs, exponents, misplaced separators and unknown units are refused with three examples of sizes."""
    refused(lambda: parse_size(text, FP16, where="--M"), "--M ", ": not a size; allowed: a positive number with a unit")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        (" ", "' '"),
        ("5w\n6w", r"'5w\n6w'"),
        ("5\u212aB", r"'5\u212aB'"),  # the Kelvin sign, whose lower case is k
        ("\u0665B", r"'\u0665B'"),  # an Arabic digit
        ("1" * 5000 + "B", "1" * MAX_TEXT + "..."),  # longer than Python turns into an integer
    ],
)
def test_odd_text_is_shown_on_one_line(text, shown):
    """Empty, multi-line, non-ASCII and endless texts are refused, and quoted so that they can be seen."""
    refused(lambda: parse_size(text, FP16), f"size {shown}: not a size")
    refused(lambda: parse_count(text), f"count {shown}: not a count")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("65536", 65536),
        ("65,536", 65536),
        ("65_536", 65536),
        ("64Ki", 65536),
        ("64k", 64_000),
        ("64K", 64_000),
        ("1k", 1_000),
        ("1M", 1_000_000),
        ("1Mi", 2**20),
        ("1G", 10**9),
        ("1Ti", 2**40),
        ("2^16", 65536),
        ("2**16", 65536),
        ("10^3", 1_000),
        ("1^999999", 1),
        ("7^0", 1),
        (" 5 ", 5),
        ("2^50", 2**50),
    ],
)
def test_count_is_the_number_it_says(text, count):
    """Counts may be grouped, multiplied or written as powers."""
    assert parse_count(text) == count


@settings(deadline=None)
@given(count=st.integers(1, MAX_COUNT))
def test_count_round_trips(count):
    """A count written plainly or grouped is read back as itself."""
    for text in (f"{count}", f"{count:,}", f"{count:_}"):
        assert parse_count(text) == count


@settings(deadline=None)
@given(base=st.integers(1, 1000), prefix=st.sampled_from(list(MULTIPLIERS)))
def test_count_with_a_multiplier_is_the_product(base, prefix):
    """A multiplier multiplies."""
    assert parse_count(f"{base}{prefix}") == base * MULTIPLIERS[prefix]


@settings(deadline=None)
@given(base=st.integers(2, 40), power=st.integers(0, 200))
def test_count_as_a_power_is_exact_or_refused(base, power):
    """A power is computed exactly up to 2^50 and refused above."""
    text = f"{base}^{power}"
    if base**power <= MAX_COUNT:
        assert parse_count(text) == base**power
    else:
        refused(lambda: parse_count(text, where="--n"), f"--n {text}: too large; allowed: at most 2^50")


@pytest.mark.parametrize("text", ["0", "0k", "0^5", "000"])
def test_count_of_zero_is_refused(text):
    """Zero rows are no input."""
    refused(lambda: parse_count(text, where="--n"), f"--n {text}: is zero; allowed: a positive whole number")


@pytest.mark.parametrize(
    "text", ["-1", "1.5", "1.5k", "nan", "1e6", "2^-1", "2^16k", "2k^16", "1,5", "64B", "two", "2^^3"]
)
def test_what_is_not_a_count_is_refused(text):
    """Signs, fractions, exponents and units are refused with examples of counts."""
    refused(lambda: parse_count(text, where="--n"), f"--n {text}: not a count; allowed: a positive whole number, as in")


@pytest.mark.parametrize("text", ["5Mi Ti", "2^63", "9^999999999999", str(2**50 + 1), "9999999T"])
def test_absurd_count_is_refused_quickly(text):
    """A count above 2^50 is refused without computing a huge power."""
    refused(lambda: parse_count(text, where="--n"), f"--n {text}: ")


@settings(deadline=None)
@given(text=st.text(max_size=12) | st.from_regex(r"[0-9,._]{1,6} ?[kKmMgGi]{0,2}[bBwW]?", fullmatch=True))
def test_any_text_is_parsed_or_refused(text):
    """No text raises anything but a UsageError of one line, and no parsed number is out of range."""
    for parse, most in ((lambda: parse_size(text, FP16), MAX_WORDS), (lambda: parse_count(text), MAX_COUNT)):
        message = ""
        try:
            assert 1 <= parse() <= most
        except UsageError as error:
            message = str(error)
        assert message.isprintable()


def test_format_shows_words_format_and_bytes():
    """A size is echoed in words, its number format and bytes."""
    assert format_words(50_000, FP16) == "50,000 words (fp16, 100,000 B)"
    assert format_words(1, DTYPES["fp8"]) == "1 word (fp8, 1 B)"
    assert format_words(0, DTYPES["fp32"]) == "0 words (fp32, 0 B)"


def test_bytes_of_numpy_integers_do_not_wrap():
    """2^62 words of 8 bytes are 2^65 bytes even when the words come as a 64-bit numpy integer."""
    assert words_to_bytes(np.int64(2**62), DTYPES["fp64"]) == 2**65
    assert format_words(np.int64(2**62), DTYPES["fp64"]).endswith(f"(fp64, {2**65:,} B)")


def test_a_float_is_no_number_of_words():
    """Counts are integers; a float is a mistake of the caller, not rounded."""
    with pytest.raises(TypeError, match="integer"):
        words_to_bytes(1.5, FP16)
    with pytest.raises(TypeError, match="integer"):
        format_words(1.5, FP16)


def test_importing_units_imports_nothing_heavy():
    """`iosim --help` imports this module, so it may not pull in numpy or difflib."""
    code = "import sys, iosim.units; sys.exit(any(m in sys.modules for m in ('numpy', 'sympy', 'click', 'difflib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ranges_and_lists_of_sizes() -> None:
    """A range multiplies or adds and holds its end, a list is taken as it stands, commas in a size group digits."""
    assert parse_sizes("1Kiw:8Kiw:*2", DTYPES["fp16"]) == [1024, 2048, 4096, 8192]
    assert parse_sizes("10w:99w:*3", DTYPES["fp16"]) == [10, 30, 90]
    assert parse_sizes("10w:16w:+3", DTYPES["fp16"]) == [10, 13, 16]
    assert parse_sizes("64KB,51,200w", DTYPES["fp16"]) == [32000, 51200]


def test_ranges_and_lists_of_counts() -> None:
    """The same for counts, whose lists are parted by every comma."""
    assert parse_counts("1k:4k:*2") == [1000, 2000, 4000]
    assert parse_counts("2:5:+2") == [2, 4]
    assert parse_counts("64,128") == [64, 128]
    assert parse_counts("7") == [7]


@pytest.mark.parametrize(
    "text",
    ["1w:2w", "1w:2w:2", "1w:2w:*1", "1w:2w:*", "1w:2w:*2:*2", "9w:8w:*2", "1:2:*2", "", "1w:2w:*²", "1w:2w:+0"],
)
def test_what_is_no_range_of_sizes_is_refused(text: str) -> None:
    """The error names the flag and what is allowed."""
    with pytest.raises(UsageError, match="--M"):
        parse_sizes(text, DTYPES["fp16"], where="--M")


@pytest.mark.parametrize("text", ["1,024", "1:2", "5:4:+1", "1:100k:+1", "a:b:*2", "1,,2"])
def test_what_is_no_range_of_counts_is_refused(text: str) -> None:
    """Grouped digits, a range without step or end, and one that is too long are errors that name the flag."""
    with pytest.raises(UsageError, match="--n"):
        parse_counts(text, where="--n")


@pytest.mark.parametrize("value", ["12", "+12", 12, np.int8(12), np.uint64(12)])
def test_digits_and_integers_are_whole_numbers(value: object) -> None:
    """As an integer of Python, whoever counted it."""
    found = whole(value)
    assert found == 12
    assert type(found) is int


@pytest.mark.parametrize(
    "value", [True, np.True_, 12.0, np.float64(12), None, "", " 12", "1_2", "1k", "١٢", "9" * 41, "-"]
)
def test_what_is_no_whole_number_is_none(value: object) -> None:
    """Neither truth values nor floats, whatever they are equal to; nor text with more than a sign and digits."""
    assert whole(value) is None


def test_names_with_numbers() -> None:
    """The same from text and from a mapping; a name given twice, without a number or with too small a one is refused."""
    assert parse_numbers("B_r = 32, B_c=1", where="tiles", least=1, like="B_r=32") == {"B_r": 32, "B_c": 1}
    assert parse_numbers({"B_r": np.int64(32), "B_c": 1}, where="tiles", least=1, like="B_r=32") == {
        "B_r": 32,
        "B_c": 1,
    }
    for text in ("B_r", "=32", "B_r=", "B_r=0", "B_r=1.0", "B_r=32,", ""):
        refused(
            lambda text=text: parse_numbers(text, where="tiles", least=1, like="B_r=32"),
            "allowed: like B_r=32, with a whole number from 1",
        )
    refused(
        lambda: parse_numbers({"B_r": 1.5}, where="tiles", least=1, like="B_r=32"),
        "tiles B_r=1.5: allowed: like B_r=32",
    )
    refused(lambda: parse_numbers("a=1,a=2", where="tiles", least=1, like="B_r=32"), "tiles a=2: a is given twice")
