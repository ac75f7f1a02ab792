"""Matrix products of integers of 32 and 64 bits, which wrap around, compared with ONNX Runtime and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Fixed, by_onnxruntime, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import NotSupportedError
from webnn.formats.onnx import import_onnx

TYPES = ["int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize(
    "shapes", [((3, 4), (4, 5)), ((2, 1, 3, 4), (6, 4, 2)), ((4,), (4, 3)), ((5, 4), (4,)), ((1, 7), (7, 1))]
)
@pytest.mark.parametrize("data_type", TYPES)
def test_products_wrap_around(backend: Backend, data_type: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    x, y = (random(i, *shape, dtype=data_type) for i, shape in enumerate(shapes))
    model, feeds = node_model("MatMul", [x, y])
    for kept in ((), backend.composites):
        found = computed(model, feeds, backend, kept)[0]
        np.testing.assert_array_equal(found, np.matmul(x, y))
        np.testing.assert_array_equal(found, by_onnxruntime(model, feeds)[0])
        assert found.dtype == data_type


@pytest.mark.parametrize("data_type", ["int32", "int64"])
def test_a_gemm_of_integers_is_a_product(backend: Backend, data_type: Any) -> None:
    x, y, c = random(0, 4, 3, dtype=data_type), random(1, 5, 4, dtype=data_type), random(2, 1, 5, dtype=data_type)
    model, feeds = node_model("Gemm", [x, y, Fixed(c)], transA=1, transB=1, alpha=2.0, beta=3.0)
    for kept in ((), backend.composites):
        np.testing.assert_array_equal(computed(model, feeds, backend, kept)[0], 2 * (x.T @ y.T) + 3 * c)


def test_a_large_product_needs_the_kernel() -> None:
    x, y = random(0, 512, 512, dtype=np.int32), random(1, 512, 512, dtype=np.int32)
    model, feeds = node_model("MatMul", [x, y])
    backend = OnnxRuntimeBackend()
    builder = direct_builder(composites=backend.composites)
    assert [node.op for node in builder.build(import_onnx(model, builder)).nodes] == ["wide_matmul"]
    found = computed(model, feeds, backend, backend.composites)[0]
    np.testing.assert_array_equal(found, np.matmul(x.astype(np.int64), y).astype(np.int32))
    with pytest.raises(NotSupportedError, match=r"it multiplies int32 matrices \[512, 512\] and \[512, 512\]"):
        computed(model, feeds, backend)
