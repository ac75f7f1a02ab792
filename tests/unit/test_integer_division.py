"""Quotients and remainders of integers of all types, compared with Python's integers, also of divisors that trap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from tests.onnx_nodes import Array, Fixed, by_onnxruntime, computed, node_model
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.formats.onnx import import_onnx

TYPES = ["int8", "uint8", "int32", "uint32", "int64", "uint64"]
FEW, MANY = 50, 6000


def operands(data_type: Any, count: int, *, positive: bool) -> tuple[Array, Array]:
    """Dividends with the extremes among them; small and large divisors, with 0 and -1 among them unless `positive`."""
    limits, generator = np.iinfo(data_type), np.random.default_rng(0)
    a = generator.integers(limits.min, limits.max, count, data_type, endpoint=True)
    b = generator.integers(1 if positive else limits.min, limits.max, count, data_type, endpoint=True)
    b[: count // 2] = generator.integers(1, 20, count // 2)
    a[:8:2], a[1:8:2] = limits.min, limits.max
    if not positive:
        b[:8], b[8::7] = [0, 0, limits.max, limits.max, 1, 1, 2, 2], 0
        if limits.min < 0:
            b[2:4], b[9::7] = -1, -1
    return a, b


def truncated(x: int, y: int) -> int:
    return 0 if y == 0 else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def wrapped(numbers: list[int], data_type: str) -> Array:
    bits = np.iinfo(data_type).bits
    return np.array([number & (2**bits - 1) for number in numbers], f"uint{bits}").view(data_type)


@pytest.mark.parametrize("composites", [False, True])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("count", [FEW, MANY])
@pytest.mark.parametrize("data_type", TYPES)
def test_quotients_and_remainders_are_exact(
    backend: Backend, data_type: str, count: int, positive: bool, composites: bool
) -> None:
    a, b = operands(data_type, count, positive=positive)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    quotients = [truncated(x, y) for x, y in pairs]
    rests = [x - q * y for (x, y), q in zip(pairs, quotients, strict=True)]
    floored = [x % y if y else x for x, y in pairs]
    kept = backend.composites if composites else ()
    for op_type, options, wanted in (("Div", {}, quotients), ("Mod", {"fmod": 1}, rests), ("Mod", {}, floored)):
        model, feeds = node_model(op_type, [a, b], **options)
        np.testing.assert_array_equal(computed(model, feeds, backend, kept)[0], wrapped(wanted, data_type))


@pytest.mark.parametrize("divisor", [[7, 1, 100], [7, -3, 5], [-7, -100, -2], [2, 2, 2]])
@pytest.mark.parametrize("fmod", [0, 1])
@pytest.mark.parametrize("data_type", TYPES)
def test_remainders_of_known_divisors_are_those_of_onnxruntime(
    backend: Backend, data_type: str, fmod: int, divisor: list[int]
) -> None:
    known = np.array(divisor).astype(data_type)
    known = np.where(np.isin(known, (0, -1) if known.dtype.kind == "i" else (0,)), 3, known).astype(data_type)
    a = operands(data_type, 3 * FEW, positive=True)[0].reshape(-1, 3)
    model, feeds = node_model("Mod", [a, Fixed(known)], fmod=fmod)
    for kept in ((), backend.composites):
        np.testing.assert_array_equal(computed(model, feeds, backend, kept), by_onnxruntime(model, feeds))


@pytest.mark.parametrize("shapes", [([MANY], [1]), ([MANY], []), ([80, 100], [80, 1]), ([1, 100], [80, 1])])
@pytest.mark.parametrize("data_type", ["int32", "int64"])
def test_divisors_broadcast(data_type: Any, shapes: tuple[list[int], list[int]]) -> None:
    a, b = (np.random.default_rng(i).integers(1, 99, shape, data_type) for i, shape in enumerate(shapes))
    builder = direct_builder()
    given = [builder.input(name, array.shape, data_type) for name, array in (("a", a), ("b", b))]
    graph = builder.build({"q": builder.div(*given), "again": builder.div(given[0], builder.neg(given[1]))})
    for backend in (OnnxRuntimeBackend(), ArraysBackend()):
        found = run_graph(graph, {"a": a, "b": b}, backend)
        np.testing.assert_array_equal(found["q"], a // b)
        np.testing.assert_array_equal(found["again"], -(a // b))


def test_only_onnxruntime_gets_a_choice_between_two_divisions() -> None:
    builder = direct_builder()
    x, y = (builder.input(name, [MANY], "int32") for name in "xy")
    graph = builder.build({"q": builder.div(x, y)})
    types = [[node.op_type for node in lower(graph, kernels).finish().graph.node] for kernels in (cpu_kernels(), None)]
    assert types == [["ReduceMin", "Greater", "If"], ["Equal", "Equal", "Or", "Where", "Div", "Where", "Mul"]]


@pytest.mark.parametrize(
    ("data_type", "is_one"), [("int64", True), ("uint32", True), ("int32", False), ("int8", False)]
)
def test_remainders_are_one_node_where_its_kernel_is_as_fast_as_a_division(data_type: Any, is_one: bool) -> None:
    model, _ = node_model("Mod", [np.ones(4, data_type), Fixed(np.array(7, data_type))])
    builder = direct_builder(composites=OnnxRuntimeBackend().composites)
    nodes = lower(builder.build(import_onnx(model, builder)), cpu_kernels()).finish().graph.node
    assert ([node.op_type for node in nodes] == ["Mod"]) is is_one
