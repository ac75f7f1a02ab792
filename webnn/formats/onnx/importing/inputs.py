"""The declarations of a model's inputs and outputs: types, dimensions, and the values that stand for inputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from webnn.backends.onnx.messages import GraphProto, TypeProto, ValueInfoProto
from webnn.errors import ValidationError
from webnn.forking import import_lock
from webnn.formats.onnx.file.element_types import element_dtype, type_name
from webnn.formats.onnx.importing.data_types import NARROW, data_type_for
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError, Problem, UnsupportedNodeError, shown_name
from webnn.formats.onnx.importing.values import ABSENT, Value
from webnn.formats.outline import OpenDimensionsError, is_name
from webnn.graph.arguments import data_type_named, shown, unsigned, unsigned_list
from webnn.graph.arrays import check_unmasked
from webnn.graph.builder import declare_inputs, keep_open_dimensions
from webnn.graph.dtypes import ALL, DataType, DataTypeLike
from webnn.graph.operand import MLOperand

if TYPE_CHECKING:
    from webnn.formats.onnx.importing.protocol import Importing

__all__ = ["Inputs", "warn_of_wrong_declaration"]


class Inputs:
    """The caller's options for the inputs of a graph, checked against the declarations of the graph."""

    def __init__(
        self,
        graph: GraphProto,
        importer: Importing,
        *,
        shapes: Mapping[str, int | Sequence[int]],
        dtypes: Mapping[str, DataTypeLike],
        constants: Mapping[str, Any],
        operands: Mapping[str, MLOperand],
        defaults: Set[str],
    ) -> None:
        self.names = {info.name for info in graph.input}
        self._defaults = self.names & defaults
        # Not the importer: in a cycle, the parsed file would stay until a garbage collection.
        self._builder = importer.builder
        self._budget = importer.budget
        self._shapes = shapes
        self._dtypes = dtypes
        self._constants = constants
        self._operands = operands
        outputs = {info.name for info in graph.output}
        symbols = {d.dim_param for info in graph.input for d in info.type.tensor_type.shape.dim if d.dim_param}
        for option, given, allowed, what in (
            ("shapes", shapes, self.names | symbols, "input or dimension"),
            ("dtypes", dtypes, self.names | outputs, "input or output"),
            ("constants", constants, self.names, "input"),
            ("inputs", operands, self.names, "input"),
        ):
            if not isinstance(given, Mapping):
                raise ValidationError(f"{option} must be a mapping of names, got {type(given).__name__}")
            for name in given:
                if name not in allowed:
                    has = ", ".join(sorted(map(shown_name, allowed))[:20])
                    raise ValidationError(f"{option}: the model has no {what} {name!r}; it has {has or 'none'}")
        for option, names in (("shapes", shapes.keys()), ("dtypes", dtypes.keys() - outputs)):
            for name in self._defaults.intersection(names):
                raise ValidationError(
                    f"{option}[{name!r}]: this input has a default in the model and becomes a constant of the graph;"
                    f" give another value as constants={{{name!r}: ...}}"
                )
        for name, operand in operands.items():
            if not isinstance(operand, MLOperand):
                raise ValidationError(f"inputs[{name!r}] must be an MLOperand, got {type(operand).__name__}")
        declare_inputs(self._builder, self.names - self._defaults - constants.keys() - operands.keys())

    def values(self, infos: Sequence[ValueInfoProto]) -> dict[str, Value]:
        """The value of each of these inputs that is not left at its default.

        All dimensions without a size are reported together.
        """
        given = self._constants.keys() | self._operands.keys()
        infos = [info for info in infos if info.name in given or info.name not in self._defaults]
        sizes = self._sizes(infos)
        values: dict[str, Value] = {}
        open_dimensions: list[str] = []
        for info in infos:
            value = self._given(info)
            if value is None:
                shape = self._shape(info, sizes)
                if isinstance(shape, str):
                    open_dimensions.append(shape)
                    continue
                value = self._input(info, shape)
            values[info.name] = value
        if open_dimensions:
            missing = self._missing(infos, sizes)
            proposal = ", ".join(f"{shown_name(name)!r}: {size}" for name, size in missing.items())
            raise OpenDimensionsError(
                f"the model leaves dimensions open: {'; '.join(open_dimensions)}. "
                "Give each a size, by its name or with the whole shape of an input: "
                f"shapes={{{proposal}}}",
                missing,
            )
        return values

    def _given(self, info: ValueInfoProto) -> Value | None:
        """The constant or the operand that the caller gives for an input, or None."""
        name = info.name
        if name in self._constants:
            return self._constant(info)
        if name in self._operands:
            operand = self._operands[name]
            wanted = self._held_type(info)
            return self._value_of(info, operand if operand.data_type == wanted else self._builder.cast(operand, wanted))
        return None

    def _constant(self, info: ValueInfoProto) -> Value:
        """The value of an input in `constants`: an array, a list of arrays for a sequence, or None for an optional."""
        given, kind = self._constants[info.name], info.type
        if kind.HasField("optional_type"):
            if given is None:
                return ABSENT
            kind = kind.optional_type.elem_type
        if kind.HasField("sequence_type") and kind.sequence_type.elem_type.HasField("tensor_type"):
            if not isinstance(given, Sequence):
                raise ValidationError(f"constants[{info.name!r}] must be a list of arrays, got {type(given).__name__}")
            dtype = element_dtype(kind.sequence_type.elem_type.tensor_type.elem_type)
            return Value(items=tuple(Value(self._array(info.name, item, dtype)) for item in given))
        array = self._array(info.name, given, element_dtype(_tensor_type(info).elem_type))
        declared = _declared(info)
        if not _tensor_type(info).HasField("shape") or _fits(array.shape, declared):
            return Value(array)
        if array.size == 1 and _fits(
            (1,) * len(declared), declared
        ):  # such as 16000 for [1], the shape that many models declare for a number
            return Value(array.reshape((1,) * len(declared)))
        raise ValidationError(
            f"constants[{info.name!r}] is {list(array.shape)}, the model declares {_written(declared)}"
        )

    @staticmethod
    def _array(name: str, given: Any, dtype: np.dtype[Any] | None) -> np.ndarray[Any, Any]:
        try:
            if given is None:
                raise TypeError("None is allowed for optional inputs only")  # NumPy would convert it to NaN
            check_unmasked(given)
            array = np.asarray(given, dtype)
            if array.dtype.kind in "biu" and not np.array_equal(array, np.asarray(given)):
                raise ValueError(f"{shown(given)} does not fit that type")  # NumPy would truncate it
        except (ValueError, TypeError, OverflowError) as error:
            raise ValidationError(f"constants[{name!r}] cannot be converted to {dtype}: {error}") from None
        return array

    def _held_type(self, info: ValueInfoProto) -> DataType:
        try:
            return data_type_for(_tensor_type(info).elem_type)
        except UnsupportedNodeError as error:
            raise OnnxNotSupportedError(
                [Problem(shown_name(info.name), "input", error.reason, error.nearest)]
            ) from None

    def _input(self, info: ValueInfoProto, shape: tuple[int, ...]) -> Value:
        held_type = self._held_type(info)
        name = info.name
        if held_type in ("int4", "uint4"):
            problem = Problem(
                shown_name(name),
                "input",
                f"{held_type} is a type of constants only: a WebNN graph takes no 4-bit inputs",
                f"give its value as constants={{{name!r}: ...}}, or make it an initializer of the model",
            )
            raise OnnxNotSupportedError([problem])
        wanted = data_type_named(f"dtypes[{name!r}]", self._dtypes.get(name, held_type), ALL)
        operand = self._builder.input(name, shape, wanted)
        declared = _declared(info) if _tensor_type(info).HasField("shape") else [(0, "")] * len(shape)
        if any(size <= 0 for size, _ in declared):
            names = [None if size > 0 else symbol if is_name(symbol) else "" for size, symbol in declared]
            keep_open_dimensions(self._builder, name, names)
        return self._value_of(info, operand if wanted == held_type else self._builder.cast(operand, held_type))

    def _value_of(self, info: ValueInfoProto, operand: MLOperand) -> Value:
        """The value of an input, of which `operand` has the held type; rounded if the input is bfloat16."""
        narrow = NARROW.get(_tensor_type(info).elem_type, "")
        if narrow == "bfloat16":
            with import_lock:  # here, since most models have no such types
                from webnn.formats.onnx.importing.bfloat16 import rounded_to_bfloat16  # noqa: PLC0415

            operand = rounded_to_bfloat16(self._builder, self._budget, operand)
        return Value(operand=operand, narrow=narrow)

    def _sizes(self, infos: Sequence[ValueInfoProto]) -> dict[str, int]:
        """The size of each named dimension, given by its name or by the shape of an input that has it.

        Exporters use one name for dimensions that differ, and "?" for all of them. So inputs in which one name has
        different sizes do not contradict each other; the size of that name elsewhere is left open.
        """
        named = {
            name: unsigned(f"shapes[{name!r}]", given) for name, given in self._shapes.items() if name not in self.names
        }
        empty = next((name for name, size in named.items() if not size), None)
        if empty is not None:
            readers = (info.name for info in infos if any(d.dim_param == empty for d in _tensor_type(info).shape.dim))
            raise _without_elements(empty, next(readers, empty))
        found: dict[str, set[int]] = {}
        for info in infos:
            shape = self._given_shape(info)
            if info.name in self._operands:
                shape = self._operands[info.name].shape
            elif info.name in self._constants:
                array = self._constant(info).array
                shape = None if array is None else array.shape
            if shape is None:
                continue
            dims = _tensor_type(info).shape.dim
            for dim, size in zip(dims, shape, strict=False):
                if named.get(dim.dim_param, size) != size:
                    raise ValidationError(
                        f"shapes[{info.name!r}] {list(shape)}: dimension {dim.dim_param!r} is {named[dim.dim_param]}"
                    )
                if is_name(dim.dim_param):
                    found.setdefault(dim.dim_param, set()).add(size)
        return {**{name: min(sizes) for name, sizes in found.items() if len(sizes) == 1}, **named}

    def _missing(self, infos: Sequence[ValueInfoProto], sizes: Mapping[str, int]) -> dict[str, str]:
        """A proposal for `shapes`, with dots for sizes: dimensions by name, and whole shapes where one has no name."""
        wanted: dict[str, str] = {}
        for info in infos:
            if info.name in self._shapes or info.name in self._constants or info.name in self._operands:
                continue
            dims = _declared(info)
            unsized = [symbol for size, symbol in dims if size <= 0 and symbol not in sizes]
            if not _tensor_type(info).HasField("shape"):
                wanted[info.name] = "[...]"
            elif all(map(is_name, unsized)):
                wanted |= dict.fromkeys(unsized, "...")
            else:
                known = [size if size > 0 else sizes.get(symbol, "...") for size, symbol in dims]
                wanted[info.name] = f"[{', '.join(map(str, known))}]"
        return wanted

    def _given_shape(self, info: ValueInfoProto) -> tuple[int, ...] | None:
        """The shape that `shapes` gives for an input, or None. One number is the shape of a vector."""
        given = self._shapes.get(info.name)
        if given is None:
            return None
        return unsigned_list(f"shapes[{info.name!r}]", [given] if isinstance(given, int | np.integer) else given)

    def _shape(self, info: ValueInfoProto, sizes: Mapping[str, int]) -> tuple[int, ...] | str:
        """The shape of an input, or a description of its open dimensions."""
        tensor = _tensor_type(info)
        declared = _declared(info)
        shape = self._given_shape(info)
        if shape is not None:
            if tensor.HasField("shape") and not _fits(shape, declared):
                raise ValidationError(
                    f"shapes[{info.name!r}] is {list(shape)}, the model declares {_written(declared)}"
                )
            if 0 in shape:
                raise _without_elements(info.name, info.name)
            return shape
        if not tensor.HasField("shape"):
            return f"input {info.name!r} declares no shape"
        shape = tuple(size if size > 0 else sizes.get(symbol, 0) for size, symbol in declared)
        if any(size <= 0 for size in shape):
            return f"input {info.name!r} {_written(declared)}"
        return shape


def warn_of_wrong_declaration(info: ValueInfoProto, operand: MLOperand) -> None:
    """Warn if a model declares another type or shape for an output than the output has, and gets."""
    if not info.type.HasField("tensor_type"):
        return
    tensor = info.type.tensor_type
    declared = _declared(info)
    wrong = []
    if tensor.HasField("shape") and not _fits(operand.shape, declared):
        wrong.append(f"the shape {_written(declared)}, it has {list(operand.shape)}")
    is_known = element_dtype(tensor.elem_type) is not None
    expected = {data_type_for(tensor.elem_type) if is_known else operand.data_type}
    if expected & {"int4", "uint4"}:
        expected |= {"int8", "uint8"}  # which hold computed integers of 2 bits
    if operand.data_type not in expected:
        wrong.append(f"the type {type_name(tensor.elem_type)}, it has {operand.data_type}")
    if wrong:
        message = f"the model declares for its output {shown_name(info.name)} {' and '.join(wrong)}"
        warnings.warn(message, UserWarning, stacklevel=2)


def _without_elements(option: str, name: str) -> ValidationError:
    return ValidationError(
        f"shapes[{option!r}] has the size 0, which no WebNN operand can have; give an input that is always empty as"
        f" a constant: constants={{{name!r}: numpy.zeros(...)}}"
    )


def _tensor_type(info: ValueInfoProto) -> TypeProto.Tensor:
    kind = info.type.optional_type.elem_type if info.type.HasField("optional_type") else info.type
    if kind.HasField("tensor_type"):
        return kind.tensor_type
    found = kind.WhichOneof("value") or "nothing"
    nearest = f"its tensors as constants={{{info.name!r}: [...]}}" if found == "sequence_type" else ""
    raise OnnxNotSupportedError(
        [
            Problem(
                shown_name(info.name), "input", f"is of type {found.removesuffix('_type')}, expected a tensor", nearest
            )
        ]
    )


def _declared(info: ValueInfoProto) -> list[tuple[int, str]]:
    """The size of each dimension, 0 or less for an open one, and its name."""
    return [(d.dim_value if d.HasField("dim_value") else 0, d.dim_param) for d in _tensor_type(info).shape.dim]


def _fits(shape: Sequence[int], declared: Sequence[tuple[int, str]]) -> bool:
    return len(shape) == len(declared) and all(
        size <= 0 or size == given for (size, _), given in zip(declared, shape, strict=True)
    )


def _written(declared: Sequence[tuple[int, str]]) -> str:
    return "[" + ", ".join(str(size) if size > 0 else shown_name(symbol or "?") for size, symbol in declared) + "]"
