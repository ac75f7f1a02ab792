"""A model from a path, bytes or a `ModelProto`, whose weights stay in the file.

The bytes of a file are memory-mapped and parsed `without_weights`. `Model.array` views the bytes of a tensor in place
if they are aligned for its type, and copies them otherwise.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from webnn.backends.onnx.messages import ModelProto, SparseTensorProto, TensorProto, number_array
from webnn.errors import DataError, ValidationError
from webnn.forking import import_lock, import_whole
from webnn.formats.onnx.file.element_types import element_dtype, type_name
from webnn.formats.onnx.file.wire_format import PLACE, without_weights
from webnn.memory.mapped import MappedArray, map_file, unmap

__all__ = ["OLDEST_OPSET", "Model", "read_model"]

Array: TypeAlias = np.ndarray[Any, Any]

OLDEST_OPSET: Final = 7
"""Models in an older opset are converted to this one."""

_WEIGHTS_ALONE: Final = 4
"""The first version of the format in which an initializer need not be an input, too; runtimes never asked for it."""

_PACKED: Final[Mapping[int, int]] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
}
"""The bits of an element, for types of which a byte holds several, lowest bits first."""

_FIELDS: Final[Mapping[int, str]] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.INT32: "int32_data",
    TensorProto.INT64: "int64_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.UINT64: "uint64_data",
}
"""The field with the elements of a tensor, for the types that a field is named after."""

_ORT_FORMAT: Final = b"ORTM"
"""The identifier of a flatbuffer in onnxruntime's format, after the four bytes of its root's offset."""

_DENSE_LIMIT: Final = 1 << 25
"""The most elements that all sparse tensors of a model may have as dense ones."""

_MUCH: Final = 1 << 16
"""Bytes up to which weights in a file are copied if they are not aligned for their type."""


class Model:
    """A parsed model, and the bytes from which its weights are read."""

    def __init__(
        self,
        proto: ModelProto,
        data: Array | None,
        path: Path | None,
        *,
        files: Mapping[str, Array] | None = None,
        converted_from: int | None = None,
        too_old: str = "",
    ) -> None:
        self.proto = proto
        self.converted_from = converted_from
        """The opset that a model was written in which has been brought to `OLDEST_OPSET`."""
        self.too_old = too_old
        """The reason why a model in an opset before `OLDEST_OPSET` could not be converted, if it is one."""
        self._data = data
        self._path = path
        self._files = dict(files or {})
        self._dense_left = _DENSE_LIMIT

    @property
    def file(self) -> object:
        """What tells the file of the model from others, and from itself after a change; None if there is none."""
        return self._data.identity if isinstance(self._data, MappedArray) else None

    def array(self, tensor: TensorProto) -> Array:
        """The value of `tensor`, viewed in place if possible.

        Raises:
            DataError: the tensor does not hold the elements it declares, or its bytes cannot be found.
        """
        where = f"tensor {tensor.name!r}"
        shape = tuple(tensor.dims)
        if min(shape, default=0) < 0:
            raise DataError(f"{where} has the dimensions {list(shape)}")
        dtype = element_dtype(tensor.data_type)
        if dtype is None:
            raise DataError(f"{where} is of type {type_name(tensor.data_type)}, which no WebNN type can hold")
        count = math.prod(shape)
        bits = _PACKED.get(tensor.data_type, 8 * dtype.itemsize)
        size = -(-count * bits // 8)
        data = self._bytes_of(tensor, where, size)
        if data is None:
            return self._from_fields(tensor, dtype, shape, where)
        if len(data) != size:
            raise DataError(f"{where} needs {size} bytes for {dtype.name} {list(shape)}, but has {len(data)}")
        if tensor.data_type in _PACKED:
            parts = [data >> shift & ((1 << bits) - 1) for shift in range(0, 8, bits)]
            values = np.stack(parts, axis=-1).reshape(-1)[:count]
            if dtype.name.startswith("int"):
                sign = 1 << (bits - 1)
                values = (values ^ sign).astype(np.int8) - sign
            return np.asarray(values.astype(dtype).reshape(shape))
        if dtype == np.bool_:
            return np.not_equal(data, 0).reshape(shape)  # a byte of 2 would not be a valid bool
        array = data.view(dtype.newbyteorder("<"))
        # Large arrays of a file may have any offset: backends read them from the file, or copy them if needed.
        in_place = array.flags.aligned or (isinstance(array, MappedArray) and array.nbytes > _MUCH)
        if not in_place or not array.dtype.isnative:
            # Of bytes, which nothing can change: a builder copies other arrays of this size once more.
            array = np.frombuffer(np.asarray(array, dtype).tobytes(), dtype)
        return array.reshape(shape)

    def _from_fields(self, tensor: TensorProto, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> Array:
        held = max(
            len(tensor.float_data), len(tensor.int32_data), len(tensor.int64_data), len(tensor.double_data),
            len(tensor.uint64_data),
        )  # fmt: skip
        if math.prod(shape) > held * 8 // _PACKED.get(tensor.data_type, 8):
            raise DataError(f"{where} has {held} elements, its shape {list(shape)} needs {math.prod(shape)}")
        try:
            field = _FIELDS.get(tensor.data_type)
            if field is not None:
                return number_array(tensor, field).astype(dtype, copy=False).reshape(shape)
            if tensor.data_type not in _PACKED:
                return _narrowed(
                    number_array(tensor, "uint64_data" if tensor.uint64_data else "int32_data"), dtype
                ).reshape(shape)
            to_array = import_whole("onnx.numpy_helper").to_array
            return np.ascontiguousarray(to_array(tensor), dtype).reshape(shape)
        except (ValueError, TypeError, OverflowError, KeyError) as error:
            raise DataError(f"{where} does not hold {dtype.name} {list(shape)}: {error}") from None

    def dense(self, sparse: SparseTensorProto) -> Array:
        """The value of a sparse tensor as a dense one."""
        values, indices = self.array(sparse.values), self.array(sparse.indices)
        shape = tuple(sparse.dims)
        where = f"sparse tensor {sparse.values.name!r}"
        count = math.prod(shape)
        if any(d < 0 for d in shape) or count > self._dense_left:
            raise DataError(f"{where} has the shape {list(shape)}, the limit is {self._dense_left} more elements")
        self._dense_left -= count
        result = np.zeros(shape, values.dtype)
        try:
            if indices.ndim == 2:
                indices = np.ravel_multi_index(tuple(indices.T), shape)
            if indices.size and (indices.min() < 0 or indices.max() >= result.size):
                raise ValueError("an index is outside the shape")
            result.reshape(-1)[indices] = values
        except (ValueError, TypeError, IndexError) as error:
            raise DataError(f"{where} of shape {list(shape)}: {error}") from None
        return result

    def _bytes_of(self, tensor: TensorProto, where: str, size: int) -> Array | None:
        """The bytes of a tensor of `size` bytes; None if they are in a field for its type."""
        external = tensor.data_location == TensorProto.EXTERNAL
        if not external and not tensor.external_data:
            return np.frombuffer(tensor.raw_data, np.uint8) if tensor.HasField("raw_data") else None
        notes = {entry.key: entry.value for entry in tensor.external_data}
        try:
            if not external:
                offset, length = map(int, notes.get(PLACE, "").split())
                data = self._data
            else:
                if "location" not in notes:
                    raise DataError(f"{where} is in another file, but {notes} does not name it as its location")
                data = self._file(notes["location"], where)
                offset = int(notes.get("offset", 0))
                # The length is optional, and the file may hold more. ONNX Runtime takes 0 as if there was none, too.
                length = int(notes.get("length", 0)) or min(size, max(len(data) - offset, 0))
        except ValueError:
            raise DataError(f"{where}: {notes} does not specify the place of its data") from None
        if data is None or offset < 0 or length < 0 or offset + length > len(data):
            held = 0 if data is None else len(data)
            raise DataError(f"{where}: {length} bytes at {offset} are outside the {held} bytes of its data")
        return data[offset : offset + length]

    def _file(self, location: str, where: str) -> Array:
        """The mapped bytes of a file of weights, which must be in the folder of the model."""
        if location not in self._files:
            if self._path is None:
                raise DataError(
                    f"{where} is in the file {location!r}: load the model by its path so that this file can be found"
                )
            try:
                path = (self._path.parent / location).resolve()
                # If the model is a link, as in the cache of Hugging Face, its weights are links to the same folder.
                folders = self._path.parent.resolve(), self._path.resolve().parent
            except (OSError, ValueError, RuntimeError) as error:
                raise DataError(f"{where}: {location!r} is not a file name: {error}") from None
            leaves = os.path.isabs(location) or os.path.normpath(location).split(os.sep)[0] == os.pardir
            if not location or leaves or not any(map(path.is_relative_to, folders)):
                raise DataError(f"{where}: the file {location!r} is not in the folder of the model")
            try:
                data = map_file(path)
            except (OSError, RuntimeError) as error:
                raise DataError(f"{where}: {location!r} cannot be read: {error}") from None
            with import_lock:  # here, since most models have no other files
                from webnn.backends.marks import KEY, check_marks, trailing_mark  # noqa: PLC0415

            mark = next((entry.value for entry in self.proto.metadata_props if entry.key == KEY), None)
            check_marks(self._path.name, mark, location, trailing_mark(data))
            self._files[location] = data
        return self._files[location]


def _narrowed(elements: Array, dtype: np.dtype[Any]) -> Array:
    """Elements of `dtype` from integers of a wider field, whose lowest bits hold each of them."""
    if dtype == np.bool_:
        return np.not_equal(elements, 0)
    return elements.astype(f"u{dtype.itemsize}").view(dtype)


def read_model(source: object) -> Model:
    """The model that a path, bytes or a `ModelProto` holds.

    Raises:
        DataError: the file is neither an ONNX model nor one in onnxruntime's format.
        OSError: it cannot be read.
        ValidationError: `source` is something else.
    """
    if isinstance(source, ModelProto):
        return _converted(source, None) if _is_old(source) else Model(source, None, None)
    if isinstance(source, str | os.PathLike):
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            raise ValidationError(f"a model is loaded from a file, got the address {source!r}: download it first")
        path = Path(os.fspath(source))
        try:
            data = map_file(path)
        except (ValueError, RuntimeError) as error:  # not a valid file name
            raise DataError(f"{str(path)!r} cannot be read: {error}") from None
        return _parsed(data, path, f"{str(path)!r}")
    if isinstance(source, bytes | bytearray | memoryview):
        try:
            return _parsed(np.frombuffer(memoryview(source).cast("B"), np.uint8), None, "the data")
        except TypeError as error:
            raise ValidationError(f"the bytes of a model must be contiguous: {error}") from None
    hint = ""
    if hasattr(source, "read"):
        hint = "; write load_onnx(file.read()), or give the path, from which weights in other files can be found"
    elif type(source).__module__.partition(".")[0] == "torch" or hasattr(source, "state_dict"):
        hint = "; export it to ONNX first: torch.onnx.export"
    raise ValidationError(f"a model must be a path, bytes or an onnx.ModelProto, got {type(source).__name__}{hint}")


def _mistaken_for(data: Array, path: Path | None) -> str:
    hint: str = import_whole("webnn.formats.mistaken").mistaken_for(data.data, path, loader="load_onnx")
    return hint


def _parsed(data: Array, path: Path | None, what: str) -> Model:
    files: Mapping[str, Array] = {}
    if bytes(data[4:8]) == _ORT_FORMAT:
        as_onnx = import_whole("webnn.formats.onnx.file.ort_format").as_onnx
        model, files = as_onnx(data if path is None else path, what)
        data = np.frombuffer(model, np.uint8)
    proto = ModelProto()
    try:
        proto.ParseFromString(without_weights(data.data))
    except (DecodeError, RecursionError) as error:
        raise DataError(f"{what} cannot be read as an ONNX model: {error}{_mistaken_for(data, path)}") from None
    if not proto.HasField("graph"):
        raise DataError(f"{what} does not hold an ONNX graph{_mistaken_for(data, path)}")
    if _is_old(proto):  # models of that time are small enough to be read whole
        proto.ParseFromString(data.tobytes())
        return _converted(proto, path)
    unmap(data)
    return Model(proto, data, path, files=files)


def _is_old(proto: ModelProto) -> bool:
    """Whether a model is written in an opset that the table of operators does not have."""
    version = _opset(proto)
    return version is not None and version < OLDEST_OPSET


def _opset(proto: ModelProto) -> int | None:
    return next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), None)


def _converted(proto: ModelProto, path: Path | None) -> Model:
    """A model in an old opset, in `OLDEST_OPSET`; unchanged if the converter of the onnx package refuses it."""
    converter = import_whole("onnx.version_converter")
    if proto.ir_version < _WEIGHTS_ALONE:  # weights that are not among the inputs are undefined to the converter
        older, proto = proto, ModelProto()
        proto.CopyFrom(older)
        proto.ir_version = _WEIGHTS_ALONE
    try:
        return Model(converter.convert_version(proto, OLDEST_OPSET), None, path, converted_from=_opset(proto))
    except (RuntimeError, ValueError, TypeError, converter.ConvertError) as error:
        return Model(proto, None, path, too_old=str(error).strip().rpartition("failed: ")[2])
