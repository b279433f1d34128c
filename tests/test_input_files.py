"""Q, K and V from a file: read as they are, or refused in one line if anything is wrong with it."""

import io
import json
import struct
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iosim.errors import UsageError
from iosim.numeric import reference
from iosim.numeric.input_files import load_input
from iosim.numeric.inputs import from_arrays
from tests.refusals import refused

DATA = Path(__file__).parent / "data"
small = st.integers(1, 7)
seeds = st.integers(0, 2**64)


def npz(folder, **arrays):
    """Path of an archive with the arrays Q [3, 2], K [4, 2] and V [4, 5] of ones, some replaced (None: left out)."""
    arrays = {"Q": np.ones((3, 2)), "K": np.ones((4, 2)), "V": np.ones((4, 5))} | arrays
    path = folder / "input.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


# --- arrays and archives


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int8", "uint16", "int64"])
@pytest.mark.parametrize("heads", [(), (1,), (3,)])
def test_archive_is_read_as_float64_with_a_head_axis(tmp_path, dtype, heads):
    """Every number format and both shapes are converted without changing a value."""
    generator = np.random.default_rng(0)
    stored = {
        name: generator.integers(0, 100, (*heads, *shape)).astype(dtype)
        for name, shape in {"Q": (5, 2), "K": (7, 2), "V": (7, 3)}.items()
    }
    data = load_input(npz(tmp_path, **stored))
    assert (data.heads, data.n, data.n_k, data.d, data.d_v) == (heads[0] if heads else 1, 5, 7, 2, 3)
    assert (data.source, data.seed, data.stored_dtype) == (str(tmp_path / "input.npz"), None, np.dtype(dtype).name)
    for name, array in stored.items():
        found = getattr(data, name)
        assert found.dtype == np.float64
        assert found.flags.c_contiguous
        assert np.array_equal(found.reshape(array.shape), array)


def test_archive_names_may_be_lower_case_and_others_are_ignored(tmp_path):
    """q, k and v do as well as Q, K and V, also mixed, beside other arrays; compression makes no difference."""
    path = tmp_path / "INPUT.NPZ"
    with open(path, "wb") as file:
        np.savez_compressed(file, q=np.ones((1, 2)), K=np.ones((1, 2)), v=np.full((1, 2), 3), mask=np.zeros(4))
    assert load_input(str(path)).V.tolist() == [[[3.0, 3.0]]]


def test_mixed_number_formats_are_all_named(tmp_path):
    """When the arrays were stored differently, each format is said."""
    data = load_input(npz(tmp_path, Q=np.ones((3, 2), np.float16), K=np.ones((4, 2), np.float32)))
    assert data.stored_dtype == "Q float16, K float32, V float64"


def test_three_npy_files_are_read_in_the_order_q_k_v(tmp_path):
    """Three paths joined by commas, with or without a blank, are Q, K and V."""
    for value, name in enumerate("abc"):
        np.save(tmp_path / f"{name}.npy", np.full((2, 2), value))
    for comma in (",", ", "):
        data = load_input(comma.join(str(tmp_path / f"{name}.npy") for name in "abc"))
        assert [array[0, 0, 0] for array in (data.Q, data.K, data.V)] == [0, 1, 2]


def test_a_file_with_commas_in_its_name_is_that_file(tmp_path):
    """A name with commas is split only when there is no such file."""
    path = npz(tmp_path).rename(tmp_path / "a,b.npz")
    assert load_input(path).n == 3


# --- refused files


@pytest.mark.parametrize("name", ["nothing.npz", "x" * 5000 + ".npz", "no\0name.npz", "nothing.safetensors"])
def test_missing_file_is_refused(tmp_path, name):
    """A file that isn't there, or can't be, is said so with the kinds of files that are read."""
    refused(
        lambda: load_input(tmp_path / name), f"{tmp_path / name}: no such file; allowed: FILE.npz, FILE.safetensors"
    )


def test_missing_part_of_a_triple_is_refused(tmp_path):
    """Of three .npy files the missing one is named."""
    np.save(tmp_path / "q.npy", np.ones((2, 2)))
    parts = [tmp_path / "q.npy", tmp_path / "k.npy", tmp_path / "v.npy"]
    refused(lambda: load_input(",".join(map(str, parts))), f"{parts[1]}: no such file")


def test_folder_is_refused(tmp_path):
    """A folder is not a file, even with the right ending."""
    (tmp_path / "folder.npz").mkdir()
    refused(lambda: load_input(tmp_path / "folder.npz"), "folder.npz: not a file; allowed: FILE.npz")


@pytest.mark.parametrize("name", ["input.txt", "input", "input.pt", "npz"])
def test_other_kinds_of_files_are_refused(tmp_path, name):
    """The ending decides how a file is read; others are refused whatever they hold."""
    (tmp_path / name).write_text("hello")
    refused(
        lambda: load_input(tmp_path / name),
        f"{name}: unknown kind of file; allowed: FILE.npz, FILE.safetensors or Q.npy",
    )


def test_a_single_npy_file_is_refused(tmp_path):
    """One .npy file can't hold three arrays; the error shows how to give three."""
    refused(
        lambda: load_input(tmp_path / "q.npy"), "q.npy: one .npy file holds one array; allowed: FILE.npz", "Q.npy,K.npy"
    )


@pytest.mark.parametrize(("names", "count"), [("q.npy,k.npy", 2), ("q.npy,k.npy,v.npy,o.npy", 4), ("a,", 2)])
def test_a_triple_of_another_number_is_refused(names, count):
    """Names joined by commas must be three."""
    refused(lambda: load_input(names), f"{names}: {count} files; allowed: three, as in Q.npy,K.npy,V.npy")


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"\x80\x04}\x94.", b"\x93NUMPY"])
def test_what_is_not_an_archive_is_refused(tmp_path, content):
    """An .npz file that is empty, text, a pickle or a lone array is no archive."""
    (tmp_path / "input.npz").write_bytes(content)
    refused(
        lambda: load_input(tmp_path / "input.npz"), "input.npz: not an .npz archive; allowed: what numpy.savez writes"
    )


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04}\x94.", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{'a"])
def test_what_is_not_an_npy_file_is_refused(tmp_path, content):
    """An .npy file that is empty, text, a pickle or cut off is refused with numpy's reason on one line."""
    (tmp_path / "x.npy").write_bytes(content)
    path = str(tmp_path / "x.npy")
    refused(lambda: load_input(f"{path},{path},{path}"), f"{path}: array Q can't be read: ", "; allowed: FILE.npz")


def test_archive_member_that_is_no_array_is_refused(tmp_path):
    """An archive whose Q is a text file is refused."""
    path = npz(tmp_path, Q=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Q", "hello, world")
    refused(lambda: load_input(path), "input.npz: array Q can't be read: ", "magic string is not correct")


@pytest.mark.parametrize("name", ["Q", "K", "V"])
def test_missing_array_is_refused(tmp_path, name):
    """The missing array is named, and so are those that are there."""
    refused(
        lambda: load_input(npz(tmp_path, **{name: None}, mask=np.ones(2))),
        f"input.npz: no array {name} among its arrays (",
        "mask); allowed: one each of Q, K, V or q, k, v",
    )


def test_missing_array_among_many_lists_a_few(tmp_path):
    """A large archive doesn't make a long line."""
    path = npz(tmp_path, Q=None, K=None, V=None, **{f"layer{i}": np.ones(1) for i in range(100)})
    refused(
        lambda: load_input(path), "no array Q among its arrays (layer0, layer1, layer10, ", "layer15, ...); allowed"
    )


def test_the_same_array_in_both_cases_is_refused(tmp_path):
    """With q beside Q it isn't clear which is meant."""
    refused(
        lambda: load_input(npz(tmp_path, q=np.ones((3, 2)))), "input.npz: both Q and q among its arrays (K, Q, V, q)"
    )


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"Q": np.ones(3)}, "all three [n, d] or all three [h, n, d]"),
        ({"Q": np.ones((1, 1, 3, 2))}, "all three [n, d] or all three [h, n, d]"),
        ({"Q": np.float64(3)}, "all three [n, d] or all three [h, n, d]"),
        ({"Q": np.ones((1, 3, 2))}, "all three [n, d] or all three [h, n, d]"),
        ({"Q": np.ones((3, 3))}, "Q and K with as many columns"),
        ({"V": np.ones((3, 5))}, "K and V with as many rows"),
        ({"Q": np.ones((0, 2))}, "no empty array"),
        ({"K": np.ones((0, 2)), "V": np.ones((0, 5))}, "no empty array"),
        ({"V": np.ones((4, 0))}, "no empty array"),
        (
            {"Q": np.ones((3, 3, 2)), "K": np.ones((2, 4, 2)), "V": np.ones((2, 4, 5))},
            "as many heads in K and V, and a multiple of that in Q",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path, change, allowed):
    """Wrong ranks, mismatches and empty arrays are refused with the three shapes."""
    shapes = {name: list(np.shape(array)) for name, array in ({"Q": (3, 2), "K": (4, 2), "V": (4, 5)} | change).items()}
    shapes |= {name: list(size) for name, size in {"Q": (3, 2), "K": (4, 2), "V": (4, 5)}.items() if name not in change}
    refused(
        lambda: load_input(npz(tmp_path, **change)),
        f"input.npz: Q {shapes['Q']}, K {shapes['K']}, V {shapes['V']}; allowed: {allowed}",
    )


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.ones((4, 2), complex), "complex128"),
        (np.ones((4, 2), bool), "bool"),
        (np.full((4, 2), "1.0"), "<U3"),
        (np.full((4, 2), b"1.0"), "|S3"),
        (np.zeros((4, 2), "datetime64[s]"), "datetime64[s]"),
        (np.zeros((4, 2), [("a", "f4")]), "[('a', '<f4')]"),
        (np.zeros((4, 2), "V2"), "|V2 (perhaps bfloat16: store it as float32 or in a .safetensors file)"),
    ],
)
def test_what_is_not_real_numbers_is_refused(tmp_path, array, found):
    """Complex, logical, text, time, structured and raw data are refused with their name."""
    refused(
        lambda: load_input(npz(tmp_path, K=array)),
        f"input.npz: array K has the data type {found}; allowed: float16, bfloat16, float32, float64, integers",
    )


@pytest.mark.skipif(np.dtype(np.longdouble) == np.float64, reason="long double is float64 here")
def test_numbers_longer_than_float64_are_refused(tmp_path):
    """A format that float64 can't hold isn't rounded silently."""
    refused(lambda: load_input(npz(tmp_path, V=np.ones((4, 5), np.longdouble))), "array V has the data type ")


def test_object_arrays_are_never_unpickled(tmp_path):
    """An object array needs pickle, which runs code; it is refused."""
    path = npz(tmp_path)
    with zipfile.ZipFile(path, "a") as archive, archive.open("Q2.npy", "w") as file:
        np.lib.format.write_array(file, np.array([[{}]], dtype=object), allow_pickle=True)
    assert load_input(path).n == 3  # not even looked at
    np.savez(path, Q=np.array([[print]], dtype=object), K=np.ones((1, 1)), V=np.ones((1, 1)))
    refused(lambda: load_input(path), "input.npz: array Q can't be read: Object arrays cannot be loaded")
    refused(lambda: from_arrays([[print]], [[1]], [[1]]), "arrays: array Q has the data type object; allowed: float16")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e101])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_first_entry_that_is_not_finite_is_named(tmp_path, bad, dtype):
    """The first nan, infinity or absurdly large entry is shown with its index in the array as stored."""
    V = np.ones((4, 5))
    V[2, 3:] = V[3, 0] = bad
    with np.errstate(over="ignore"):
        V = V.astype(dtype)
    refused(
        lambda: load_input(npz(tmp_path, V=V)),
        f"input.npz: V[2, 3] is {V[2, 3]}; allowed: finite numbers of magnitude up to 1e+100",
    )


def test_index_of_a_bad_entry_is_right_across_blocks(tmp_path, monkeypatch):
    """Checked a few rows at a time, a bad entry of the second head keeps its three indices."""
    monkeypatch.setattr(reference, "MAX_WORDS_AT_ONCE", 6)
    K = np.ones((2, 4, 2))
    K[1, 2, 1] = np.nan
    arrays = {"Q": np.ones((2, 3, 2)), "K": K, "V": np.ones((2, 4, 5))}
    refused(lambda: load_input(npz(tmp_path, **arrays)), "input.npz: K[1, 2, 1] is nan; allowed: finite")


def test_integers_that_float64_would_round_are_refused():
    """2^53 - 1 is taken, 2^53 + 1 would become 2^53; so would -2^63 and 2^64 - 1 lose digits of their neighbours."""
    assert from_arrays([[2**53 - 1]], [[1]], [[1]]).Q.item() == 2**53 - 1
    for value in (2**53 + 1, -(2**53) - 1, -(2**63), 2**64 - 1):
        message = f"arrays: Q[0, 0] is {value}; allowed: finite numbers of magnitude up to 2^53 - 1"
        refused(lambda value=value: from_arrays([[value]], [[1]], [[1]]), message)


def test_rows_of_different_lengths_are_refused():
    """A ragged list is no array."""
    refused(lambda: from_arrays([[1.0, 2.0], [3.0]], [[1.0]], [[1.0]]), "arrays: Q is not an array: ")


def test_array_larger_than_memory_is_refused(tmp_path):
    """A header that promises 2^60 rows is refused, not obeyed."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**60, 2)})
    path = npz(tmp_path, Q=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Q.npy", header.getvalue())
    refused(lambda: load_input(path), "input.npz: array Q can't be read: ")


def test_encrypted_archive_is_refused(tmp_path):
    """An archive with a password is refused with zipfile's reason."""
    path = npz(tmp_path)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1  # the flag of encryption, of the first member
    path.write_bytes(content)
    refused(lambda: load_input(path), "input.npz: array Q can't be read: ", "encrypted")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(tmp_path, data):
    """Overwritten or cut anywhere, a file gives arrays or a UsageError of one line, nothing else."""
    path = npz(tmp_path, Q=np.ones((3, 2), np.float16))
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    damaged = data.draw(st.sampled_from([path, tmp_path / "x.npy"]))
    content = bytearray(damaged.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    message = ""
    try:
        assert load_input(path if damaged == path else ",".join([str(damaged)] * 3)).d >= 1
    except UsageError as error:
        message = str(error)
    assert "\n" not in message


# --- safetensors


def safetensors_file(path, **tensors):
    """Write tensors, given as (name of the data type, shape, bytes), in the safetensors format."""
    header, content = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(content), len(content) + len(raw)]}
        content += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


@pytest.mark.parametrize(
    ("name", "dtype"), [("F16", "<f2"), ("F32", "<f4"), ("F64", "<f8"), ("I8", "<i1"), ("U32", "<u4")]
)
def test_safetensors_are_read(tmp_path, name, dtype):
    """Each number format of a .safetensors file is read in its shape."""
    Q = np.arange(6, dtype=dtype).reshape(1, 3, 2)
    raw = (name, [1, 3, 2], Q.tobytes())
    data = load_input(safetensors_file(tmp_path / "x.safetensors", q=raw, k=raw, v=raw))
    assert np.array_equal(data.Q, Q)
    assert data.stored_dtype == np.dtype(dtype).name


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    """1, -2, 3.140625 and 2^100 are bfloat16 numbers; their float32 ends in 16 zero bits, which are not stored."""
    values = np.array([[1.0, -2.0], [3.140625, 2.0**100]], dtype="<f4")
    raw = ("BF16", [2, 2], values.view("<u2").reshape(2, 2, 2)[:, :, 1].tobytes())
    data = load_input(safetensors_file(tmp_path / "x.safetensors", Q=raw, K=raw, V=raw))
    assert data.Q[0].tolist() == values.tolist()
    assert data.stored_dtype == "bfloat16"


def test_wrong_safetensors_are_refused(tmp_path):
    """Damage, missing tensors and formats without a meaning here are refused in one line."""
    path, raw = tmp_path / "x.safetensors", ("F32", [1, 1], b"\0\0\0\0")
    path.write_bytes(b"hello")
    refused(lambda: load_input(path), "x.safetensors can't be read: ", "; allowed: FILE.npz")
    safetensors_file(path, Q=raw, K=raw)
    refused(lambda: load_input(path), "x.safetensors: no array V among its arrays (K, Q)")
    safetensors_file(path, Q=raw, K=raw, V=("BOOL", [1, 1], b"\0"))
    refused(lambda: load_input(path), "x.safetensors: array V has the data type BOOL; allowed: BF16, F16, F32, F64, I8")


def test_without_the_package_safetensors_says_how_to_install_it(tmp_path, monkeypatch):
    """The package is optional; the error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "safetensors", None)
    path = safetensors_file(tmp_path / "x.safetensors")
    refused(
        lambda: load_input(path),
        "x.safetensors: reading .safetensors needs the package safetensors; pip install 'iosim[safetensors]'",
    )


def test_bfloat16_arrays_of_ml_dtypes_are_taken():
    """An array whose type is registered as bfloat16 is converted without changing a value."""
    Q = np.array([[1.0, 3.140625]], dtype=ml_dtypes.bfloat16)
    data = from_arrays(Q, Q, Q)
    assert data.Q.tolist() == [[[1.0, 3.140625]]]
    assert data.stored_dtype == "bfloat16"
