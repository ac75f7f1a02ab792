"""Matrix products: valid shapes, results and error messages."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.direct import compute, direct_builder
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.errors import ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Any]
TOLERANCE = {"float32": 1e-5, "float16": 2e-3}


def random(seed: int, shape: tuple[int, ...], data_type: str = "float32") -> np.ndarray[Any, Any]:
    return np.asarray(np.random.default_rng(seed).uniform(-1, 1, shape)).astype(data_type)


@pytest.mark.parametrize("data_type", ["float32", "float16"])
@pytest.mark.parametrize("c_shape", [None, (), (1,), (4,), (1, 1), (1, 4), (2, 1), (2, 4)], ids=str)
def test_gemm_multiplies_and_adds(backend: Backend, data_type: str, c_shape: tuple[int, ...] | None) -> None:
    for a_transpose, b_transpose, (alpha, beta) in itertools.product(
        [False, True], [False, True], [(1.0, 1.0), (-0.5, 2.0), (0.0, 1.0), (1.0, 0.0)]
    ):
        a, b = random(1, (2, 3), data_type), random(2, (3, 4), data_type)
        c = random(3, c_shape or (), data_type)
        expected = alpha * (a.astype(np.float64) @ b.astype(np.float64))
        if c_shape is not None:
            expected = expected + beta * c.astype(np.float64)

        def build(builder: Builder, a: MLOperand, b: MLOperand, c: MLOperand) -> MLOperand:
            return builder.gemm(
                a,
                b,
                c=c if c_shape is not None else None,
                alpha=alpha,  # noqa: B023 (called in this round)
                beta=beta,  # noqa: B023
                a_transpose=a_transpose,  # noqa: B023
                b_transpose=b_transpose,  # noqa: B023
            )

        result = compute(backend, build, a.T.copy() if a_transpose else a, b.T.copy() if b_transpose else b, c)
        assert result.dtype == data_type
        np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE[data_type])


def test_gemm_does_not_look_at_c_when_beta_is_0(backend: Backend) -> None:
    c = np.array([[np.nan], [np.inf]], np.float32)
    result = compute(backend, lambda b, x, c: b.gemm(x, x, c=c, beta=0), np.eye(2, dtype=np.float32), c)
    assert result.tolist() == [[1, 0], [0, 1]]


def test_gemm_rounds_its_factors_to_the_data_type() -> None:
    builder = direct_builder()
    a = builder.input("a", [2, 2], "float16")
    node = builder.gemm(a, a, alpha=0.1, beta=1e300).node
    assert node is not None
    assert node.attributes["alpha"] == float(np.float16(0.1))
    assert node.attributes["beta"] == np.inf


@pytest.mark.parametrize(
    ("a_shape", "b_shape", "shape"),
    [
        ((2, 3), (3, 4), (2, 4)),
        ((1, 1), (1, 1), (1, 1)),
        ((5, 2, 3), (3, 4), (5, 2, 4)),
        ((2, 3), (5, 3, 4), (5, 2, 4)),
        ((5, 1, 2, 3), (6, 3, 4), (5, 6, 2, 4)),
        ((1, 2, 1, 2, 1, 2, 2, 3), (3, 1, 3, 1), (1, 2, 1, 2, 3, 2, 2, 1)),
        ((2, 1, 2, 1, 2, 1, 1, 3), (2, 2, 1, 1, 2, 2, 3, 1), (2, 2, 2, 1, 2, 2, 1, 1)),
    ],
    ids=str,
)
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_matmul_multiplies_stacks_of_matrices(
    backend: Backend, data_type: str, a_shape: tuple[int, ...], b_shape: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    a, b = random(1, a_shape, data_type), random(2, b_shape, data_type)
    result = compute(backend, lambda builder, a, b: builder.matmul(a, b), a, b)
    assert (result.shape, result.dtype) == (shape, data_type)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE[data_type])


def test_each_product_is_one_onnx_node() -> None:
    builder = direct_builder()
    a = builder.input("a", [2, 2], "float32")
    outputs = {"gemm": builder.gemm(a, a, c=a, alpha=2.0, b_transpose=True), "matmul": builder.matmul(a, a)}
    nodes = lower(builder.build(outputs)).finish().graph.node
    assert [node.op_type for node in nodes] == ["Gemm", "MatMul"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, x: b.gemm(x(2, 3), x(2, 3)), r"a \[2, 3\] has 3 columns, but b \[2, 3\] has 2 rows"),
        (
            lambda b, x: b.gemm(x(2, 3), x(3, 4), a_transpose=True, b_transpose=True),
            r"a \[2, 3\] transposed has 2 columns, but b \[3, 4\] transposed has 4 rows",
        ),
        (lambda b, x: b.gemm(x(2, 3), x(3, 4), c=x(2)), r"c \[2\] does not broadcast to .* \[2, 4\]"),
        (lambda b, x: b.gemm(x(2, 1), x(1, 1), c=x(2, 2)), r"c \[2, 2\] does not broadcast to .* \[2, 1\]"),
        (lambda b, x: b.gemm(x(2, 3), x(3, 4), c=x(1, 2, 4)), r"c \[1, 2, 4\] has rank 3, but must have rank 0 to 2"),
        (lambda b, x: b.gemm(x(3), x(3, 4)), r"a \[3\] has rank 1, but must have rank 2"),
        (lambda b, x: b.gemm(x(2, 2), x(2, 2, t="float16")), "b is float16, but must have the data type of a"),
        (lambda b, x: b.gemm(x(2, 2), x(2, 2), c=x(t="float16")), "c is float16, but must have the data type of a"),
        (lambda b, x: b.gemm(x(2, 2, t="int32"), x(2, 2, t="int32")), "a is int32, but must be float32 or float16"),
        (lambda b, x: b.gemm(x(2, 2), x(2, 2), alpha=float("nan")), "alpha must be finite, got nan"),
        (lambda b, x: b.gemm(x(2, 2), x(2, 2), beta="1"), "beta must be a number, got '1'"),
        (lambda b, x: b.gemm(x(2, 2), x(2, 2), a_transpose=1), "a_transpose must be True or False, got 1"),
        (lambda b, x: b.gemm(x(2, 2), x(2, 2), b_transpose=None), "b_transpose must be True or False, got None"),
        (lambda b, x: b.gemm(x(2, 3), x(2, 3), label="mix"), r"^\[mix\] gemm: a \[2, 3\]"),
        (lambda b, x: b.matmul(x(2, 3), x(2, 3)), r"a \[2, 3\] has 3 columns, but b \[2, 3\] has 2 rows"),
        (lambda b, x: b.matmul(x(2, 1, 1), x(3, 1, 1)), r"a \[2, 1, 1\] and b \[3, 1, 1\] cannot be broadcast"),
        (lambda b, x: b.matmul(x(2), x(2, 2)), r"a \[2\] has rank 1, but must have rank 2 to 8"),
        (lambda b, x: b.matmul(x(2, 2), x()), r"b \[\] has rank 0, but must have rank 2 to 8"),
        (lambda b, x: b.matmul(x(2, 2, t="int8"), x(2, 2, t="int8")), "a is int8, but must be float32 or float16"),
        (lambda b, x: b.matmul(x(2**20, 1), x(1, 2**20)), "elements; at most"),
    ],
)
def test_operands_that_cannot_be_multiplied_are_refused(
    call: Callable[[Builder, Callable[..., MLOperand]], MLOperand], message: str
) -> None:
    builder = direct_builder()
    names = itertools.count()

    def operand(*shape: int, t: Any = "float32") -> MLOperand:
        return builder.input(f"x{next(names)}", shape, t)

    with pytest.raises(ValidationError, match=message):
        call(builder, operand)
