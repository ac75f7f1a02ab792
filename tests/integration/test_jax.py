"""The kernels of the arrays backend, traced and compiled by JAX where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import mobilenet_v2 as mobilenet
from tests.direct import direct_builder
from webnn.backends.arrays.backend import ArraysBackend, ArraysExecutable
from webnn.backends.base import Cancellation, CompileOptions
from webnn.graph.ir import Graph

jax = pytest.importorskip("jax", reason="jax is not installed")


@pytest.fixture(autouse=True, scope="module")
def wide_types() -> Iterator[None]:
    """float64 and int64, which JAX narrows by default; the kernels sum in them."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def compiled(graph: Graph, library: Any = np) -> ArraysExecutable:
    executable = ArraysBackend(library).compile(graph, CompileOptions(), Cancellation())
    assert isinstance(executable, ArraysExecutable)
    return executable


@pytest.mark.skipif(not mobilenet.MODEL.is_dir(), reason=f"no model in {mobilenet.MODEL}")
def test_jax_compiles_mobilenet_as_one_function() -> None:
    with Image.open(mobilenet.MODEL / "test.jpg") as image:
        frame = mobilenet.prepare(image)
    builder: Any = direct_builder()
    graph: Any = mobilenet.build(builder, mobilenet.load(mobilenet.MODEL))
    (probabilities,) = jax.jit(compiled(graph, jax.numpy).compute)([frame])
    expected = np.load(mobilenet.MODEL / "expected.npz")["probabilities"]
    np.testing.assert_allclose(np.asarray(probabilities), expected, rtol=0, atol=1e-4)


def test_jax_compiles_the_kernels_that_move_values_by_index() -> None:
    builder = direct_builder()
    x = builder.input("x", [5, 3], "float32")
    indices = builder.input("indices", [4, 1], "int32")
    updates = builder.input("updates", [4, 3], "float32")
    graph = builder.build(
        {
            "scattered": builder.scatter_nd(x, indices, updates),
            "padded": builder.pad(x, [1, 2], [0, 2], mode="reflection"),
            "pooled": builder.max_pool2d(builder.reshape(x, [1, 1, 5, 3]), window_dimensions=[2, 2]),
            "sums": builder.cumulative_sum(x, 0, exclusive=True, reversed=True),
        }
    )
    random = np.random.default_rng(0)
    feeds = [
        random.standard_normal((5, 3), np.float32),
        np.array([[3], [-1], [3], [0]], np.int32),  # 3 twice: the last one counts
        random.standard_normal((4, 3), np.float32),
    ]
    traced = jax.jit(compiled(graph, jax.numpy).compute)(feeds)
    for ours, theirs in zip(compiled(graph).compute(feeds), traced, strict=True):
        np.testing.assert_allclose(np.asarray(theirs), ours, rtol=1e-6)
