"""An audit does a sample of runs again on another backend, and names the first operator that is off."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import webnn
from webnn.backends.arrays.backend import ArraysBackend, ArraysExecutable
from webnn.backends.base import Cancellation, CompileOptions, Executable
from webnn.errors import InvalidStateError, NotSupportedError, OperationError, ValidationError
from webnn.graph.ir import Graph
from webnn.runtime.context import MLContext
from webnn.runtime.suspects import difference

_numbers = itertools.count()

Builder = webnn.MLGraphBuilder[webnn.MLGraph]


class FaultyBackend(ArraysBackend):
    """Computes one operator, or those of it with a certain label, a little wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.name = f"faulty-{next(_numbers)}"  # type: ignore[misc]  # compiled graphs are shared by backends of a name
        self.op = ""
        self.label: str | None = None
        self.factor = 1.01

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        executable = super().compile(graph, options, cancellation)
        assert isinstance(executable, ArraysExecutable)
        for step in executable.steps:
            if step.node.op == self.op and self.label in (None, step.node.label):
                step.kernel = self.wrong(step.kernel)
        return executable

    def wrong(self, kernel: Any) -> Callable[..., Any]:
        def compute(*args: Any) -> Any:
            result = kernel(*args)
            if isinstance(result, tuple):
                return tuple(self.spoilt(each) for each in result)
            return self.spoilt(result)

        return compute

    def spoilt(self, array: Any) -> Any:
        return (array * self.factor).astype(array.dtype)


@pytest.fixture
def backend() -> FaultyBackend:
    return FaultyBackend()


@pytest.fixture
def context(backend: FaultyBackend) -> Iterator[webnn.MLContext]:
    with MLContext(backend, CompileOptions(), lanes=1, memory_budget=None) as context:
        yield context


def random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def perceptron(b: Builder) -> webnn.MLGraph:
    x = b.input("x", [2, 8], "float32")
    for i in range(12):
        x = b.tanh(b.gemm(x, b.constant(random(8, 8) / 4), label=f"layer {i}"))
    return b.build({"y": x})


def image(b: Builder) -> webnn.MLGraph:
    x = b.input("x", [1, 3, 8, 8], "float32")
    x = b.relu(b.conv2d(x, b.constant(random(4, 3, 3, 3)), padding=[1, 1, 1, 1], label="stem"))
    pooled = b.average_pool2d(x, window_dimensions=[2, 2], strides=[2, 2], label="pool")
    return b.build({"y": b.softmax(b.reshape(pooled, [4, 16]), 1, label="head"), "features": x})


def branches(b: Builder) -> webnn.MLGraph:
    x = b.input("x", [4, 6], "float32")
    left, right = b.split(x, 2, axis=1, label="halves")
    left = b.exp(b.mul(left, b.constant("float32", 0.1)), label="left")
    return b.build({"y": b.concat([left, b.sin(right, label="right")], 1), "mean": b.reduce_mean(left, label="mean")})


def recurrent(b: Builder) -> webnn.MLGraph:
    x = b.input("x", [3, 2, 4], "float32")
    weight, again = b.constant(random(1, 20, 4)), b.constant(random(1, 20, 5))
    (h, c) = b.lstm(x, weight, again, 3, 5, label="memory")
    return b.build({"y": b.layer_normalization(h, label="norm"), "c": c})


def quantized(b: Builder) -> webnn.MLGraph:
    scale, zero = b.constant(np.array([[0.05]], np.float32)), b.constant(np.array([[3]], np.int8))
    x = b.quantize_linear(b.input("x", [4, 4], "float32"), scale, zero, label="quantize")
    x = b.dequantize_linear(x, scale, zero, label="dequantize")
    return b.build({"y": b.cast(b.mul(b.matmul(x, x, label="product"), b.constant("float32", 100)), "int32")})


FAULTS = [
    (perceptron, ("gemm", "layer 7"), (2, 8)),
    (image, ("average_pool2d", "pool"), (1, 3, 8, 8)),
    (branches, ("sin", "right"), (4, 6)),
    (recurrent, ("lstm", "memory"), (3, 2, 4)),
    (quantized, ("matmul", "product"), (4, 4)),
]


@pytest.mark.parametrize(("build", "fault", "shape"), FAULTS)
def test_the_operator_that_is_wrong_is_named(
    backend: FaultyBackend,
    context: webnn.MLContext,
    build: Callable[[Builder], webnn.MLGraph],
    fault: tuple[str, str],
    shape: tuple[int, ...],
) -> None:
    op, label = backend.op, backend.label = fault
    graph = build(context.create_graph_builder())
    with context.audit(graph) as audit:
        context.compute(graph, {"x": random(*shape)})
    assert audit.finding is not None
    assert (audit.finding.operator, audit.finding.label) == (op, label)
    assert audit.finding.operator_error > audit.finding.tolerance
    assert f"[{label}] {op} is the first operator that is off" in str(audit.finding)


@pytest.mark.parametrize(("build", "shape"), [(build, shape) for build, _, shape in FAULTS])
def test_what_is_right_is_not_named(
    context: webnn.MLContext, build: Callable[[Builder], webnn.MLGraph], shape: tuple[int, ...]
) -> None:
    graph = build(context.create_graph_builder())
    with context.audit(graph, rate=1) as audit:
        for _ in range(3):
            context.compute(graph, {"x": random(*shape)})
    assert (audit.runs, audit.checked, audit.finding) == (3, 3, None)


def test_onnxruntime_is_confirmed_at_both_widths() -> None:
    with webnn.create_context() as context:
        graph = image(context.create_graph_builder())
        with context.audit(graph, rate=1) as audit:
            promises = [context.run(graph, random(1, 3, 8, 8)) for _ in range(4)]
            for promise in promises:
                promise.result()
        assert audit.finding is None
        assert audit.runs == 4
        assert audit.checked + audit.skipped == 4


def test_a_state_that_is_written_in_place_is_compared_with_its_old_value(
    backend: FaultyBackend, context: webnn.MLContext
) -> None:
    b = context.create_graph_builder()
    state, step = b.input("state", [4], "float32"), b.input("step", [4], "float32")
    graph = b.build({"next": b.add(state, step)})
    assert "state -> next" in str(graph.explain())
    tensors = [context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2)]
    context.write_tensor(tensors[1], np.ones(4, np.float32))
    with context.audit(graph, rate=1) as audit:
        for _ in range(3):
            context.dispatch(graph, {"state": tensors[0], "step": tensors[1]}, {"next": tensors[0]})
        context.read_tensor(tensors[0]).result()
    assert (audit.checked, audit.finding) == (3, None)


def test_a_share_of_the_runs_is_sampled_and_the_first_always(context: webnn.MLContext) -> None:
    graph = perceptron(context.create_graph_builder())
    with context.audit(graph, rate=1e-9) as audit:
        for _ in range(50):
            context.compute(graph, {"x": random(2, 8)})
    assert (audit.runs, audit.checked) == (50, 1)


def test_an_audit_begins_before_the_graph_is_compiled_and_ends_with_stop(
    backend: FaultyBackend, context: webnn.MLContext
) -> None:
    backend.op = "tanh"
    graph = perceptron(context.create_graph_builder())
    audit = context.audit(graph)
    audit.stop()
    audit.stop()
    context.compute(graph, {"x": random(2, 8)})
    audit.compared().result()
    assert (audit.runs, audit.finding) == (0, None)
    again = context.audit(graph)
    context.compute(graph, {"x": random(2, 8)})
    again.compared().result()
    assert again.finding is not None
    context.compute(graph, {"x": random(2, 8)})  # the audit has ended with its finding
    assert again.runs == 1


def test_a_tolerance_of_ones_own_decides(backend: FaultyBackend, context: webnn.MLContext) -> None:
    backend.op, backend.factor = "tanh", 1.00001
    graph = perceptron(context.create_graph_builder())
    for tolerance, found in ((None, False), (1e-6, True)):
        with context.audit(graph, tolerance=tolerance) as audit:
            context.compute(graph, {"x": random(2, 8)})
        assert (audit.finding is not None) == found


def test_a_fault_that_the_parts_do_not_have_is_said_so(backend: FaultyBackend, context: webnn.MLContext) -> None:
    backend.op = "tanh"
    graph = perceptron(context.create_graph_builder())
    context.compute(graph, {"x": random(2, 8)})
    backend.op = ""  # compiled anew, it is right
    with context.audit(graph) as audit:
        context.compute(graph, {"x": random(2, 8)})
    assert audit.finding is not None
    assert audit.finding.operator == ""
    assert "its parts are right when they are compiled by themselves" in str(audit.finding)


def test_a_reference_that_cannot_compile_is_reported(
    context: webnn.MLContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    graph = perceptron(context.create_graph_builder())
    context.compute(graph, {"x": random(2, 8)})

    def refuse(*_: Any) -> Executable:
        raise NotSupportedError("no such kernel")

    monkeypatch.setattr(ArraysBackend, "compile", refuse)
    audit = context.audit(graph)
    context.compute(graph, {"x": random(2, 8)})
    with pytest.raises(OperationError, match=r"cannot be compared with arrays: .*no such kernel"):
        audit.compared().result()
    assert "no such kernel" in caplog.text


def test_the_end_of_the_context_ends_the_audit(context: webnn.MLContext) -> None:
    graph = perceptron(context.create_graph_builder())
    audit = context.audit(graph, rate=1)
    context.compute(graph, {"x": random(2, 8)})
    context.destroy()
    audit.compared().result()
    assert audit.finding is None


@pytest.mark.parametrize("rate", [0, -1, 1.5, float("nan"), "1", True])
def test_a_rate_that_is_no_share_is_refused(context: webnn.MLContext, rate: Any) -> None:
    graph = perceptron(context.create_graph_builder())
    with pytest.raises(ValidationError, match="audit: rate"):
        context.audit(graph, rate=rate)


def test_a_backend_is_not_audited_by_itself() -> None:
    with webnn.create_context(backend="arrays") as context:
        graph = perceptron(context.create_graph_builder())
        with pytest.raises(
            ValidationError, match=r"audit: backend must be another one than the context's own, .*'arrays'"
        ):
            context.audit(graph)
        with context.audit(graph, backend="onnxruntime") as audit:  # the refusal has changed nothing
            context.compute(graph, {name: np.zeros(each.shape, each.dtype) for name, each in graph.inputs.items()})
        assert (audit.checked, audit.finding) == (1, None)


def test_a_second_audit_and_bad_arguments_are_refused(context: webnn.MLContext) -> None:
    graph = perceptron(context.create_graph_builder())
    with pytest.raises(ValidationError, match="tolerance must be finite"):
        context.audit(graph, tolerance=-1)
    with pytest.raises(NotSupportedError, match="no backend is called 'abacus'"):
        context.audit(graph, backend="abacus")
    context.audit(graph)
    with pytest.raises(InvalidStateError, match="stop it first"):
        context.audit(graph)


def test_differences_of_floats_and_integers() -> None:
    nan, inf = float("nan"), float("inf")
    assert difference(np.array([1.0, nan, inf]), np.array([1.0, nan, inf])) == 0
    assert difference(np.array([1.0, nan]), np.array([1.0, 2.0])) == inf
    assert difference(np.array([inf]), np.array([-inf])) == inf
    assert difference(np.array([1e30], np.float32), np.array([inf], np.float32)) == inf
    assert difference(np.array([0.25]), np.array([0.0])) == 0.25
    assert difference(np.array([-128, 127], np.int8), np.array([-127, 127], np.int8)) == 0
    assert difference(np.array([-128, 127], np.int8), np.array([127, 127], np.int8)) == 0.5
    assert difference(np.array([2**63 - 1]), np.array([-(2**63)])) == 1
    assert difference(np.empty(0), np.empty(0)) == 0


def test_a_long_run_of_an_audited_graph_ends_early_and_is_not_compared() -> None:
    with webnn.ML().create_context(backend="onnxruntime") as context:
        builder = context.create_graph_builder()
        y = x = builder.input("x", [400, 400], "float32")
        for _ in range(300):
            y = builder.tanh(builder.matmul(y, x))
        graph = builder.build({"y": y})
        audit = context.audit(graph, rate=1)
        promise = context.run(graph, {"x": np.ones((400, 400), np.float32)})
        while context.statistics().running == 0:
            time.sleep(0.001)
        promise.cancel()
        while context.statistics().running:
            time.sleep(0.001)
        audit.compared().result()
        assert context.statistics().drops == {"cancelled": 1}
        assert (audit.runs, audit.checked) == (1, 0)
