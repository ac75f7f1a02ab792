"""A real network with real weights: MobileNetV2 gives the expected output on each backend."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import webnn
from benchmarks import mobilenet_v2 as mobilenet

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


@pytest.mark.anyio
async def test_awaiting_and_streaming_give_the_same(
    weights: mobilenet.Weights, frame: mobilenet.Array, expected: mobilenet.Array
) -> None:
    async with webnn.create_context() as context:
        graph = mobilenet.build(context.create_graph_builder(), weights)
        results = [(await context.run(graph, frame))["probabilities"]]
        stream = context.stream(graph, [frame] * 6, before=lambda frame: {"input": frame})
        results += [outputs["probabilities"] async for outputs in stream]
    assert len(results) == 7
    for result in results:
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4)
