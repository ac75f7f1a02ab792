"""Resize with random sizes and options, compared with ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.onnx_nodes import Fixed, Given, by_onnxruntime, check_node, computed, node_model, random
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


@pytest.mark.parametrize("coordinates", [*COORDINATES, CROP])
@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize("shape", [(1, 3, 70, 5), (2, 1, 9, 60)])
def test_long_axes_are_resized_by_a_kernel_or_by_products(
    backend: Backend, coordinates: str, antialias: int, shape: tuple[int, ...]
) -> None:
    if coordinates == CROP and antialias:
        pytest.skip("not defined")
    options = {"coordinate_transformation_mode": coordinates, "mode": "linear", "antialias": antialias}
    region = Fixed(np.array([0, 0, 0.1, 0.2, 1, 1, 0.9, 0.7], np.float32)) if coordinates == CROP else None
    sizes = Fixed(np.array([*shape[:2], 90, 41]))
    check_node(backend, "Resize", [random(0, *shape), region, None, sizes], version=19, **options)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32])
@pytest.mark.parametrize("shape", [(1, 2, 7), (1, 2, 7, 9), (1, 2, 3, 4, 5)])
def test_interpolated_integers_are_rounded_toward_zero(backend: Backend, dtype: Any, shape: tuple[int, ...]) -> None:
    """Sums that are integers may be rounded to the one before by operators and not by the kernel, or the reverse."""
    x = np.random.default_rng(0).integers(0 if dtype == np.uint8 else -100, 120, shape).astype(dtype)
    scales = Fixed(np.array([1, 1, *[1.75] * (len(shape) - 2)], np.float32))
    model, feeds = node_model("Resize", [x, None, scales], mode="linear", version=19)
    (wanted,), (spelled_out,) = by_onnxruntime(model, feeds), computed(model, feeds, backend)
    assert (spelled_out != wanted).mean() < 0.1
    assert abs(spelled_out.astype(int) - wanted).max() <= 1
    if backend.composites:
        np.testing.assert_array_equal(computed(model, feeds, backend, backend.composites)[0], wanted)


def test_images_of_one_color_keep_it(backend: Backend) -> None:
    scales = Fixed(np.array([1, 1, 1.3, 0.7], np.float32))
    for color in (1, 105, 254, 255):
        model, feeds = node_model("Resize", [np.full((1, 3, 17, 23), color, np.uint8), None, scales], mode="linear")
        assert np.unique(computed(model, feeds, backend)[0]) == [color]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_antialiased_integers_are_rounded_to_the_nearest(backend: Backend, dtype: Any) -> None:
    """Not by onnxruntime 1.32, which makes zeros of the negative ones."""
    x = np.random.default_rng(0).integers(0, 120, (1, 2, 7, 9)).astype(dtype)
    scales = Fixed(np.array([1, 1, 0.6, 0.4], np.float32))
    options: dict[str, Any] = {"mode": "linear", "antialias": 1, "version": 19}
    check_node(backend, "Resize", [x, None, scales], tolerance=1, **options)
    if dtype == np.int8:
        (floats,) = check_node(backend, "Resize", [x.astype(np.float32) - 100, None, scales], **options)
        check_node(backend, "Resize", [x - 100, None, scales], expected=lambda *_: [np.round(floats)], **options)


@pytest.mark.parametrize("scales", [(0.4, 0.6), (1.5, 0.4), (0.7, 2.0), (1.5, 2.5), (0.9, 1.0), (1.0, 1.1)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_opset_10_takes_the_next_element_along_axes_that_become_smaller(
    backend: Backend, mode: str, scales: tuple[float, float]
) -> None:
    image, sizes = random(0, 1, 2, 5, 7), Fixed(np.array([1, 1, *scales], np.float32))
    check_node(backend, "Resize", [image, sizes], mode=mode, version=10)
