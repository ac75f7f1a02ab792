"""SafeTensors: named arrays in one file, mapped into memory and used in place.

A file is the length of its header as 8 bytes, the header (JSON: name to type, shape and place), and the bytes of the
arrays one after the other. Everything in the header is checked before an array is handed out.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from webnn.backends.files import write_elements, written_at_once
from webnn.errors import DataError, ValidationError
from webnn.formats.json_text import parse_json, read_json
from webnn.graph.arguments import shown
from webnn.graph.lean_imports import SMALL_TYPES, small_dtype
from webnn.memory.mapped import MappedArray, map_file

__all__ = ["SafeTensors", "load_safetensors", "save_safetensors"]

MAX_HEADER: Final = 32 * 1024 * 1024
"""The longest header that is read: room for a few hundred thousand tensors."""
MAX_RANK: Final = 64
"""The most dimensions that a NumPy array has."""

DTYPES: Final[Mapping[str, str]] = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "U64": "uint64",
    "I32": "int32",
    "U32": "uint32",
    "I16": "int16",
    "U16": "uint16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""The names of the format's types in NumPy or ml_dtypes."""
_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class _Place:
    data: MappedArray
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


class SafeTensors(Mapping[str, np.ndarray[Any, Any]]):
    """The arrays of a file by name, read-only, in the order of the file; or of all files of an index.

    Nothing is read until the elements of an array are used, and nothing is copied: the arrays are the mapped file. Only
    an array that is not aligned to its type is copied, when it is looked up. The file stays open as long as one of its
    arrays lives; do not truncate it meanwhile (replacing it with another file is fine).
    """

    def __init__(self, places: Mapping[str, _Place], metadata: Mapping[str, str]) -> None:
        self._places = places
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata))
        """The strings in the header beside the arrays."""

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        array = self._arrays.get(name)
        if array is None:
            place = self._places[name]
            # (a plain array, whose base still knows the file)
            array = np.asarray(place.data[place.begin : place.end]).view(place.dtype).reshape(place.shape)
            if not array.flags.aligned:
                array = array.copy()
                array.flags.writeable = False
            self._arrays[name] = array
        return array

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"<SafeTensors of {len(self)} arrays>"


def load_safetensors(path: str | os.PathLike[str]) -> SafeTensors:
    """The arrays in a SafeTensors file, by name: `builder.constant(load_safetensors(path)[name])` copies nothing.

    For a large model in several files, give the path of the index, `model.safetensors.index.json`.

    BF16 and F8 come as arrays of `ml_dtypes` types, which WebNN does not have: convert an array before it becomes a
    constant, `array.astype("float32")`.

    Raises:
        DataError: the file is not a whole SafeTensors file; the message names the array that is wrong.
        OSError: it cannot be read.

    >>> import numpy, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> save_safetensors(path, {"w": numpy.ones((2, 3), "float32")})
    >>> load_safetensors(path)["w"].sum().item()
    6.0
    """
    path = Path(path)
    if path.suffix == ".json":
        return _indexed(path)
    data = map_file(path)
    where, size = path.name, data.size
    if size < 8:
        raise DataError(f"{where}: a SafeTensors file begins with 8 bytes for the size of its header, this has {size}")
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > min(MAX_HEADER, size - 8):
        limit = f"at most {MAX_HEADER} are supported" if length > MAX_HEADER else f"the file has {size}"
        raise DataError(f"{where}: the header claims {length} bytes, {limit}")
    header = parse_json(data[8 : 8 + length].tobytes(), f"{where}: header", unique_keys=True)
    return SafeTensors(*_checked(header, where, 8 + length, data))


def _indexed(path: Path) -> SafeTensors:
    """The arrays of all files that an index names: `{"weight_map": {name of the array: name of the file}}`."""
    index = read_json(path, MAX_HEADER)
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict):
        raise DataError(f"{path.name}: an index of SafeTensors files must have the object weight_map")
    parts: dict[str, SafeTensors] = {}
    places = {}
    for name, part in names.items():
        if not isinstance(part, str) or not part.endswith(".safetensors") or Path(part).name != part:
            raise DataError(
                f"{path.name}: {shown(name)} is in {shown(part)}; expected a .safetensors file beside the index"
            )
        if part not in parts:
            parts[part] = load_safetensors(path.with_name(part))
        if name not in parts[part]:
            raise DataError(f"{path.name}: {shown(name)} is missing from {shown(part)}")
        places[name] = parts[part]._places[name]
    return SafeTensors(places, {k: v for part in parts.values() for k, v in part.metadata.items()})


def _checked(header: object, where: str, start: int, data: MappedArray) -> tuple[dict[str, _Place], dict[str, str]]:
    if not isinstance(header, dict):
        raise DataError(f"{where}: the header must be an object, got {type(header).__name__}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise DataError(f"{where}: __metadata__ must be an object of strings")
    places = {name: _place(row, f"{where}: {name!r}", start, data) for name, row in header.items()}
    ordered = dict(sorted(places.items(), key=lambda item: (item[1].begin, item[1].end)))
    end, before, size = start, "the header", data.size
    for name, place in ordered.items():
        if place.end > size:
            raise DataError(f"{where}: {name!r} ends at byte {place.end}, but the file has {size}")
        if place.begin != end:
            what = (
                f"overlaps {before}"
                if place.begin < end
                else f"leaves a hole of {place.begin - end} bytes after {before}"
            )
            raise DataError(f"{where}: {name!r} at byte {place.begin} {what}, which ends at {end}")
        end, before = place.end, repr(name)
    if end != size:
        raise DataError(f"{where}: the arrays end at byte {end}, but the file has {size}")
    return ordered, metadata


def _place(row: object, where: str, start: int, data: MappedArray) -> _Place:
    if not isinstance(row, dict) or row.keys() != {"dtype", "shape", "data_offsets"}:
        raise DataError(f"{where} must have exactly dtype, shape and data_offsets")
    name = DTYPES.get(row["dtype"]) if isinstance(row["dtype"], str) else None
    if name is None:
        raise DataError(f"{where}: unknown dtype {shown(row['dtype'], 40)}; these are known: {', '.join(DTYPES)}")
    dtype = small_dtype(name) if name in SMALL_TYPES else np.dtype(name).newbyteorder("<")
    shape, offsets = row["shape"], row["data_offsets"]
    if not _are_sizes(shape) or len(shape) > MAX_RANK:
        raise DataError(f"{where}: shape must be at most {MAX_RANK} integers of 0 to 2**63 - 1, got {shown(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise DataError(f"{where}: data_offsets must be a begin and an end, got {shown(offsets)}")
    if math.prod(size or 1 for size in shape) * dtype.itemsize >= 2**63:
        raise DataError(f"{where}: shape {shown(shape)} takes 2**63 bytes or more")
    begin, end = offsets
    needed = math.prod(shape) * dtype.itemsize
    if end - begin != needed:
        raise DataError(f"{where}: {row['dtype']} {shape} takes {needed} bytes, data_offsets hold {end - begin}")
    return _Place(data, dtype, tuple(shape), start + begin, start + end)


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def save_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray[Any, Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write `tensors` as a SafeTensors file, which appears whole and in one step.

    Arrays of the widest types come first, so that each offset suits its type.

    Raises:
        ValidationError: the format has no type for an array, an array is called `__metadata__`, or `tensors` is not
            a mapping of names to arrays.
        OSError: the file cannot be written.
    """
    if not isinstance(tensors, Mapping) or not all(
        isinstance(array, np.ndarray | np.generic) for array in tensors.values()
    ):
        raise ValidationError(f"save_safetensors(path, tensors): tensors must be arrays by name, got {shown(tensors)}")
    ordered = sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, array in ordered:
        dtype = _NAMES.get(array.dtype.name)
        if dtype is None or name == "__metadata__":
            problem = f"is {array.dtype.name}" if dtype is None else "is a reserved name"
            raise ValidationError(f"save_safetensors: {name!r} {problem}, which SafeTensors cannot hold")
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 64)  # with the 8 bytes before it, the data starts at an offset that suits every type
    with written_at_once(Path(path)) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            write_elements(file, array)
