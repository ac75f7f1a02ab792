"""The weight files beside a graph file: found, matched with the graph's constants, checked, and mapped into memory."""

from __future__ import annotations

import errno
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn.backends.files import write_elements, written_at_once
from webnn.backends.marks import KEY, check_marks, trailer, trailing_mark
from webnn.errors import DataError
from webnn.formats.json_text import read_json
from webnn.formats.safetensors import SafeTensors, load_safetensors, save_safetensors
from webnn.formats.webnn_text.document import MAX_FILE
from webnn.graph.arguments import shown
from webnn.graph.arrays import array_from
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.mapped import map_file

__all__ = [
    "FOUR_BITS",
    "Weights",
    "check_replaceable",
    "find_weights",
    "four_bits_from",
    "four_bits_packed",
    "open_weights",
    "save_blob",
    "save_tensors",
]

PACKED: Final = "rustnn.webnn.packed4"
"""The metadata of a SafeTensors file whose 4-bit constants are stored two to a byte."""
MAGIC: Final = b"WGWT"
MANIFEST: Final = "wg-weights-manifest"
FOUR_BITS: Final = ("int4", "uint4")

Array = np.ndarray[Any, Any]


class Weights(ABC):
    """A weight file, in which constants are looked up by key."""

    def __init__(self, where: str, keys: list[str], mark: str | None) -> None:
        self.where = where
        self.mark = mark
        self._by_sanitised: dict[str, list[str]] = {}
        self._keys = set(keys)
        for key in keys:
            self._by_sanitised.setdefault(key.replace("::", "__").replace(".", "_"), []).append(key)

    def get(self, key: str, descriptor: MLOperandDescriptor) -> Array:
        """The array stored under `key`, or under a name that tools write as `key`; read-only, not copied if possible.

        Raises:
            DataError: there is none, or more than one, or it does not have the type and shape of `descriptor`.
        """
        if key not in self._keys:
            similar = self._by_sanitised.get(key, [])
            if len(similar) != 1:
                problem = f"could be {' or '.join(map(repr, similar))}" if similar else "is missing"
                raise DataError(f"{self.where}: the weight {shown(key)} {problem}")
            key = similar[0]
        return self._load(key, descriptor, f"{self.where}: {shown(key)}")

    @abstractmethod
    def _load(self, key: str, descriptor: MLOperandDescriptor, where: str) -> Array:
        """The array stored under exactly `key`."""


class _Tensors(Weights):
    """A SafeTensors file."""

    def __init__(self, path: Path) -> None:
        self._tensors: SafeTensors = load_safetensors(path)
        super().__init__(path.name, list(self._tensors), self._tensors.metadata.get(KEY))

    def _load(self, key: str, descriptor: MLOperandDescriptor, where: str) -> Array:
        array = self._tensors[key]
        if descriptor.data_type in FOUR_BITS:
            marker = self._tensors.metadata.get(PACKED)
            if marker != "1":
                raise DataError(f"{where}: {descriptor.data_type} needs the metadata {PACKED} = '1', got {marker!r}")
            _agree(array, np.dtype(np.uint8), ((descriptor.element_count + 1) // 2,), descriptor, where)
            return array_from(array, descriptor)
        if descriptor.data_type == "float32" and array.dtype.name == "bfloat16":
            array = array.astype(np.float32)
        _agree(array, descriptor.dtype, descriptor.shape, descriptor, where)
        return array


class _Blob(Weights):
    """A `.weights` file with its manifest."""

    def __init__(self, path: Path, manifest: Path) -> None:
        rows, wanted = _read_manifest(manifest)
        self._data = map_file(path)
        found = trailing_mark(self._data)
        super().__init__(path.name, list(rows), found)
        if wanted is not None and found is None:
            raise DataError(f"{path.name} does not end with the mark that {manifest.name} has: it is not whole")
        check_marks(manifest.name, wanted, path.name, found)
        self._rows = rows
        size, header = self._data.size, self._data[:8].tobytes()
        end, before = 0, ""
        if header[:4] == MAGIC and min((row["byteOffset"] for row in rows.values()), default=8) >= 8:
            version = int.from_bytes(header[4:], "little")
            if version != 1:
                raise DataError(f"{path.name}: the blob's version must be 1, got {version}")
            end, before = 8, "the header"
        for key, row in sorted(rows.items(), key=lambda item: (item[1]["byteOffset"], item[1]["byteLength"])):
            begin, length = row["byteOffset"], row["byteLength"]
            if begin + length > size:
                raise DataError(f"{path.name}: {shown(key)} ends at byte {begin + length}, but the file has {size}")
            if begin < end and length:
                raise DataError(f"{path.name}: {shown(key)} at byte {begin} overlaps {before}, which ends at {end}")
            end, before = begin + length, repr(key)[:80]

    def _load(self, key: str, descriptor: MLOperandDescriptor, where: str) -> Array:
        row = self._rows[key]
        for name, expected in (("dataType", descriptor.data_type), ("shape", list(descriptor.shape))):
            if row.get(name, expected) != expected:
                raise DataError(f"{where}: {name} is {shown(row[name])} in the manifest and {expected} in the graph")
        begin, length = row["byteOffset"], row["byteLength"]
        data = np.asarray(self._data[begin : begin + length])
        if descriptor.data_type in FOUR_BITS:
            return four_bits_from(data, descriptor, where)
        if length != descriptor.byte_length:
            raise DataError(f"{where}: {descriptor} takes {descriptor.byte_length} bytes, not {length}")
        array = data.view(descriptor.dtype.newbyteorder("<"))
        if not array.flags.aligned:
            array = array.copy()
            array.flags.writeable = False
        return array.reshape(descriptor.shape)


def _read_manifest(path: Path) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Where each weight lies, and the mark."""
    root = read_json(path, MAX_FILE)
    rows = root.get("tensors") if isinstance(root, dict) else None
    if not isinstance(rows, dict):
        raise DataError(f"{path.name}: expected an object with the key tensors")
    if root.get("endianness", "little") != "little":
        raise DataError(f"{path.name}: endianness must be 'little', got {shown(root['endianness'], 40)}")
    for key, row in rows.items():
        for name in ("byteOffset", "byteLength"):
            value = row.get(name) if isinstance(row, dict) else None
            if type(value) is not int or not 0 <= value < 2**63:
                raise DataError(
                    f"{path.name}: tensors.{key:.80}.{name} must be a number of bytes, got {shown(value, 40)}"
                )
    mark = root.get(KEY)
    return rows, mark if isinstance(mark, str) else None


def _agree(
    array: Array, dtype: np.dtype[Any], shape: tuple[int, ...], descriptor: MLOperandDescriptor, where: str
) -> None:
    if array.dtype != dtype or array.shape != shape:
        packed = f", packed as {dtype.name} {list(shape)}" if descriptor.data_type in FOUR_BITS else ""
        raise DataError(
            f"{where}: the file has {array.dtype.name} {list(array.shape)}, the graph has {descriptor}{packed}"
        )


def four_bits_from(data: Array, descriptor: MLOperandDescriptor, where: str) -> Array:
    """4-bit values from bytes: two or one in each, by the number of bytes.

    Raises:
        DataError: the number of bytes fits neither, or a byte of one value exceeds 4 bits.
    """
    count = descriptor.element_count
    if data.size == (count + 1) // 2:
        return array_from(data, descriptor)
    if data.size != count:
        raise DataError(f"{where}: {descriptor} takes {(count + 1) // 2} bytes, or {count}, not {data.size}")
    values = data if descriptor.data_type == "uint4" else data.view(np.int8)
    low, high = (0, 15) if descriptor.data_type == "uint4" else (-8, 7)
    if not low <= int(values.min()) <= int(values.max()) <= high:
        raise DataError(f"{where}: the bytes of {descriptor.data_type} must be {low} to {high}")
    return values.astype(descriptor.dtype).reshape(descriptor.shape)


def four_bits_packed(array: Array) -> Array:
    """A 4-bit array as it is stored: two elements to a byte, the first in the low bits."""
    nibbles = array.reshape(-1).astype(np.int8).view(np.uint8) & 15
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    packed: Array = nibbles[::2] | nibbles[1::2] << 4
    return packed


# Finding and writing weight files.


def check_replaceable(weights: Path, graph: Path, mark: str) -> None:
    """Raise `FileExistsError` if a new graph file would replace the weights of something else.

    They may be those that a model was published with: `model.onnx` and `model.safetensors` often share a folder.

    Args:
        weights: where the weights of the graph go.
        graph: the graph file. If it exists, the weights are its own, and are replaced with it.
        mark: of the new weights. Equal ones may be replaced: several forms of a graph share them.
    """
    if not graph.exists() and weights.exists() and _mark_of(weights) != mark:
        why = f"the weights of {graph.name} would replace other ones; move these, or choose another name for the graph"
        raise FileExistsError(errno.EEXIST, why, str(weights))


def _mark_of(weights: Path) -> str | None:
    try:
        return _Tensors(weights).mark if weights.suffix != ".weights" else trailing_mark(map_file(weights))
    except DataError:
        return None


def find_weights(graph: Path) -> list[Path]:
    """The weight files beside a graph file that may belong to it, the likeliest first."""
    names = dict.fromkeys((f"{graph.stem}.safetensors", f"{graph.stem}.weights", "model.safetensors", "model.weights"))
    return [path for path in map(graph.with_name, names) if path.is_file()]


def open_weights(path: Path, graph: Path) -> Weights:
    """A SafeTensors file, or a blob whose manifest lies beside it.

    Raises:
        DataError: it is damaged, or has no manifest.
        OSError: it cannot be read.
    """
    if path.suffix != ".weights":
        return _Tensors(path)
    names = dict.fromkeys((f"{path.stem}.manifest.json", f"{graph.stem}.manifest.json", "manifest.json"))
    manifest = next((found for found in map(path.with_name, names) if found.is_file()), None)
    if manifest is None:
        raise DataError(f"{path.name}: its manifest is missing, one of {', '.join(names)} beside it")
    return _Blob(path, manifest)


def save_tensors(path: Path, arrays: Mapping[str, Array], mark: str) -> None:
    """Write `arrays` as a SafeTensors file with the graph's mark, 4-bit ones packed and noted as such."""
    packed = any(array.dtype.name in FOUR_BITS for array in arrays.values())
    stored = {k: four_bits_packed(a) if a.dtype.name in FOUR_BITS else a for k, a in arrays.items()}
    save_safetensors(path, stored, {KEY: mark, **({PACKED: "1"} if packed else {})})


def save_blob(path: Path, arrays: Mapping[str, Array], mark: str) -> None:
    """Write `arrays` as `STEM.weights` and `STEM.manifest.json`, both with the graph's mark.

    The widest types come first, so that each array is aligned.
    """
    tensors: dict[str, Any] = {}
    offset = 8
    with written_at_once(path) as file:
        file.write(MAGIC + (1).to_bytes(4, "little"))
        for key, array in sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize):
            stored = four_bits_packed(array) if array.dtype.name in FOUR_BITS else array
            write_elements(file, stored)
            tensors[key] = {
                "dataType": array.dtype.name,
                "shape": list(array.shape),
                "byteOffset": offset,
                "byteLength": stored.nbytes,
                "layout": "row-major",
            }
            offset += stored.nbytes
        file.write(trailer(mark))
    manifest = {"format": MANIFEST, "version": 1, "endianness": "little", KEY: mark, "tensors": tensors}
    with written_at_once(path.with_name(f"{path.stem}.manifest.json")) as file:
        file.write(json.dumps(manifest, indent=1, ensure_ascii=False).encode())
