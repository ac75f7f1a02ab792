"""A real network with real weights: MobileNetV2 gives the expected output on each backend."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import webnn
from examples import mobilenet

MODEL = mobilenet.MODEL

pytestmark = pytest.mark.skipif(
    not (MODEL / "weights.safetensors").exists(), reason=f"the weights of MobileNetV2 are not in {MODEL}"
)


@pytest.fixture(scope="module")
def weights() -> mobilenet.Weights:
    return mobilenet.load(MODEL)


@pytest.fixture(scope="module")
def frame() -> mobilenet.Array:
    with Image.open(MODEL / "test.jpg") as image:
        return mobilenet.prepare(image)


@pytest.fixture(scope="module")
def expected() -> mobilenet.Array:
    probabilities: mobilenet.Array = np.load(MODEL / "expected.npz")["probabilities"]
    return probabilities


@pytest.mark.parametrize("backend", ["onnxruntime", "arrays"])
def test_mobilenet_gives_the_expected_output(
    backend: str, weights: mobilenet.Weights, frame: mobilenet.Array, expected: mobilenet.Array
) -> None:
    with webnn.ML().create_context(backend=backend) as context:
        graph = mobilenet.build(context.create_graph_builder(), weights)
        outputs = context.compute(graph, {"input": frame})
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=0, atol=1e-4)


def test_the_three_ways_of_the_example_agree(
    weights: mobilenet.Weights, frame: mobilenet.Array, expected: mobilenet.Array
) -> None:
    with webnn.ML().create_context() as context:
        graph = mobilenet.build(context.create_graph_builder(), weights)
        for result in (
            mobilenet.blocking(context, graph, frame, 2),
            asyncio.run(mobilenet.awaiting(context, graph, frame, 3)),
            asyncio.run(mobilenet.streaming(context, graph, frame, 6)),
        ):
            np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4)


def test_the_example_prints_the_likeliest_label(capsys: pytest.CaptureFixture[str]) -> None:
    mobilenet.main(MODEL / "test.jpg", Path(MODEL), 1)
    assert capsys.readouterr().out.count("lesser panda") == 3
