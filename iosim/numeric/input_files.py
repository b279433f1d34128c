"""Q, K and V from files: .npz, three .npy, or .safetensors, in which arbitrary bytes may stand."""

import importlib
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from iosim.errors import UsageError
from iosim.numeric.inputs import NAMES, AttentionInput, Stored, checked

_FILES_ALLOWED = "allowed: FILE.npz, FILE.safetensors or Q.npy,K.npy,V.npy"

_SAFETENSORS_DTYPES: Final[Mapping[str, str]] = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I8": "<i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "<u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
}

# What numpy and zipfile raise on damaged files. Their readers meet arbitrary bytes, hence the long list.
_UNREADABLE: Final[tuple[type[Exception], ...]] = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    MemoryError,
    OverflowError,
    RuntimeError,  # encrypted archives; NotImplementedError (compression methods) and RecursionError are children
    SyntaxError,
    AssertionError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_input(path: str | os.PathLike[str]) -> AttentionInput:
    """Q, K and V from a file.

    One of: an `.npz` archive with the arrays Q, K, V (or q, k, v); three `.npy` files, joined by commas, in the order
    Q,K,V; a `.safetensors` file with Q, K, V (needs the package safetensors, the only way to bring bfloat16). Pickled
    objects are never loaded.

    Shapes: each array [n, d] or [h, n, d], all three alike; K and V may have another n and fewer h, and V another d.

    Raises:
        UsageError: whatever is wrong with the file or the arrays, in one line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/tiny.npz", Q=np.zeros((5, 2)), K=np.zeros((7, 2)), V=np.zeros((7, 3)))
        ...     data = load_input(f"{folder}/tiny.npz")
        >>> data.heads, data.n, data.n_k, data.d, data.d_v
        (1, 5, 7, 2, 3)
    """
    text = os.fspath(path)
    if "," in text and not os.path.exists(text):
        return checked(_read_npy_triple(text), text)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    suffix = Path(text).suffix.lower()
    if suffix == ".npy":
        raise UsageError(f"{text}: one .npy file holds one array; {_FILES_ALLOWED}")
    if suffix not in readers:
        raise UsageError(f"{text}: unknown kind of file; {_FILES_ALLOWED}")
    _check_file(text)
    return checked(readers[suffix](text), text)


def _read_npz(path: str) -> dict[str, Stored]:
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path}: not an .npz archive; allowed: what numpy.savez writes")
    stored = {}
    with _readable(path), zipfile.ZipFile(path) as archive:
        members = {member.removesuffix(".npy"): member for member in archive.namelist()}
        for name, key in _find(list(members), path).items():
            with _readable(f"{path}: array {name}"), archive.open(members[key]) as file:
                stored[name] = _parse_npy(file)
    return stored


def _read_npy_triple(path: str) -> dict[str, Stored]:
    parts = [part.strip() for part in path.split(",")]
    if len(parts) != len(NAMES):
        raise UsageError(f"{path}: {len(parts)} files; allowed: three, as in Q.npy,K.npy,V.npy")
    stored = {}
    for name, part in zip(NAMES, parts, strict=True):
        _check_file(part)
        with _readable(f"{part}: array {name}"), open(part, "rb") as file:
            stored[name] = _parse_npy(file)
    return stored


def _read_safetensors(path: str) -> dict[str, Stored]:
    try:
        safetensors = importlib.import_module("safetensors")
    except ImportError as error:
        raise UsageError(
            f"{path}: reading .safetensors needs the package safetensors; pip install 'iosim[safetensors]'"
        ) from error
    with _readable(path, safetensors.SafetensorError):
        tensors = dict(safetensors.deserialize(Path(path).read_bytes()))
    stored = {}
    for name, key in _find(list(tensors), path).items():
        stored[name] = _parse_tensor(f"{path}: array {name}", tensors[key])
    return stored


def _parse_npy(file: IO[bytes]) -> Stored:
    array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return Stored(array, array.dtype.name)


def _parse_tensor(at: str, tensor: Mapping[str, Any]) -> Stored:
    """A tensor as safetensors describes it: the name of its data type, its shape, its bytes (little-endian)."""
    if tensor["dtype"] == "BF16":
        # bfloat16 is the upper half of a float32.
        words = np.frombuffer(tensor["data"], dtype="<u2").astype("<u4") << np.uint32(16)
        return Stored(words.view("<f4").reshape(tensor["shape"]), "bfloat16")
    if tensor["dtype"] not in _SAFETENSORS_DTYPES:
        raise UsageError(f"{at} has the data type {tensor['dtype']}; allowed: BF16, {', '.join(_SAFETENSORS_DTYPES)}")
    array = np.frombuffer(tensor["data"], dtype=_SAFETENSORS_DTYPES[tensor["dtype"]])
    return Stored(array.reshape(tensor["shape"]), array.dtype.name)


def _find(keys: Sequence[str], path: str) -> dict[str, str]:
    """The key of each of Q, K and V among the keys of a file."""
    found = {}
    for name in NAMES:
        matches = [key for key in keys if key in (name, name.lower())]
        if len(matches) != 1:
            problem = "both " + " and ".join(matches) if matches else f"no array {name}"
            listed = ", ".join(sorted(keys)[:8]) + (", ..." if len(keys) > 8 else "")
            raise UsageError(f"{path}: {problem} among its arrays ({listed}); allowed: one each of Q, K, V or q, k, v")
        found[name] = matches[0]
    return found


def _check_file(path: str) -> None:
    # os.path answers False where pathlib raises, as for names that are too long.
    if not os.path.isfile(path):
        problem = "not a file" if os.path.exists(path) else "no such file"
        raise UsageError(f"{path}: {problem}; {_FILES_ALLOWED}")


@contextmanager
def _readable(at: str, *more: type[Exception]) -> Iterator[None]:
    """Turn what goes wrong while reading a file into a UsageError of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's about old but readable headers
            yield
    except UsageError:
        raise
    except (*_UNREADABLE, *more) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(f"{at} can't be read: {reason}; {_FILES_ALLOWED}") from error
