"""What a compilation may compute beforehand, and what a lowering may add to a graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.onnx import model as onnx_model
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime import backend as backend_module
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.folding import fold_limit
from webnn.errors import NotSupportedError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import MADE_BYTES

Builder = MLGraphBuilder[Any]
MEGABYTE = 1024 * 1024


def of_large_constants(*megabytes: int, kind: str = "expand") -> Graph:
    """The sums of products with constants that take a few bytes in the graph and `megabytes` each when computed."""
    builder = direct_builder()
    x = builder.input("x", [1], "float32")
    sums = []
    for size in megabytes:
        shape = [size, 1024, 256]
        number = builder.constant(np.full([1] * 3, 0.5, np.float32))
        large = builder.expand(number, shape) if kind == "expand" else builder.tile(number, shape)
        sums.append(builder.reduce_mean(builder.mul(builder.neg(large), x)))
    return builder.build({"y": builder.concat([builder.reshape(mean, [1]) for mean in sums], 0)})


@pytest.mark.parametrize(
    ("megabytes", "allowed", "limit"),
    [
        ((1, 1, 1), 6, None),
        ((1, 1, 1), 5, MEGABYTE - 1),
        ((1, 4, 2), 13, 4 * MEGABYTE - 1),
        ((1, 4, 2), 6, 4 * MEGABYTE - 1),
        ((1, 4, 2), 5, 2 * MEGABYTE - 1),
        ((1, 4, 2), 1, MEGABYTE - 1),
    ],
)
def test_the_largest_results_are_not_folded_where_all_together_are_too_much(
    megabytes: tuple[int, ...], allowed: int, limit: int | None
) -> None:
    """Each of the constants is there twice: expanded, and with the other sign."""
    assert fold_limit(lower(of_large_constants(*megabytes)).finish(), allowed * MEGABYTE) == limit


def test_a_limit_of_nothing_is_none_that_onnxruntime_takes_for_no_limit() -> None:
    assert fold_limit(lower(of_large_constants(1)).finish(), 0) == MEGABYTE - 1
    builder = direct_builder()
    small = builder.neg(builder.constant(np.ones(1, np.uint8).astype(np.int8)))
    graph = builder.build({"y": builder.add(small, builder.input("x", [1], "int8"))})
    assert fold_limit(lower(graph).finish(), 0) == 1


def test_what_depends_on_an_input_is_not_counted() -> None:
    builder = direct_builder()
    large = builder.expand(builder.input("x", [1], "float32"), [MEGABYTE])
    assert fold_limit(lower(builder.build({"y": builder.reduce_sum(large)})).finish(), 1000) is None


@pytest.mark.parametrize("kind", ["expand", "tile"])
def test_a_compilation_keeps_to_its_limit(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored model has all that was folded in it."""

    def stored_bytes(folder: Path, allowed: int) -> int:
        monkeypatch.setattr(backend_module, "FOLDED_BYTES", allowed)
        folder.mkdir()
        OnnxRuntimeBackend().compile_to(folder, graph, CompileOptions(), Cancellation())
        return sum(path.stat().st_size for path in folder.iterdir())

    graph = of_large_constants(4, 8, 8, kind=kind)
    assert stored_bytes(tmp_path / "all", 64 * MEGABYTE) > 12 * MEGABYTE
    assert 3 * MEGABYTE < stored_bytes(tmp_path / "some", 16 * MEGABYTE) < 5 * MEGABYTE
    assert stored_bytes(tmp_path / "none", 2 * MEGABYTE) < MEGABYTE


LARGE_FROM_SMALL: dict[str, Callable[[Builder, MLOperand], MLOperand]] = {
    "pad": lambda b, c: b.pad(c, [0, 0, 0, 0], [0, 0, 1023, 1023]),
    "resample2d, linear": lambda b, c: b.resample2d(c, sizes=[1024, 1024], axes=[2, 3], mode="linear"),
    "resample2d, nearest": lambda b, c: b.resample2d(c, sizes=[1024, 1024], axes=[2, 3]),
    "conv_transpose2d": lambda b, c: b.conv_transpose2d(b.expand(c, [1, 1, 35, 35]), c, strides=[30, 30]),
    "average_pool2d": lambda b, c: b.average_pool2d(c, window_dimensions=[1024, 1024], padding=[1023] * 4),
    "max_pool2d": lambda b, c: b.max_pool2d(c, window_dimensions=[1024, 1024], padding=[1023] * 4),
    "matmul": lambda b, c: b.matmul(b.expand(c, [1, 1, 1024, 1]), b.expand(c, [1, 1, 1, 1024])),
    "gather": lambda b, c: b.gather(b.reshape(c, [1]), b.expand(b.constant("uint32", 0), [1024, 1024])),
    "gru": lambda b, c: b.gru(
        b.expand(b.reshape(c, [1, 1, 1]), [64, 256, 16]),
        b.expand(b.reshape(c, [1, 1, 1]), [1, 48, 16]),
        b.expand(b.reshape(c, [1, 1, 1]), [1, 48, 16]),
        steps=64,
        hidden_size=16,
        return_sequence=True,
    )[1],
    "dequantize_linear": lambda b, c: b.dequantize_linear(
        b.expand(b.constant("int8", 1), [1024, 1024]),
        b.constant(np.ones((2, 2), np.float32)),
        b.constant(np.zeros((2, 2), np.int8)),
    ),
}


@pytest.mark.parametrize("kind", LARGE_FROM_SMALL)
def test_a_compilation_keeps_to_its_limit_whatever_makes_a_constant_large(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each makes 4 MB of a few bytes."""
    builder = direct_builder()
    large = LARGE_FROM_SMALL[kind](builder, builder.constant(np.ones((1, 1, 1, 1), np.float32)))
    x = builder.input("x", [1], "float32")
    graph = builder.build({"y": builder.reduce_mean(builder.mul(large, x))})
    assert large.descriptor.byte_length >= MEGABYTE
    for allowed, folder in ((64 * MEGABYTE, tmp_path / "all"), (MEGABYTE, tmp_path / "some")):
        monkeypatch.setattr(backend_module, "FOLDED_BYTES", allowed)
        folder.mkdir()
        OnnxRuntimeBackend().compile_to(folder, graph, CompileOptions(), Cancellation())
    sizes = [sum(p.stat().st_size for p in (tmp_path / name).iterdir()) for name in ("all", "some")]
    assert sizes[0] > MEGABYTE >= sizes[1]


def test_results_are_the_same_with_what_was_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_module, "FOLDED_BYTES", 0)
    assert run_graph(of_large_constants(1, 2), {"x": [3]}, OnnxRuntimeBackend())["y"].tolist() == [-1.5, -1.5]


def test_large_graphs_may_fold_in_proportion_to_their_constants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_module, "FOLDED_BYTES", 0)
    builder = direct_builder()
    weight = builder.transpose(builder.constant(np.ones((1024, 1024), np.float32)))
    graph = builder.build({"y": builder.add(builder.input("x", [1], "float32"), builder.abs(weight))})
    OnnxRuntimeBackend().compile_to(tmp_path, graph, CompileOptions(), Cancellation())
    stored = onnx.load(tmp_path / backend_module.STORED, load_external_data=False)
    assert [node.op_type for node in stored.graph.node] == ["Add"]


def quantized(builder: Builder, x: MLOperand) -> MLOperand:
    """One scale for each block of 2 x 2, where ONNX has blocks along one axis alone."""
    scale, zero = np.ones((2, 512, 512), np.float32), np.zeros((2, 512, 512), np.int8)
    scale[0, 0, 0] = 3
    return builder.dequantize_linear(builder.cast(x, "int8"), builder.constant(scale), builder.constant(zero))


LARGE = [2, 1024, 1024]
MADE: list[tuple[str, list[int], Callable[[Builder, MLOperand], MLOperand]]] = [
    ("sum of integers", [MEGABYTE], lambda b, x: b.reduce_sum(b.cast(x, "int64"))),
    ("scale of 1", LARGE, lambda b, x: b.layer_normalization(x, axes=[0, 1, 2])),
    ("scale and bias", [1, MEGABYTE, 2], lambda b, x: b.batch_normalization(x, *moments(b, x))),
    ("blocks", LARGE, quantized),
    (
        "counts of values without padding",
        [1, 1, 600, 600],
        lambda b, x: b.average_pool2d(x, window_dimensions=[2, 3], padding=[2, 1, 3, 3]),
    ),
]


def moments(builder: Builder, x: MLOperand) -> list[MLOperand]:
    return [builder.expand(builder.constant("float32", number), [x.shape[1]]) for number in (2, 0.5)]


@pytest.mark.parametrize(("shape", "build"), [row[1:] for row in MADE], ids=[row[0] for row in MADE])
def test_constants_that_a_lowering_adds_are_small(
    shape: list[int], build: Callable[[Builder, MLOperand], MLOperand]
) -> None:
    builder = direct_builder()
    x = builder.input("x", shape, "float32")
    y = build(builder, x)
    graph = builder.build({"y": builder.reduce_sum_square(builder.cast(y, "float32"))})
    model = lower(graph)
    model.finish()
    given = {id(operand.constant) for operand in graph.constants}
    assert all(array.nbytes <= MADE_BYTES for array in model.external.values() if id(array) not in given)
    feeds = {"x": np.random.default_rng(1).integers(-9, 9, shape).astype(np.float32)}
    ours, expected = (run_graph(graph, feeds, backend)["y"] for backend in (OnnxRuntimeBackend(), ArraysBackend()))
    np.testing.assert_allclose(ours, expected, rtol=1e-3)


def test_a_graph_that_takes_too_many_constants_in_onnx_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "TOGETHER_BYTES", 1000)
    builder = direct_builder()
    x = builder.input("x", [1, 1, 2, 3], "float32")
    graph = builder.build({"y": builder.resample2d(x, sizes=[2, 1000], axes=[2, 3], label="stem")})
    lower(graph)
    builder = direct_builder()
    x = builder.input("x", [1, 1, 2, 6], "float32")
    graph = builder.build({"y": builder.resample2d(x, sizes=[2, 1001], axes=[2, 3], label="stem")})
    with pytest.raises(
        NotSupportedError, match=r"^\[stem\] resample2d: .* constants of 80\d\d bytes .*; at most 1000 bytes"
    ):
        lower(graph)
