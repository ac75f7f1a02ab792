"""Fourier transforms, compared with NumPy, ONNX Runtime and the reference evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Array, Fixed, Given, by_reference, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError
from webnn.graph.batching import why_not_separable


def scalar(number: float, dtype: Any = np.int64) -> Fixed:
    return Fixed(np.array(number, dtype))


def by_numpy(x: Array, axis: int, length: int | None, *, inverse: int = 0, onesided: int = 0) -> Array:
    signal = x[..., 0] + 1j * x[..., 1] if x.shape[-1] == 2 else x[..., 0]
    if inverse and onesided:
        return np.fft.irfft(signal, length, axis)[..., None]
    result = np.fft.ifft(signal, length, axis) if inverse else np.fft.fft(signal, length, axis)
    if onesided:
        result = np.take(result, range(result.shape[axis] // 2 + 1), axis)
    return np.stack([result.real, result.imag], axis=-1)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, -2])
@pytest.mark.parametrize("length", [None, 7, 4, 16])
@pytest.mark.parametrize("options", [{}, {"onesided": 1}, {"inverse": 1}, {"onesided": 1, "inverse": 1}])
def test_transforms_along_any_axis(
    backend: Backend, parts: int, axis: int, length: int | None, options: dict[str, Any]
) -> None:
    x = random(0, 5, 7, 6, parts)
    wanted = by_numpy(x, axis % 4, length, **options)
    given: list[Given] = [x, None if length is None else scalar(length), scalar(axis)]
    options = {**options, "expected": lambda *_: [wanted]}
    check_node(backend, "DFT", given, version=20, **options)
    check_node(backend, "DFT", given[:2], version=17, axis=axis, **options)


@pytest.mark.parametrize(
    ("size", "length", "parts", "options"),
    [
        (1024, None, 1, {}),
        (1024, None, 1, {"onesided": 1}),
        (512, None, 2, {}),
        (512, None, 2, {"inverse": 1}),
        (513, None, 2, {"inverse": 1, "onesided": 1}),
        (700, 1024, 2, {}),
        (1500, 1024, 1, {"onesided": 1}),
        (300, 512, 2, {"inverse": 1}),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_long_transforms_of_a_power_of_two_are_one_kernel(
    size: int, length: int | None, parts: int, options: dict[str, Any], axis: int
) -> None:
    x = random(0, *((size, 3) if axis == 0 else (3, size)), parts)
    model, feeds = node_model("DFT", [x, None if length is None else scalar(length), scalar(axis)], **options)
    backend = OnnxRuntimeBackend()
    builder = direct_builder(composites=backend.composites)
    assert [node.op for node in builder.build(import_onnx(model, builder)).nodes] == ["fourier_transform"]
    wanted = by_numpy(x, axis, length, **options)
    for kept in ((), backend.composites):
        found = computed(model, feeds, backend, kept)[0]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("size", "parts", "options"), [(1000, 2, {}), (64, 1, {}), (1024, 2, {"onesided": 1}), (1023, 1, {"onesided": 1})]
)
def test_other_transforms_are_products(size: int, parts: int, options: dict[str, Any]) -> None:
    """onnxruntime 1.32 is off by 2e-4 for a length of 1000, and refuses to leave out half of a complex spectrum."""
    model, feeds = node_model("DFT", [random(0, 2, size, parts)], **options)
    backend = OnnxRuntimeBackend()
    builder = direct_builder(composites=backend.composites)
    assert "matmul" in [node.op for node in builder.build(import_onnx(model, builder)).nodes]
    wanted = by_numpy(feeds["input0"], 1, None, **options)
    np.testing.assert_allclose(computed(model, feeds, backend)[0], wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


def test_a_transform_whose_matrix_would_be_too_large_needs_the_kernel() -> None:
    x = random(0, 1, 8192, 2)
    model, feeds = node_model("DFT", [x])
    backend = OnnxRuntimeBackend()
    found = computed(model, feeds, backend, backend.composites)[0]
    wanted = by_numpy(x, 1, None)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())
    with pytest.raises(OnnxNotSupportedError, match="its transform of 8192 to 8192 elements takes too much memory"):
        computed(model, feeds, backend)


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("windowed", [None, "fixed", "computed"])
@pytest.mark.parametrize(("length", "step"), [(16, 8), (9, 4), (50, 1)])
def test_spectra_of_frames(backend: Backend, onesided: int, windowed: str | None, length: int, step: int) -> None:
    window = random(1, length)
    given: dict[str | None, Given] = {None: None, "fixed": Fixed(window), "computed": window}
    inputs: list[Given] = [random(0, 2, 50, 1), scalar(step), given[windowed], scalar(length)]
    check_node(backend, "STFT", inputs, onesided=onesided, version=17)


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("windowed", [None, "fixed", "computed"])
@pytest.mark.parametrize(("length", "step"), [(512, 100), (1024, 512)])
def test_spectra_of_long_frames_are_one_kernel(onesided: int, windowed: str | None, length: int, step: int) -> None:
    window, backend = np.hanning(length).astype(np.float32), OnnxRuntimeBackend()
    given: dict[str | None, Given] = {None: None, "fixed": Fixed(window), "computed": window}
    x = random(0, 2, 2000, 1)
    model, feeds = node_model("STFT", [x, scalar(step), given[windowed], scalar(length)], onesided=onesided)
    builder = direct_builder(composites=backend.composites)
    nodes = builder.build(import_onnx(model, builder)).nodes
    assert [node.op for node in nodes] == ["fourier_transform_of_frames"]
    starts = range(0, 2000 - length + 1, step)
    frames = np.stack([x[:, i : i + length, 0] for i in starts], 1) * (1 if windowed is None else window)
    spectra = np.fft.rfft(frames.astype("d")) if onesided else np.fft.fft(frames.astype("d"))
    wanted = np.stack([spectra.real, spectra.imag], -1)
    for kept in ((), backend.composites):
        found = computed(model, feeds, backend, kept)[0]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


def test_requests_share_a_run_of_a_fixed_window() -> None:
    window = np.hanning(512).astype(np.float32)
    for given, shared in ((Fixed(window), True), (window, False)):
        model, _ = node_model("STFT", [random(0, 2, 2000, 1), scalar(64), given, scalar(512)])
        builder = direct_builder(composites=OnnxRuntimeBackend().composites)
        assert (why_not_separable(builder.build(import_onnx(model, builder))) is None) is shared


def test_spectra_of_a_complex_signal(backend: Backend) -> None:
    x, window = random(0, 2, 30, 2), np.hanning(8).astype(np.float32)
    inputs: list[Given] = [x, scalar(3), Fixed(window), None]
    check_node(backend, "STFT", inputs, onesided=0, version=17, expected=by_reference)


@pytest.mark.parametrize("numbers", [(20, 400, 16000, 20, 7600), (80, 512, 22050, 0, 8000), (40, 64, 8000, 0, 4000)])
def test_the_weights_of_mel_bins(backend: Backend, numbers: tuple[int, ...]) -> None:
    inputs = [*map(scalar, numbers[:3]), *(scalar(edge, np.float32) for edge in numbers[3:])]
    check_node(backend, "MelWeightMatrix", inputs, version=17, tolerance=1e-3)


@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [
        ("DFT", [random(0, 2, 4, 3)]),
        ("DFT", [random(0, 2, 4, 1), scalar(0)]),
        ("STFT", [random(0, 1, 8, 1), scalar(0), None, scalar(4)]),
        ("STFT", [random(0, 1, 8, 1), scalar(2), None, scalar(9)]),
        ("STFT", [random(0, 1, 8, 1), scalar(2), random(1, 5), scalar(4)]),
        ("MelWeightMatrix", [scalar(8), scalar(16), scalar(8000), scalar(100.0, np.float32), scalar(1.0, np.float32)]),
    ],
)
def test_lengths_that_do_not_go_together_are_refused(op_type: str, inputs: list[Given]) -> None:
    with pytest.raises(DataError, match=rf"\({op_type}\)"):
        import_onnx(node_model(op_type, inputs, version=17)[0], direct_builder())


@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [
        ("DFT", [random(0, 1, 40, 1), scalar(2**40)]),
        ("STFT", [random(0, 1, 40000, 1), scalar(1), None, scalar(20000)]),
        ("MelWeightMatrix", [scalar(2**40), scalar(2**40), scalar(8000), scalar(1, np.float32), scalar(9, np.float32)]),
    ],
)
def test_spectra_of_any_length_take_no_memory(op_type: str, inputs: list[Given]) -> None:
    with pytest.raises(OnnxNotSupportedError, match="too much memory"):
        import_onnx(node_model(op_type, inputs, version=17)[0], direct_builder())
