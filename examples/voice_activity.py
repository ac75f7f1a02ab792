"""Find speech in a recording: Silero VAD, streamed frame by frame with the state that it keeps.

  python examples/voice_activity.py [FILE.wav] [--weights WEIGHTS]

FILE.wav has 16 kHz, one channel, 16 bits. Its frames of 32 ms go through a stream, which gives the probability that
each of them holds speech. The stream passes the state of the LSTM, with which the network remembers earlier frames,
from one frame to the next. Without FILE.wav, the program makes 5 s of sound: noise, a whistle, a voice that sings five
vowels, and noise again. The network hears speech in the vowels alone.

The weights are in the PyPI package `silero-vad`: `pip install --no-deps silero-vad==6.2.3`. WEIGHTS may be another
`silero_vad_op18_ifless.onnx` or `silero_vad_16k.safetensors`. The two were trained separately: the network is the same,
but the probabilities differ a little.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import time
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

import webnn

WEIGHTS: Final = "silero_vad_op18_ifless.onnx"
NAMES: Final = {
    "stft_conv.weight": "stft.forward_basis_buffer",
    **{f"conv{i}.{part}": f"encoder.{i - 1}.reparam_conv.{part}" for i in (1, 2, 3, 4) for part in ("weight", "bias")},
    **{f"lstm_cell.{part}": f"decoder.rnn.{part}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
    **{f"final_conv.{part}": f"decoder.decoder.2.{part}" for part in ("weight", "bias")},
}
"""What the weights are called in the SafeTensors file and, after `model.`, in the ONNX file."""
RATE: Final = 16_000
NEW: Final = 512
"""Samples in a frame that no frame before has had."""
OLD: Final = 64
"""Samples of the frame before that are shown to the network again."""
HIDDEN: Final = 128
VOWELS: Final = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
"""The resonances of the mouth that make each vowel, in Hz, the strongest first."""

Array = np.ndarray[Any, Any]


def installed() -> Path | None:
    """The weights in the installed package; None if there is none. The package's own code is not run."""
    spec = importlib.util.find_spec("silero_vad")
    return Path(spec.origin).parent / "data" / WEIGHTS if spec is not None and spec.origin is not None else None


def load(path: Path) -> Mapping[str, Array]:
    """The weights for 16 kHz by the names of the SafeTensors file."""
    if path.suffix == ".safetensors":
        return webnn.load_safetensors(path)
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    return {name: arrays[f"model.{other}"] for name, other in NAMES.items()}


def build(context: webnn.MLContext, weights: Path) -> webnn.MLGraph:
    """The network: `samples` and the state `h`, `c` to `speech`, a probability, and the state `next_h`, `next_c`."""
    builder = context.create_graph_builder()
    constant = {name: builder.constant(array) for name, array in load(weights).items()}

    def convolve(x: webnn.MLOperand, name: str, *, stride: int, padding: int) -> webnn.MLOperand:
        """One-dimensional, as a picture of height 1."""
        weight = constant[f"{name}.weight"]
        return builder.conv2d(
            x,
            builder.reshape(weight, [*weight.shape[:2], 1, weight.shape[2]]),
            bias=constant.get(f"{name}.bias"),
            strides=[1, stride],
            padding=[0, 0, padding, padding],
            label=name,
        )

    x = builder.input("samples", [1, OLD + NEW], "float32")
    h, c = (builder.input(name, [1, HIDDEN], "float32") for name in ("h", "c"))
    x = builder.pad(x, [0, 0], [0, OLD], mode="reflection")
    # The spectrum: a convolution with waves, cosines first and sines after them.
    x = convolve(builder.reshape(x, [1, 1, 1, 2 * OLD + NEW]), "stft_conv", stride=128, padding=0)
    real, imaginary = builder.split(x, 2, axis=1)
    x = builder.sqrt(builder.add(builder.mul(real, real), builder.mul(imaginary, imaginary)))
    for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
        x = builder.relu(convolve(x, name, stride=stride, padding=1))
    next_h, next_c = builder.lstm_cell(
        builder.reshape(x, [1, HIDDEN]),
        constant["lstm_cell.weight_ih"],
        constant["lstm_cell.weight_hh"],
        h,
        c,
        HIDDEN,
        bias=constant["lstm_cell.bias_ih"],
        recurrent_bias=constant["lstm_cell.bias_hh"],
        layout="ifgo",
    )
    last = builder.reshape(constant["final_conv.weight"], [1, HIDDEN])
    speech = builder.sigmoid(builder.gemm(builder.relu(next_h), last, b_transpose=True, c=constant["final_conv.bias"]))
    return builder.build({"speech": speech, "next_h": next_h, "next_c": next_c})


def read(path: Path) -> Array:
    """The samples of a recording, -1 to 1."""
    with wave.open(str(path)) as file:
        found = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        if found != (RATE, 1, 2):
            raise ValueError(f"{path.name} must have {RATE} Hz, 1 channel and 2 bytes, it has {found}")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def vowel(letter: str, seconds: float = 0.25) -> Array:
    """A sung vowel: the overtones of a falling pitch, each as loud as the resonances make it."""
    time = np.arange(int(RATE * seconds)) / RATE
    pitch = np.linspace(130, 100, time.size) * (1 + 0.02 * np.sin(2 * np.pi * 5 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound = np.zeros(time.size)
    for overtone in range(1, 40):
        distances = [(overtone * pitch - resonance) / 80 for resonance in VOWELS[letter]]
        loudness = sum(weight / (1 + distance**2) for weight, distance in zip((1, 0.5, 0.3), distances, strict=True))
        sound += loudness / overtone**0.5 * np.sin(overtone * phase)
    edges: Array = np.clip(10 * np.minimum(time, seconds - time) / seconds, 0, 1)
    sound *= 0.3 * edges / np.abs(sound).max()
    return sound


def sung() -> Array:
    """The samples of a second of noise and one of a whistle, five vowels after 2.5 s, and noise from 4.25 s."""
    rng, second = np.random.default_rng(0), np.arange(RATE) / RATE
    noises = rng.normal(0, 0.05, (2, RATE))
    silence = np.zeros(RATE // 2)
    whistle = 0.3 * np.sin(2 * np.pi * 440 * second)
    parts = [noises[0], whistle, silence, *(vowel(letter) for letter in VOWELS), silence, noises[1]]
    return np.concatenate(parts).astype(np.float32)


def frames(samples: Array) -> Iterator[Array]:
    """The inputs of the network: each frame, preceded by the end of the one before."""
    padded = np.concatenate([np.zeros(OLD, np.float32), samples])
    for start in range(0, samples.size - NEW + 1, NEW):
        yield padded[None, start : start + OLD + NEW]


def probabilities(context: webnn.MLContext, graph: webnn.MLGraph, samples: Array) -> webnn.Stream[float]:
    """How likely each frame is to hold speech, in order."""
    return context.stream(
        graph,
        frames(samples),
        before=lambda frame: {"samples": frame},
        after=lambda outputs: float(outputs["speech"].item()),
        state={"next_h": "h", "next_c": "c"},
    )


def spoken(found: Array, threshold: float = 0.5) -> Iterator[tuple[float, float]]:
    """The beginning and end of each stretch of speech, in seconds."""
    speaks = np.concatenate([[False], found > threshold, [False]])
    edges = np.flatnonzero(speaks[1:] != speaks[:-1]) * NEW / RATE
    yield from zip(edges[::2], edges[1::2], strict=True)


async def listen(context: webnn.MLContext, graph: webnn.MLGraph, samples: Array) -> tuple[Array, float]:
    """The probabilities of all frames, and how much of the recording's length that took: the real-time factor."""
    started = time.perf_counter()
    found = [probability async for probability in probabilities(context, graph, samples)]
    return np.array(found, np.float32), (time.perf_counter() - started) * RATE / samples.size


async def main(samples: Array, weights: Path) -> None:
    async with webnn.create_context(accelerated=False) as context:
        graph = await build(context, weights)
        await listen(context, graph, samples[: 10 * NEW])  # the first runs make buffers that the others reuse
        found, factor = await listen(context, graph, samples)
        for begin, end in spoken(found):
            print(f"speech from {begin:.2f} s to {end:.2f} s")
        print(f"{samples.size / RATE:.2f} s of sound, {len(found)} frames, real-time factor {factor:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Find speech in a recording with Silero VAD.")
    parser.add_argument("file", nargs="?", type=Path, help="16 kHz, mono, 16 bit; default: five sung vowels")
    parser.add_argument("--weights", type=Path, help="an .onnx or .safetensors file; default: those of silero-vad")
    arguments = parser.parse_args()
    weights = arguments.weights or installed()
    if weights is None or not weights.exists():
        sys.exit("the weights are missing: pip install --no-deps silero-vad==6.2.3, or give --weights FILE")
    try:
        samples = read(arguments.file) if arguments.file else sung()
    except (OSError, ValueError, wave.Error) as error:
        sys.exit(f"{arguments.file}: {error}")
    asyncio.run(main(samples, weights))
