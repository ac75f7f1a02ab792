"""Random programs of small graphs: a replay gives what the dispatches give one by one, also when they are merged.

The bound: a result is off by at most 4 ULPs of its tensor's largest element for each dispatch of the program. Nearly
all results are the same to the bit, since the operators are computed by the same kernels. The exception on onnxruntime
is a `sigmoid` that nothing but a product reads and that is overwritten in the program: there it stays one node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import webnn
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand

ROWS, WIDTH = 4, 16
ULPS: Final = 4
"""Units in the last place of a tensor's largest element, for each dispatch of the program."""

Array = np.ndarray[Any, Any]
Build = Callable[[MLGraphBuilder[Any], MLOperand, MLOperand], Sequence[MLOperand]]

_random = np.random.default_rng(0)
WEIGHT, OTHER, FILTER, BIAS = (
    (_random.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)
    for shape in ((WIDTH, WIDTH), (WIDTH, WIDTH), (4, 4, 3, 3), (WIDTH,))
)


def _convolution(b: MLGraphBuilder[Any], x: MLOperand) -> MLOperand:
    image = b.reshape(x, [1, 4, 4, 4])
    return b.reshape(b.conv2d(image, b.constant(FILTER), padding=[1, 1, 1, 1]), [ROWS, WIDTH])


KINDS: Final[dict[str, Build]] = {
    "dense": lambda b, x, _: [b.relu(b.matmul(x, b.constant(WEIGHT)))],
    "matmul": lambda b, x, _: [b.matmul(x, b.constant(OTHER))],
    "bias": lambda b, x, _: [b.add(x, b.constant(BIAS))],
    "gelu": lambda b, x, _: [b.gelu(x)],
    "error function": lambda b, x, _: [b.erf(b.mul(x, b.constant("float32", 0.5**0.5)))],
    "sigmoid": lambda b, x, _: [b.sigmoid(x)],
    "tanh": lambda b, x, _: [b.tanh(x)],
    "relu": lambda b, x, _: [b.relu(x)],
    "softmax": lambda b, x, _: [b.softmax(x, 1)],
    "half": lambda b, x, _: [b.mul(x, b.constant("float32", 0.5))],
    "one more": lambda b, x, _: [b.add(x, b.constant("float32", 1))],
    "mean": lambda b, x, _: [b.expand(b.reduce_mean(x, axes=[1], keep_dimensions=True), [ROWS, WIDTH])],
    "reshape": lambda b, x, _: [b.transpose(b.reshape(x, [WIDTH, ROWS]))],
    "convolution": lambda b, x, _: [_convolution(b, x)],
    "split": lambda b, x, _: [b.relu(x), b.neg(x)],
    "add": lambda b, x, y: [b.add(x, y)],
    "product": lambda b, x, y: [b.mul(x, b.tanh(y))],
    "maximum": lambda b, x, y: [b.max(x, y)],
    "attention": lambda b, x, y: [b.matmul(b.softmax(b.matmul(x, b.transpose(y)), 1), y)],
}


@dataclass(frozen=True)
class Program:
    """A recorded program, and the tensors that it works on."""

    context: webnn.MLContext
    tensors: Sequence[webnn.MLTensor]
    recorded: webnn.Program
    kinds: Sequence[str]

    def results(self, data: Sequence[Array]) -> list[Array]:
        """What the tensors hold after a replay that finds `data` in them."""
        for tensor, array in zip(self.tensors, data, strict=True):
            self.context.write_tensor(tensor, array)
        self.context.replay(self.recorded)
        return [self.context.read_tensor(tensor).result().copy() for tensor in self.tensors]

    def merge(self) -> None:
        """Merge all dispatches, as the build lane does once they have been measured."""
        links = len(self.recorded._links)
        if links > 1:
            self.recorded._merge([0.0] * links)
            assert self.recorded.tasks < links or self.recorded.tasks == len(self.recorded._parts)


class Programs:
    """Random programs on one context."""

    def __init__(self, context: webnn.MLContext) -> None:
        self.context = context
        self.graphs = {kind: self._graph(build) for kind, build in KINDS.items()}

    def _graph(self, build: Build) -> webnn.MLGraph:
        builder = self.context.create_graph_builder()
        outputs = build(builder, *(builder.input(name, [ROWS, WIDTH], "float32") for name in "xy"))
        return builder.build({f"out{i}": output for i, output in enumerate(outputs)})

    def draw(self, random: np.random.Generator) -> Program:
        tensors = [
            self.context.create_tensor([ROWS, WIDTH], "float32", readable=True, writable=True)
            for _ in range(random.integers(3, 6))
        ]
        kinds = [str(kind) for kind in random.choice(list(KINDS), random.integers(2, 13))]
        with self.context.record() as recorded:
            for kind in kinds:
                graph = self.graphs[kind]
                chosen = iter([tensors[i] for i in random.permutation(len(tensors))])
                inputs = {name: next(chosen) for name in graph.inputs}
                self.context.dispatch(graph, inputs, {name: next(chosen) for name in graph.outputs})
        return Program(self.context, tensors, recorded, kinds)


def apart(results: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest difference, in ULPs of the largest element of its tensor."""
    worst = 0.0
    for result, array in zip(results, expected, strict=True):
        difference = np.abs(result.astype(np.float64) - array).max()
        worst = max(worst, float(difference / np.spacing(np.abs(array).max())))
    return worst


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    with webnn.ML().create_context(backend="onnxruntime") as context:
        yield Programs(context)


def data_for(program: Program, random: np.random.Generator) -> list[Array]:
    return [random.standard_normal((ROWS, WIDTH), np.float32) for _ in program.tensors]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=4 * settings().max_examples)
def test_a_merged_program_gives_what_its_dispatches_give(programs: Programs, seed: int) -> None:
    random = np.random.default_rng(seed)
    program = programs.draw(random)
    data = data_for(program, random)
    expected = program.results(data)
    program.merge()
    for _ in range(2):  # the second time, values may be made anew
        assert apart(program.results(data), expected) <= ULPS * len(program.kinds), program.kinds


def test_nearly_all_results_are_the_same_to_the_bit(programs: Programs) -> None:
    random = np.random.default_rng(1)
    same = 0
    for _ in range(100):
        program = programs.draw(random)
        data = data_for(program, random)
        expected = program.results(data)
        program.merge()
        same += apart(program.results(data), expected) == 0
    assert same >= 95


def test_on_the_reference_backend_all_results_are_the_same_to_the_bit() -> None:
    random = np.random.default_rng(2)
    with webnn.ML().create_context(backend="arrays") as context:
        programs = Programs(context)
        for _ in range(30):
            program = programs.draw(random)
            data = data_for(program, random)
            expected = program.results(data)
            program.merge()
            assert apart(program.results(data), expected) == 0, program.kinds


def test_a_difference_would_be_found() -> None:
    array = np.array([[1.0, 2.0, 4.0]], np.float32)
    assert apart([array], [array]) == 0
    assert apart([np.nextafter(array, np.float32(8))], [array]) == 1
    assert apart([array + 1], [array]) > 1e5
