"""Small random ONNX models: what their nodes take, and what onnxruntime computes while they grow.

Each node is computed by onnxruntime when it is added, so the next nodes know the shapes and types of what is there. A
node that onnxruntime refuses is left out, so the table of operators may be careless about what is legal.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

__all__ = ["Array", "Drawn", "Models", "Value", "by_onnxruntime"]

Array: TypeAlias = np.ndarray[Any, Any]

LARGEST: Final = 1e4
"""Floats beyond it are no inputs of further nodes, where small differences would become large ones."""
ELEMENTS: Final = 4096
OF_NO_ELEMENTS: Final = frozenset(
    [
        "Abs",
        "Add",
        "Cast",
        "Compress",
        "Concat",
        "Cos",
        "Div",
        "Equal",
        "Exp",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "IsNaN",
        "MatMul",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Pad",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceL1",
        "Relu",
        "Reshape",
        "Shape",
        "Sigmoid",
        "Size",
        "Slice",
        "Softmax",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)
"""Operators that may get arrays of two and more dimensions without elements."""
_SIZES: Final = (1, 1, 2, 3, 4, 5)


def by_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, Array], *, optimized: bool = True) -> list[Array]:
    """What onnxruntime computes, on one thread."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, dict(feeds))]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the model, and what it holds. `exact`: no kernel may round it in another way."""

    name: str
    array: Array
    exact: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def rank(self) -> int:
        return len(self.shape)


@dataclass(frozen=True)
class Drawn:
    """A model and its inputs."""

    model: onnx.ModelProto
    feeds: Mapping[str, Array]


@dataclass
class Models:
    """A model that grows. `rng` makes all choices; hypothesis can be behind it."""

    rng: random.Random
    version: int
    constants: float
    """How many of the inputs are constants, from 0 to 1."""
    numbers: np.random.Generator = field(init=False)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, Array] = field(default_factory=dict)
    feeds: dict[str, Array] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    last: list[Value] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.numbers = np.random.default_rng(self.rng.randrange(1 << 16))

    # What the table of operators draws.

    def one_of(self, *choices: Any) -> Any:
        return choices[self.rng.randrange(len(choices))]

    def maybe(self, chance: float = 0.5) -> bool:
        return self.rng.randrange(100) < chance * 100

    def between(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def shape(self, low: int = 0, high: int = 4) -> tuple[int, ...]:
        rank = self.between(low, high)
        return tuple(0 if self.maybe(0.02) else self.one_of(*_SIZES) for _ in range(rank))

    def axis(self, rank: int) -> int:
        return self.between(-rank, rank - 1) if rank else 0

    def axes(self, rank: int) -> list[int]:
        """Some of the axes, each once, from the front or from the back."""
        chosen = self.rng.sample(range(rank), self.between(1, rank)) if rank else []
        return [axis - rank if self.maybe(0.3) else axis for axis in chosen]

    def array(self, dtype: Any, shape: Sequence[int], low: float = -3, high: float = 3) -> Array:
        """Numbers in a range, of integers now and then any."""
        dtype, shape = np.dtype(dtype), tuple(shape)
        if dtype.kind == "b":
            return self.numbers.integers(0, 2, shape).astype(bool)
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            if self.maybe(0.1) and (low, high) == (-3, 3):
                return self.numbers.integers(info.min, info.max, shape, dtype, endpoint=True)
            return self.numbers.integers(max(int(low), info.min), int(high), shape, dtype, endpoint=True)
        if self.maybe(0.6):
            return (self.numbers.integers(int(low * 4), int(high * 4), shape, endpoint=True) / 4).astype(dtype)
        return np.asarray(self.numbers.uniform(low, high, shape)).astype(dtype)

    def constant(self, array: Array, name: str = "c") -> Value:
        """An initializer, or the result of a `Constant`."""
        value = Value(f"{name}{len(self.initializers) + len(self.nodes)}_{len(self.feeds)}", array)
        if self.maybe(0.2):
            tensor = numpy_helper.from_array(np.asarray(array, order="C"), value.name)
            self.nodes.append(helper.make_node("Constant", [], [value.name], value=tensor))
        else:
            self.initializers[value.name] = array
        return value

    def integers(self, *numbers: int, dtype: Any = np.int64) -> Value:
        return self.constant(np.array(numbers, dtype), "i")

    def fresh(self, array: Array) -> Value:
        """A constant or an input of the model."""
        if self.maybe(self.constants) or not array.size:  # no input of a graph is without elements
            value = self.constant(array)
        else:
            value = Value(f"x{len(self.feeds)}_{len(self.nodes)}_{len(self.initializers)}", array)
            self.feeds[value.name] = array
        self.values.append(value)
        return value

    def take(
        self,
        dtype: Any,
        shape: Sequence[int] | None = None,
        *,
        rank: tuple[int, int] = (0, 4),
        exact: bool = False,
        low: float = -3,
        high: float = 3,
    ) -> Value:
        """A value of this type and shape or rank: one that is there, or a fresh one.

        `exact`: of those that are there, only those that no kernel has rounded and that are in the range.
        """
        there = [
            value
            for value in self.values
            if value.array.dtype == dtype
            and (value.shape == tuple(shape) if shape is not None else rank[0] <= value.rank <= rank[1])
            and (not exact or (value.exact and _within(value.array, low, high)))
        ]
        if there and self.maybe(0.7):
            return there[-1] if self.maybe() else self.one_of(*there)
        return self.fresh(self.array(dtype, self.shape(*rank) if shape is None else shape, low, high))

    def broadcast(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that broadcasts with this one."""
        return tuple(
            1 if self.maybe(0.25) else n for n in tuple(shape)[self.between(0, len(shape)) if self.maybe(0.4) else 0 :]
        )

    # What it adds.

    def node(
        self,
        op_type: str,
        inputs: Sequence[Value | None],
        *,
        outputs: Any = 1,
        exact: Any = False,
        domain: Any = "",
        **attributes: Any,
    ) -> bool:
        """Add a node, unless onnxruntime refuses it. `exact`: it rounds nothing.

        Options and attributes come in one dictionary, hence their types.
        """
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        if any(value in ([], ()) for value in attributes.values() if isinstance(value, list | tuple)):
            return False  # onnx cannot tell its type
        names = ["" if value is None else value.name for value in inputs]
        results = [f"y{len(self.nodes)}_{i}" for i in range(outputs)]
        node = helper.make_node(op_type, names, results, domain=domain, **attributes)
        given = {value.name: value.array for value in inputs if value is not None}
        if op_type not in OF_NO_ELEMENTS and any(array.size == 0 and array.ndim > 1 for array in given.values()):
            return False
        alone = _model([node], {}, given, results, self.version)
        try:
            arrays = by_onnxruntime(alone, given, optimized=False)
        except Exception:  # onnxruntime's exceptions have no common class
            return False
        if sum(array.size for array in arrays) > ELEMENTS:
            return False
        self.nodes.append(node)
        exact = exact and all(value is None or value.exact for value in inputs)
        self.last = [Value(name, array, exact) for name, array in zip(results, arrays, strict=True)]
        self.values += [
            value for value in self.last if value.array.dtype.kind != "f" or _within(value.array, -LARGEST, LARGEST)
        ]
        return True

    def drawn(self) -> Drawn | None:
        """The model of the last node, and of some others."""
        if not self.last:
            return None
        made = [name for node in self.nodes for name in node.output if node.op_type != "Constant"]
        outputs = [value.name for value in self.last]
        outputs += [name for name in made if name not in outputs and self.maybe(0.2)]
        nodes, needed = [], set(outputs)
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(node.input)
        constants = {name: array for name, array in self.initializers.items() if name in needed}
        feeds = {name: array for name, array in self.feeds.items() if name in needed}
        return Drawn(_model(nodes[::-1], constants, feeds, outputs, self.version), feeds)


def _within(array: Array, low: float, high: float) -> bool:
    return array.dtype.kind == "b" or bool(np.all((array >= low) & (array <= high)))


def _model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array],
    feeds: Mapping[str, Array],
    outputs: Sequence[str],
    version: int,
) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    initializers = [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in constants.items()]
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(list(nodes), "random", inputs, results, initializers)
    domains = {"ai.onnx.ml": 3, "com.microsoft": 1}
    used = {node.domain for node in nodes}
    opsets = [
        helper.make_opsetid(name, number) for name, number in {"": version, **domains}.items() if name in {"", *used}
    ]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if version < 21 else 10)
