"""Resize with random sizes and options, compared with ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.onnx_nodes import Fixed, Given, check_node, random
from webnn.backends.base import Backend

SCALES = [0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.4, 1.5, 2.0, 7 / 3, 2.5, 3.0]
COORDINATES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]
CROP = "tf_crop_and_resize"


def to_scales(generator: np.random.Generator, shape: list[int], axes: list[int]) -> list[Given]:
    scales = np.ones(len(axes), np.float32)
    scales[-len(shape) + 2 :] = generator.choice(SCALES, len(shape) - 2)
    return [Fixed(scales)]


def to_sizes(generator: np.random.Generator, shape: list[int], axes: list[int]) -> list[Given]:
    sizes = np.array([shape[axis] for axis in axes])
    sizes[-len(shape) + 2 :] = generator.integers(1, 40, len(shape) - 2)
    return [None, Fixed(sizes)]


@pytest.mark.parametrize("by", [to_scales, to_sizes])
@pytest.mark.parametrize("coordinates", [*COORDINATES, CROP])
@pytest.mark.parametrize(
    ("mode", "ranks"),
    [
        *(({"mode": "nearest", "nearest_mode": mode}, (3, 4, 5)) for mode in ("round_prefer_floor", "floor", "ceil")),
        ({"mode": "nearest", "nearest_mode": "round_prefer_ceil"}, (3, 4, 5)),
        ({"mode": "linear"}, (3, 4, 5)),
        ({"mode": "linear", "antialias": 1}, (4,)),
        ({"mode": "cubic"}, (4,)),
        ({"mode": "cubic", "exclude_outside": 1}, (4,)),
        ({"mode": "cubic", "antialias": 1}, (4,)),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_sizes_and_elements_are_those_of_onnxruntime(
    backend: Backend, mode: dict[str, Any], ranks: tuple[int, ...], coordinates: str, by: Any
) -> None:
    """The sizes are computed in float32: 20 * 0.7 is 14. A coordinate that is almost a half counts as one."""
    generator = np.random.default_rng([len(mode), len(coordinates), *str(mode).encode()])
    for seed in range(8):
        rank = int(generator.choice(ranks))
        shape = [1, int(generator.integers(1, 3)), *(int(size) for size in generator.integers(2, 24, rank - 2))]
        options = {"coordinate_transformation_mode": coordinates, **mode}
        axes, roi = list(range(rank)), None
        if coordinates == CROP:
            starts, ends = generator.random(rank - 2) * 0.4, 0.5 + generator.random(rank - 2) * 0.7
            roi = Fixed(np.array([0, 0, *starts, 1, 1, *ends], np.float32))
            options = {**options, "extrapolation_value": 2.5, "antialias": 0}
        elif generator.random() < 0.4:
            axes = options["axes"] = list(range(2, rank))
        target = by(generator, shape, axes)
        check_node(backend, "Resize", [random(seed, *shape), roi, *target], version=19, tolerance=3e-4, **options)


@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil"])
def test_coordinates_that_are_halves_but_for_rounding(backend: Backend, nearest: str) -> None:
    for size, target in [(7, 8), (13, 2), (13, 56), (14, 16), (21, 6), (28, 32), (33, 9), (20, 6)]:
        options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": nearest}
        inputs: list[Given] = [random(0, 1, 1, 1, size), None, None, Fixed(np.array([1, 1, 1, target]))]
        check_node(backend, "Resize", inputs, version=13, tolerance=0, **options)


@pytest.mark.parametrize("version", [9, 10])
def test_upsample_and_its_successor_compute_sizes_alike(backend: Backend, version: int) -> None:
    for size in (10, 20, 100):
        for scale in (1.1, 1.3, 1.4, 7 / 3):
            scales = Fixed(np.array([1, 1, scale, scale], np.float32))
            op_type = "Upsample" if version == 9 else "Resize"
            check_node(backend, op_type, [random(0, 1, 1, size, 3), scales], version=version, mode="nearest")
