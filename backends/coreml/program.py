"""Writing an ML Program from a graph, by coremltools' builder.

A `Program` is filled by the lowerings of the families: they ask for the value of an operand (`program[operand]`),
`emit` operations, and `set` the values of a node's outputs.

**Types.** Core ML computes with float32, float16, int32 and truth values. So int8, uint8, int4 and uint4 are held as
int32, within the range of their own type; lowerings whose results may leave it call `wrapped`. int64 is held as int32
too, where results cannot outgrow their operands: indices, data movement, comparisons. Other nodes of int64, and every
node of uint32 and uint64, are refused.

**Ranks.** Values have up to 5 dimensions. Scalars are held with the shape [1], and broadcast just the same.

**coremltools.** Seen of coremltools 9.0, and answered here and in `export`:

- The builder keeps its place in lists of the module, so programs are built under one lock for the process.
- Parameters that are left out become constants with names that depend on earlier programs: the counter is set back.
- Its constants share memory with the arrays that they were made of, and some value inferences write into them: it is
  given arrays that cannot be written to.
- 64-bit integers become 32-bit integers without a word, clamped above and wrapped below: `_narrow` refuses them.
- `select` declares the shape of its two values alone, without that of the condition.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.backends.coreml.names import feature_names, free_prefix
from webnn.backends.digests import array_digest
from webnn.errors import NotSupportedError
from webnn.forking import import_lock, reentrant_lock
from webnn.graph.arrays import beyond
from webnn.graph.broadcasting import bidirectional
from webnn.graph.dtypes import FLOATS, integer_range
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand

__all__ = [
    "BUILDING",
    "MAX_RANK",
    "OUTGROWING",
    "Array",
    "Program",
    "Shape",
    "Value",
    "held_shape",
    "held_type",
    "quiet",
]

Value: TypeAlias = Any
"""A value of the program in the making: coremltools' `Var`, which has no type stubs."""
Array: TypeAlias = np.ndarray[Any, Any]
Shape: TypeAlias = tuple[int, ...]

BUILDING: Final = reentrant_lock()
"""Held while a program is built and written."""
MAX_RANK: Final = 5
OUTGROWING: Final = frozenset(
    (
        *("abs", "add", "cumulative_sum", "div", "max_pool2d", "mul", "neg", "pow", "prelu", "sub"),
        *("reduce_l1", "reduce_product", "reduce_sum", "reduce_sum_square"),
    )
)
"""Operators whose results may be integers that their operands' range does not hold. `max_pool2d` of nothing is one."""
_ABSENT: Final = ("uint32", "uint64")
_IN_FILE: Final = 10
"""From so many elements on, coremltools writes bytes and floats to the file of weights."""


def held_type(data_type: str) -> str:
    """The type that holds values of a data type: "fp32", "fp16" or "int32"."""
    return {"float32": "fp32", "float16": "fp16"}.get(data_type, "int32")


def held_shape(shape: Shape) -> Shape:
    """The shape that holds values of `shape`: a scalar's is [1]."""
    return shape or (1,)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is said meanwhile of parts of coremltools that other systems than macOS lack, nor of its arithmetic."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        logger.setLevel(level)


class Program:
    """An ML Program in the making. Entered, its operations can be added; `BUILDING` is held meanwhile.

    Args:
        graph: the graph to lower.
        given: constants instead of inputs, by name; then coremltools computes all values that it can.
    """

    def __init__(self, graph: Graph, given: Mapping[str, Array] | None = None) -> None:
        self.graph = graph
        self.input_names = feature_names(graph.inputs)
        """The graph's input names, and their names in the program."""
        self.output_names = feature_names(graph.outputs, self.input_names.values())
        """Likewise for the outputs."""
        self._given = {} if given is None else given
        self._prefix = free_prefix([*self.input_names.values(), *self.output_names.values()])
        self._count = 0
        self._node: Node | None = None
        self._values: dict[int, Value] = {}
        self._constants: dict[tuple[str, Shape, bytes], Value] = {}
        self._literals: dict[Hashable, Value] = {}
        self._truths: dict[int, Value] = {}
        self._function: Any = None
        self._held = ExitStack()

    def __enter__(self) -> Program:
        with ExitStack() as held:
            held.enter_context(BUILDING)
            held.enter_context(quiet())
            with import_lock:
                from coremltools import target  # noqa: PLC0415
                from coremltools.converters.mil.mil import Builder, Function, types  # noqa: PLC0415
            self._builder, self._types = Builder, types
            Builder.name_count.clear()
            placeholders = {
                self.input_names[name]: Builder.placeholder(
                    held_shape(operand.shape), types.string_to_builtin(held_type(operand.data_type))
                )
                for name, operand in self.graph.inputs.items()
                if name not in self._given
            }
            self._function = held.enter_context(Function(placeholders, target.iOS17))
            for name, operand in self.graph.inputs.items():
                if operand.data_type in _ABSENT:
                    raise self.refusal(f"input {name!r} is {operand.data_type}, which it lacks")
                if operand.rank > MAX_RANK:
                    raise self.refusal(
                        f"tensors have up to {MAX_RANK} dimensions, input {name!r} is {list(operand.shape)}"
                    )
                if name in self._given:
                    self._values[id(operand)] = self._weight(self._given[name], operand)
                else:
                    self._values[id(operand)] = self._function.inputs[self.input_names[name]]
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def begin(self, node: Node) -> None:
        """Set the node that the next operations belong to.

        Raises:
            NotSupportedError: it has data types or ranks that Core ML lacks.
        """
        self._node = node
        for operand in (*node.inputs(), *node.outputs):
            if operand.data_type in _ABSENT and operand.constant is None:
                raise self.refusal(f"it has no {operand.data_type}")
            if operand.data_type == "int64" and node.op in OUTGROWING:
                raise self.refusal("it holds int64 in 32 bits, which the results may not fit in")
            if operand.rank > MAX_RANK:
                raise self.refusal(f"tensors have up to {MAX_RANK} dimensions, got {list(operand.shape)}")

    def refusal(self, reason: str) -> NotSupportedError:
        """An error that names the node, if there is one."""
        where = f"{self._node.where}: " if self._node is not None else ""
        return NotSupportedError(f"{where}Core ML cannot express this graph: {reason}")

    def __getitem__(self, operand: MLOperand) -> Value:
        """The value of an operand, with its held type and shape."""
        value = self._values.get(id(operand))
        if value is None:
            assert operand.constant is not None, f"{operand!r} is read before it is computed"
            value = self._values[id(operand)] = self._weight(operand.constant, operand)
        return value

    def set(self, operand: MLOperand, value: Value) -> None:
        """`value` is that of a node's output."""
        shape, found = held_shape(operand.shape), tuple(value.shape)
        assert found == shape, f"{self._node!r}: the lowering gives {found}, not {shape}"
        held = held_type(operand.data_type)
        assert self.type_of(value) == held, f"{self._node!r}: the lowering gives {self.type_of(value)}, not {held}"
        self._values[id(operand)] = value

    def set_truth(self, operand: MLOperand, truth: Value) -> None:
        """The truth values `truth` are a node's output, as 0 and 1."""
        self.set(operand, self.cast(truth, "int32"))
        self._truths[id(operand)] = truth

    def truth(self, operand: MLOperand) -> Value:
        """An operand as truth values: every value except 0 is true."""
        found = self._truths.get(id(operand))
        if found is None:
            found = self._truths[id(operand)] = self.emit("not_equal", x=self[operand], y=self.number(0, "int32"))
        return found

    def type_of(self, value: Value) -> str:
        """The type of a value: "fp32", "fp16", "int32" or "bool"."""
        name: str = self._types.builtin_to_string(value.dtype)
        return name

    # Constants.

    def _weight(self, array: Array, operand: MLOperand) -> Value:
        array = array.reshape(held_shape(array.shape))
        if operand.data_type in FLOATS:
            return self.constant(array)
        if array.size >= _IN_FILE and operand.data_type in ("int8", "uint8", "int4", "uint4"):
            return self.cast(self.constant(array.astype(np.uint8 if operand.data_type[0] == "u" else np.int8)), "int32")
        return self.constant(self._narrow(array))

    def _narrow(self, array: Array) -> Array:
        if array.dtype.itemsize > 4 or array.dtype == np.uint32:
            outside = beyond(array, "int32")
            if outside is not None:
                raise self.refusal(f"it holds integers in 32 bits, and a constant has {outside}")
        return array.astype(np.int32)

    def constant(self, array: Array) -> Value:
        """A constant of an array of a type that programs have; equal ones are one."""
        array = np.ascontiguousarray(array)
        key = (array.dtype.str, array.shape, array_digest(array))
        value = self._constants.get(key)
        if value is None:
            view = array.view()
            view.flags.writeable = False
            value = self._constants[key] = self._builder.const(val=view, name=self._fresh("constant"))
        return value

    def number(self, number: float, type: str) -> Value:
        """A scalar constant of the type "fp32", "fp16" or "int32"."""
        with np.errstate(over="ignore"):
            return self.literal(np.array(number, {"fp32": np.float32, "fp16": np.float16, "int32": np.int32}[type])[()])

    def literal(self, literal: Any) -> Value:
        """A constant of a NumPy scalar, or of a number, a text or a list of them; equal ones are one."""
        if isinstance(literal, np.generic | bool | str):
            key: Hashable = (type(literal).__name__, literal.tobytes() if isinstance(literal, np.generic) else literal)
        elif isinstance(literal, int):
            return self.literal(np.int32(literal))
        else:
            literal = np.array(literal, np.bool_ if literal and isinstance(literal[0], bool) else np.int32)
            key = (literal.dtype.str, literal.shape, literal.tobytes())
        value = self._literals.get(key)
        if value is None:
            value = self._literals[key] = self._builder.const(val=literal, name=self._fresh("constant"))
        return value

    # Operations.

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}_{kind}"

    def emit(self, op_type: str, *, name: str | None = None, **inputs: Any) -> Value:
        """Add one operation. Inputs are values, tuples of values, or numbers and lists that become constants.

        Returns:
            Its output; a tuple of them if there are several.
        """
        made = {}
        for key, given in inputs.items():
            if given is None:
                continue
            if hasattr(given, "sym_type") or (isinstance(given, tuple) and hasattr(given[0], "sym_type")):
                made[key] = given
            else:
                made[key] = self.literal(given)
        kind = self._node.op if self._node is not None else "output"
        add: Callable[..., Value] = getattr(self._builder, op_type)
        return add(**made, name=self._fresh(kind) if name is None else name)

    def cast(self, value: Value, type: str) -> Value:
        """`value` in another type; numbers that it does not have are the caller's concern."""
        return value if self.type_of(value) == type else self.emit("cast", x=value, dtype=type)

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """`value` with another shape; that of a scalar is [1]."""
        target = held_shape(tuple(shape))
        return value if tuple(value.shape) == target else self.emit("reshape", x=value, shape=list(target))

    def transpose(self, value: Value, permutation: Sequence[int]) -> Value:
        """`value` with its axes permuted."""
        order = list(permutation)
        if order == sorted(order):
            return value
        shape = [value.shape[axis] for axis in order]
        wide = [axis for axis in order if value.shape[axis] > 1]
        if wide == sorted(wide):  # nothing moves but dimensions of size 1
            return self.reshape(value, shape)
        return self.emit("transpose", x=value, perm=order)

    def expand(self, value: Value, shape: Sequence[int]) -> Value:
        """`value` broadcast to `shape`."""
        target = held_shape(tuple(shape))
        value = self.reshape(value, (1,) * (len(target) - len(value.shape)) + tuple(value.shape))
        repetitions = [j // i for i, j in zip(value.shape, target, strict=True)]
        return value if set(repetitions) <= {1} else self.emit("tile", x=value, reps=repetitions)

    def full(self, number: float, shape: Sequence[int], type: str) -> Value:
        """`number` everywhere."""
        return self.emit("fill", shape=list(held_shape(tuple(shape))), value=self.number(number, type))

    def select(self, condition: Value, a: Value, b: Value, shape: Sequence[int]) -> Value:
        """`a` where the condition is true, else `b`; all broadcast to `shape`."""
        target = held_shape(tuple(shape))
        if bidirectional(tuple(a.shape), tuple(b.shape)) != target:
            a = self.expand(a, target)
        return self.emit("select", cond=condition, a=a, b=b)

    def slice(
        self, value: Value, starts: Sequence[int], stops: Sequence[int], strides: Sequence[int] | None = None
    ) -> Value:
        """The ranges of `value`, along each axis."""
        steps = [1] * len(starts) if strides is None else list(strides)
        if not any(starts) and list(stops) == list(value.shape) and set(steps) <= {1}:
            return value
        return self.emit("slice_by_index", x=value, begin=list(starts), end=list(stops), stride=steps)

    def part(self, value: Value, axis: int, start: int, stop: int, stride: int = 1) -> Value:
        """A range of one axis."""
        rank = len(value.shape)
        starts, stops, strides = [0] * rank, list(value.shape), [1] * rank
        starts[axis], stops[axis], strides[axis] = start, stop, stride
        return self.slice(value, starts, stops, strides)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """`values`, joined."""
        return values[0] if len(values) == 1 else self.emit("concat", values=tuple(values), axis=axis)

    def take(self, value: Value, places: Array, axis: int) -> Value:
        """The slices of `value` at constant places, which are at least 0."""
        return self.emit("gather", x=value, indices=self.constant(places.astype(np.int32)), axis=axis)

    def padded(self, value: Value, before: Sequence[int], after: Sequence[int], number: float) -> Value:
        """`value` with `number` before and after it along each axis."""
        type = self.type_of(value)
        if not any((*before, *after)):
            return value
        if type != "int32":
            pads = [pad for both in zip(before, after, strict=True) for pad in both]
            return self.emit("pad", x=value, pad=pads, mode="constant", constant_val=self.number(number, type))
        for axis, both in enumerate(zip(before, after, strict=True)):
            borders = [
                [self.full(number, (*value.shape[:axis], width, *value.shape[axis + 1 :]), type)] if width else []
                for width in both
            ]
            value = self.concat([*borders[0], value, *borders[1]], axis)
        return value

    def wrapped(self, value: Value, data_type: str) -> Value:
        """The lowest bits of int32 values, as values of an integer data type."""
        low, high = integer_range(data_type)  # type: ignore[arg-type]
        if high >= 2**31 - 1:
            return value
        size = self.number(high - low + 1, "int32")
        if low == 0:
            return self.emit("mod", x=value, y=size)
        # From the remainder: adding to the value first might overflow.
        rest = self.emit("mod", x=value, y=size)
        above = self.emit("greater", x=rest, y=self.number(high, "int32"))
        return self.select(above, self.emit("sub", x=rest, y=size), rest, rest.shape)

    def repeated(self, value: Value, shape: Shape) -> Value:
        """`value` with each element repeated along each axis until it has `shape`, whose dimensions are multiples."""
        for axis, size in enumerate(shape):
            times = size // value.shape[axis]
            if times == 1:
                continue
            before, after = prod(value.shape[:axis]), prod(value.shape[axis + 1 :])
            grown = (*value.shape[:axis], size, *value.shape[axis + 1 :])
            column = self.reshape(value, (before, value.shape[axis], 1, after))
            value = self.reshape(self.emit("tile", x=column, reps=[1, 1, times, 1]), grown)
        return value

    # The end.

    def outputs(self) -> list[Value]:
        """The values of the graph's outputs, each of an operation of its own that bears the output's name."""
        self._node = None
        return [
            self.emit("identity", x=self[operand], name=self.output_names[name])
            for name, operand in self.graph.outputs.items()
        ]

    def finish(self) -> Any:
        """The whole program; nothing can be added then."""
        with import_lock:
            from coremltools.converters.mil.mil import Program as WholeProgram  # noqa: PLC0415
        self._function.set_outputs(self.outputs())
        whole = WholeProgram()
        whole.add_function("main", self._function)
        return whole
