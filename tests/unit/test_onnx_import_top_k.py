"""TopK, compared with ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Array, Fixed, check_node, node_model, random
from webnn.backends.base import Backend
from webnn.errors import DataError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError
from webnn.graph.composites import top_k


def with_ties(seed: int, *shape: int, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(seed).integers(0, 40, shape).astype(dtype)


def check(backend: Backend, x: Array, k: int, **options: Any) -> None:
    check_node(backend, "TopK", [x, Fixed(np.array([k]))], outputs=[True, True], version=11, **options)


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int32, np.uint8])
@pytest.mark.parametrize(
    ("shape", "axis", "k"), [((2, 6, 3), 1, 1), ((2, 6, 3), 1, 6), ((50,), 0, 3), ((3, 37), -1, 20)]
)
def test_the_first_of_equal_ones(  # noqa: PLR0917
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
    network: bool,
    largest: int,
    dtype: Any,
    shape: tuple[int, ...],
    axis: int,
    k: int,
) -> None:
    if network:
        monkeypatch.setattr(top_k, "_COMPARED", 0)
    check(backend, with_ties(0, *shape, dtype=dtype), k, axis=axis, largest=largest)


@pytest.mark.parametrize("k", [2, 17, 300])
def test_the_best_of_the_boxes_of_a_detector(backend: Backend, k: int) -> None:
    check(backend, random(0, 1, 8400), k)


def test_infinities_are_numbers_too(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_k, "_COMPARED", 0)
    x = np.where(random(0, 2, 21) > 0, random(1, 2, 21), -np.inf).astype(np.float32)
    for largest in (0, 1):
        check(backend, x, 21, largest=largest)


def test_the_size_of_a_network_grows_with_the_square_of_a_logarithm() -> None:
    sizes = []
    for size in (10_000, 100_000):
        builder = direct_builder()
        model, _ = node_model("TopK", [random(0, 1, size), Fixed(np.array([5]))], outputs=[True, True])
        sizes.append(len(list(builder.build(import_onnx(model, builder)).nodes)))
    assert sizes[1] < 1.3 * sizes[0] < 1000


def test_more_than_a_network_can_hold_is_out_of_reach() -> None:
    model, _ = node_model("TopK", [np.zeros((5, 10**6), np.float32), Fixed(np.array([9]))], outputs=[True, True])
    with pytest.raises(OnnxNotSupportedError, match=r"WebNN cannot sort.*sort outside the graph"):
        import_onnx(model, direct_builder())


@pytest.mark.parametrize("k", [7, -1])
def test_there_must_be_as_many(k: int) -> None:
    with pytest.raises(DataError, match=rf"k must be 0 to 6, got {k}"):
        import_onnx(node_model("TopK", [random(0, 6), Fixed(np.array([k]))])[0], direct_builder())
