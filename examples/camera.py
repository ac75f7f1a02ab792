"""Two networks on a camera, at 30 frames a second, newest first: one finds what moves, the other says what it is.

  python examples/camera.py [--seconds 5] [--rate 30]

The camera is simulated: a bright square moves in front of noise. The first network is built here, operator by operator:
it computes the difference from the background, averaged over cells of 16 x 16 pixels. The part of the frame around the
cell with the largest difference goes to the second network, SqueezeNet, from the test data in the package `onnx`. The
weights are placeholders: it takes as long as the real one, but cannot tell one class from another.

Frames that come while both networks are busy are not queued: of the waiting frames, the newest is taken and the others
are skipped. So a slow machine answers fewer frames, but does not fall behind.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

import webnn

NETWORK: Final = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"
HEIGHT, WIDTH, CELL, PART = 480, 640, 16, 224
SQUARE: Final = 64
"""Pixels of a side of what moves."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the camera.

    Attributes:
        number: how many came before it.
        taken: when, in seconds of `time.perf_counter`.
        pixels: [1, 3, height, width], from 0 to 1.
        place: the row and the column of the middle of what moves.
    """

    number: int
    taken: float
    pixels: Array
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the networks say about a frame.

    Attributes:
        place: the row and the column of the middle of the cell that differs most from the background.
        kind: the number of the class, of SqueezeNet's thousand.
    """

    place: tuple[int, int]
    kind: int


@dataclass(slots=True)
class Outcome:
    """The results of a while.

    Attributes:
        delays: seconds from taking a frame to its result.
        misses: the distance in pixels between what moved and where it was seen.
        left_out: the frames for which there was no time.
        seconds: how long it took.
    """

    delays: list[float] = field(default_factory=list)
    misses: list[float] = field(default_factory=list)
    left_out: int = 0
    seconds: float = 0.0


class Camera:
    """Frames at a steady rate. Each is taken at its time, whether or not the program waits for it.

    Args:
        rate: frames in a second.
        seconds: for how long.
    """

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate = rate
        self.count = max(1, round(rate * seconds))
        self.background = np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH), np.float32) / 2

    async def frames(self) -> AsyncIterator[Frame]:
        """The frames, in their order."""
        began = time.perf_counter()
        for number in range(self.count):
            await asyncio.sleep(max(0.0, began + number / self.rate - time.perf_counter()))
            yield self.frame(number)

    def frame(self, number: int) -> Frame:
        """A frame: the background, and a square that goes around."""
        turn = 2 * np.pi * number / 90
        row = int(HEIGHT / 2 + (HEIGHT / 2 - SQUARE) * np.sin(turn))
        column = int(WIDTH / 2 + (WIDTH / 2 - SQUARE) * np.cos(turn))
        pixels = self.background.copy()
        half = SQUARE // 2
        pixels[..., row - half : row + half, column - half : column + half] = 1.0
        return Frame(number, time.perf_counter(), pixels, (row, column))


def detector(context: webnn.MLContext, background: Array) -> webnn.MLGraph:
    """The first network: `frame` to `heat`, the mean difference of each cell, with `frame` handed on."""
    builder = context.create_graph_builder()
    frame = builder.input("frame", background.shape, "float32")
    difference = builder.abs(builder.sub(frame, builder.constant(background)))
    cells = builder.average_pool2d(difference, window_dimensions=[CELL, CELL], strides=[CELL, CELL])
    heat = builder.reduce_mean(cells, axes=[1], keep_dimensions=True)
    return builder.build({"heat": heat, "frame": builder.identity(frame)})


def part(outputs: dict[str, Array]) -> tuple[tuple[int, int], Array]:
    """The middle of the cell with the most heat, and the part of the frame around it."""
    heat = outputs["heat"][0, 0]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    middle = int(row) * CELL + CELL // 2, int(column) * CELL + CELL // 2
    top, left = min(max(middle[0] - PART // 2, 0), HEIGHT - PART), min(max(middle[1] - PART // 2, 0), WIDTH - PART)
    return middle, np.ascontiguousarray(outputs["frame"][..., top : top + PART, left : left + PART])


async def watch(context: webnn.MLContext, camera: Camera) -> Outcome:
    """Look at all frames of `camera` for which there is time."""
    find = await detector(context, camera.background)
    classify = await webnn.load_onnx(NETWORK, context=context)
    (pixels,), (classes,) = classify.inputs, classify.outputs

    def look(outputs: dict[str, Array]) -> Seen:
        """The second network, on the part of the frame that the first one has found."""
        middle, piece = part(outputs)
        found = context.compute(classify, {pixels: piece})
        return Seen(middle, int(found[classes].argmax()))

    look(context.compute(find, {"frame": camera.frame(0).pixels}))  # so that the first frame meets warm networks
    outcome, began = Outcome(), time.perf_counter()
    stream = context.stream(
        [find, look],
        camera.frames(),
        before=lambda frame: {"frame": frame.pixels},
        policy="latest",
        key=lambda frame: frame,
    )
    async for frame, seen in stream:
        outcome.delays.append(time.perf_counter() - frame.taken)
        outcome.misses.append(float(np.hypot(*np.subtract(seen.place, frame.place))))
    outcome.seconds = time.perf_counter() - began
    outcome.left_out = stream.statistics().left_out
    return outcome


def report(outcome: Outcome) -> str:
    """The figures of a while, in a few lines."""
    median, most, nearly_all = np.percentile(outcome.delays, [50, 90, 99]) * 1e3
    count, skipped = len(outcome.delays), outcome.left_out
    return "\n".join(
        [
            f"{count} frames in {outcome.seconds:.1f} s ({count / outcome.seconds:.1f} per second), {skipped} skipped",
            f"from frame to result: median {median:.1f} ms, 90 % {most:.1f} ms, 99 % {nearly_all:.1f} ms",
            f"the moving square was found within {max(outcome.misses):.0f} pixels of its centre",
        ]
    )


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=30.0, help="frames in a second")
    options = parser.parse_args()
    if not NETWORK.exists():
        sys.exit(f"{NETWORK} is missing: this version of onnx has no test data; pip install 'onnx>=1.20'")
    async with webnn.create_context() as context:
        print(report(await watch(context, Camera(options.rate, options.seconds))))


if __name__ == "__main__":
    asyncio.run(main())
