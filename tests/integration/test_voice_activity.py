"""Silero VAD over recordings, frame by frame: the probabilities that PyTorch gives, with the state kept in tensors."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

import webnn
from examples import voice_activity as example

MODEL = example.MODEL
TENSORS = MODEL / "silero_vad_16k.safetensors"

pytestmark = pytest.mark.skipif(not example.WEIGHTS.exists(), reason=f"the weights of Silero VAD are not in {MODEL}")


@pytest.fixture(scope="module")
def expected() -> dict[str, example.Array]:
    return dict(np.load(MODEL / "expected.npz"))


async def heard(samples: example.Array, weights: Path, backend: str) -> example.Array:
    async with webnn.ML().create_context(backend=backend) as context:
        found, factor = await example.listen(context, await example.build(context, weights), samples)
        assert 0 < factor < 10
        return found


@pytest.mark.parametrize("recording", ["speech_16k", "synthetic_16k"])
def test_the_probabilities_are_those_of_pytorch(recording: str, expected: dict[str, example.Array]) -> None:
    found = asyncio.run(heard(example.read(MODEL / f"{recording}.wav"), example.WEIGHTS, "onnxruntime"))
    np.testing.assert_allclose(found, expected[recording], rtol=0, atol=1e-4)


def test_both_backends_hear_the_same(expected: dict[str, example.Array]) -> None:
    samples = example.read(MODEL / "speech_16k.wav")[: 20 * example.NEW]
    found = asyncio.run(heard(samples, example.WEIGHTS, "arrays"))
    np.testing.assert_allclose(found, expected["speech_16k"][:20], rtol=0, atol=1e-4)


@pytest.mark.skipif(not TENSORS.exists(), reason=f"there is no {TENSORS}")
def test_the_weights_of_the_other_training_hear_nearly_the_same(expected: dict[str, example.Array]) -> None:
    samples = example.read(MODEL / "speech_16k.wav")
    found = asyncio.run(heard(samples, TENSORS, "onnxruntime"))
    assert ((found > 0.5) == (expected["speech_16k"] > 0.5)).mean() > 0.95
    np.testing.assert_allclose(
        found[:20], asyncio.run(heard(samples[: 20 * example.NEW], TENSORS, "arrays")), atol=1e-4
    )


def test_speech_is_told_as_seconds() -> None:
    found = np.array([0, 1, 1, 0, 0, 1], np.float32)
    frame = example.NEW / example.RATE
    assert list(example.spoken(found)) == [(frame, 3 * frame), (5 * frame, 6 * frame)]
    assert list(example.spoken(found[:1])) == []


def test_the_example_prints_where_there_is_speech(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(example.main(MODEL / "speech_16k.wav", example.WEIGHTS))
    printed = capsys.readouterr().out
    assert "speech" in printed
    assert "173 frames, real-time factor" in printed
