"""Normalization nodes, compared with ONNX Runtime or the reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from tests.onnx_nodes import Array, Fixed, by_reference, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.formats.onnx.importing.operator_table import MICROSOFT


@pytest.mark.parametrize("axis", [-1, 1, 2, 0])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_layer_normalization_is_over_the_dimensions_from_its_axis_on(backend: Backend, axis: int, dtype: Any) -> None:
    shape = (2, 3, 4)
    scale, bias = (random(i, *shape[axis % 3 :], dtype=dtype) for i in (1, 2))
    tolerance = 1e-4 if dtype is np.float32 else 5e-3
    x = random(0, *shape, dtype=dtype)
    check_node(backend, "LayerNormalization", [x, Fixed(scale), Fixed(bias)], axis=axis, tolerance=tolerance)
    check_node(backend, "LayerNormalization", [x, scale], axis=axis, epsilon=0.1, tolerance=tolerance)


def test_layer_normalization_gives_mean_and_inverse_deviation(backend: Backend) -> None:
    x, scale = random(0, 2, 3, 4), random(1, 4)
    check_node(backend, "LayerNormalization", [x, scale], outputs=[True, True, True])
    check_node(backend, "LayerNormalization", [x, scale], outputs=[True, False, True])


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4), (2, 1, 1), ()])
def test_a_scale_of_another_shape_stretches(backend: Backend, shape: tuple[int, ...]) -> None:
    x, scale, bias = random(0, 2, 3, 4), random(1, *shape), random(2, 4)
    check_node(backend, "LayerNormalization", [x, scale, bias], axis=1, expected=by_reference)


@pytest.mark.parametrize("axis", [-1, 1])
def test_root_mean_square_normalization(backend: Backend, axis: int) -> None:
    x, scale = random(0, 2, 3, 4), random(1, *(2, 3, 4)[axis % 3 :])
    check_node(backend, "RMSNormalization", [x, scale], axis=axis, version=23, expected=by_reference)
    half = x.astype(np.float16), scale.astype(np.float16)
    check_node(backend, "RMSNormalization", half, axis=axis, version=23, expected=by_reference, tolerance=5e-3)
    check_node(backend, "SimplifiedLayerNormalization", [x, Fixed(scale)], axis=axis, version=17)


@pytest.mark.parametrize("given", [[], ["beta"], ["bias"], ["beta", "bias"]])
def test_skip_layer_normalization(backend: Backend, given: list[str]) -> None:
    x, skip, gamma = random(0, 2, 3, 8), random(1, 2, 3, 8), random(2, 8)
    beta = random(3, 8) if "beta" in given else None
    bias = random(4, 8) if "bias" in given else None
    read = (True, False, False, True)
    check_node(backend, "SkipLayerNormalization", [x, skip, gamma, beta, bias], domain=MICROSOFT, outputs=read)
    check_node(backend, "SkipSimplifiedLayerNormalization", [x, skip, gamma, bias], domain=MICROSOFT, outputs=read)


@pytest.mark.parametrize("shape", [(3, 8), (1, 3, 8)])
def test_the_skip_connection_may_be_the_same_for_all_samples(backend: Backend, shape: tuple[int, ...]) -> None:
    inputs = [random(0, 2, 3, 8), random(1, *shape), random(2, 8)]
    check_node(backend, "SkipLayerNormalization", inputs, domain=MICROSOFT)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_are_scaled_before_version_21_and_channels_since_then(backend: Backend, groups: int) -> None:
    x = random(0, 2, 4, 3, 2)
    of_groups, of_channels = (random(1, groups), random(2, groups)), (random(1, 4), random(2, 4))
    check_node(backend, "GroupNormalization", [x, *of_groups], num_groups=groups, version=20, expected=_by_group)
    check_node(backend, "GroupNormalization", [x, *of_channels], num_groups=groups, epsilon=0.1, expected=by_reference)


def _by_group(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    x, scale, bias = feeds.values()
    grouped = x.reshape(2, scale.size, -1)
    centered = grouped - grouped.mean(-1, keepdims=True)
    y = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * scale[:, None] + bias[:, None]
    return [y.reshape(x.shape)]


@pytest.mark.parametrize(("last", "activation"), [(1, 0), (1, 1), (0, 1)])
def test_group_norm_of_onnxruntime(backend: Backend, last: int, activation: int) -> None:
    x, gamma, beta = random(0, 2, 3, 2, 4) if last else random(0, 2, 4, 3, 2), random(1, 4), random(2, 4)
    model, feeds = node_model(
        "GroupNorm",
        [x, Fixed(gamma), Fixed(beta)],
        domain=MICROSOFT,
        groups=2,
        activation=activation,
        channels_last=last,
    )
    (result,) = computed(model, feeds, backend)
    channels_first = np.moveaxis(x, -1, 1) if last else x
    grouped = channels_first.reshape(2, 2, -1)
    y = (grouped - grouped.mean(-1, keepdims=True)) / np.sqrt(grouped.var(-1, keepdims=True) + 1e-5)
    y = y.reshape(channels_first.shape) * gamma[:, None, None] + beta[:, None, None]
    y = y / (1 + np.exp(-y)) if activation else y
    np.testing.assert_allclose(result, np.moveaxis(y, 1, -1) if last else y, rtol=1e-4, atol=1e-4)


def test_skip_group_norm_gives_the_sum_too(backend: Backend) -> None:
    x, gamma, beta, skip, bias = random(0, 2, 3, 2, 4), random(1, 4), random(2, 4), random(3, 2, 4), random(4, 4)
    model, feeds = node_model(
        "SkipGroupNorm",
        [x, gamma, beta, skip, bias],
        domain=MICROSOFT,
        groups=4,
        activation=0,
        outputs=(True, True),
    )
    y, total = computed(model, feeds, backend)
    wanted = x + skip[:, None, None] + bias
    np.testing.assert_allclose(total, wanted, rtol=1e-5, atol=1e-6)
    deviation = np.sqrt(wanted.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, (wanted - wanted.mean((1, 2), keepdims=True)) / deviation * gamma + beta, atol=1e-4)


def test_mean_variance_normalization(backend: Backend) -> None:
    x = random(0, 2, 3, 4, 5)
    check_node(backend, "MeanVarianceNormalization", [x])
    check_node(backend, "MeanVarianceNormalization", [x], axes=[0, 1])
    check_node(backend, "MeanVarianceNormalization", [np.ones((1, 2, 2, 2), np.float32)], expected=by_reference)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_lp_normalization_keeps_vectors_of_length_zero(backend: Backend, p: int, axis: int) -> None:
    x = random(0, 2, 3, 4)
    x[:, 1] = 0
    check_node(backend, "LpNormalization", [x], p=p, axis=axis)
    check_node(backend, "LpNormalization", [x * np.float32(1e-15)], p=p, axis=axis)
    if p == 2:  # squares that underflow, to a norm of 0
        check_node(backend, "LpNormalization", [x * np.float32(1e-30)], p=p, axis=axis)


@pytest.mark.parametrize("shape", [(4, 3), (3, 3, 5), (2, 3, 4, 5)])
def test_batches_are_normalized_by_their_own_statistics_in_training(backend: Backend, shape: tuple[int, ...]) -> None:
    x, variance = random(0, *shape), np.abs(random(4, 3))
    given = [x, random(1, 3), random(2, 3), random(3, 3), variance]
    options = {"training_mode": 1, "momentum": 0.7, "epsilon": 1e-3, "outputs": [True] * 3, "version": 15}
    check_node(backend, "BatchNormalization", given, **options, expected=by_reference)


@pytest.mark.parametrize("operator", ["GroupNormalization", "MeanVarianceNormalization"])
def test_the_mean_of_numbers_far_from_zero_is_subtracted_first(backend: Backend, operator: str) -> None:
    # The bodies in the standard subtract the square of the mean from that of the numbers, which leaves nothing here.
    x = np.arange(10000, 10008, dtype=np.float32).reshape(1, 2, 2, 2)
    grouped = operator == "GroupNormalization"
    inputs = [x, np.ones(2, np.float32), np.zeros(2, np.float32)] if grouped else [x]
    attributes: dict[str, Any] = {"num_groups": 2} if grouped else {"axes": [0, 2, 3]}
    check_node(backend, operator, inputs, expected=_each_channel, tolerance=1e-3, **attributes)


def _each_channel(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    x = next(iter(feeds.values()))
    centered = x - x.mean((2, 3), keepdims=True)
    return [centered / centered.std((2, 3), keepdims=True)]
