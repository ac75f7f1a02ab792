"""Silero VAD over recordings, frame by frame: the probabilities that PyTorch gives, with the state kept in tensors."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

import webnn
from examples import voice_activity as example

SHARED = Path(os.environ.get("WEBNN_SHARED") or Path(__file__).resolve().parents[3] / "shared")
MODEL = SHARED / "models" / "silero_vad"
WEIGHTS = MODEL / example.WEIGHTS
TENSORS = MODEL / "silero_vad_16k.safetensors"

with_recordings = pytest.mark.skipif(not WEIGHTS.exists(), reason=f"no {WEIGHTS}: set WEBNN_SHARED")


@pytest.fixture(scope="module")
def expected() -> dict[str, example.Array]:
    return dict(np.load(MODEL / "expected.npz"))


async def heard(samples: example.Array, weights: Path, backend: str) -> example.Array:
    async with webnn.ML().create_context(backend=backend) as context:
        found, factor = await example.listen(context, await example.build(context, weights), samples)
        assert 0 < factor < 10
        return found


@with_recordings
@pytest.mark.parametrize("recording", ["speech_16k", "synthetic_16k"])
def test_the_probabilities_are_those_of_pytorch(recording: str, expected: dict[str, example.Array]) -> None:
    found = asyncio.run(heard(example.read(MODEL / f"{recording}.wav"), WEIGHTS, "onnxruntime"))
    np.testing.assert_allclose(found, expected[recording], rtol=0, atol=1e-4)


@with_recordings
def test_both_backends_hear_the_same(expected: dict[str, example.Array]) -> None:
    samples = example.read(MODEL / "speech_16k.wav")[: 20 * example.NEW]
    found = asyncio.run(heard(samples, WEIGHTS, "arrays"))
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


@pytest.mark.skipif(example.installed() is None, reason="needs the weights of silero-vad: make test installs them")
def test_speech_is_heard_in_vowels_and_not_in_noise_or_a_whistle(capsys: pytest.CaptureFixture[str]) -> None:
    weights = example.installed()
    assert weights is not None
    asyncio.run(example.main(example.sung(), weights))
    speech, summary = capsys.readouterr().out.splitlines()
    begin, end = (float(word) for word in speech.split() if word[0].isdigit())
    assert 2.4 < begin < 2.6
    assert 3.7 < end < 3.9
    assert summary.startswith("5.25 s of sound, 164 frames, real-time factor 0.")
