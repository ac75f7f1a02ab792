"""Find and read the words in a picture: a text detector, and then a text recognizer.

  python examples/read_text.py [IMAGE]

The networks are those of PP-OCRv4, two ONNX files in the PyPI package `rapidocr-onnxruntime`. Install it with `pip
install --no-deps --ignore-requires-python rapidocr-onnxruntime==1.4.4`; the package's own code, which is for Python
before 3.13, is not run. Without an IMAGE, the program draws one. It finds lines of horizontal text. Both networks take
pictures of any size, so they are `webnn.Model`s, which compile a graph for each size.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from PIL import Image, ImageDraw, ImageFont

import webnn

PACKAGE: Final = "rapidocr_onnxruntime"
MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION: Final = np.array([0.229, 0.224, 0.225], np.float32)
HEIGHT: Final = 48
"""Pixels of a line that the recognizer reads."""
STEP: Final = 160
"""Widths of lines are rounded up to multiples of this, so that a few graphs do for all lines."""
THRESHOLD: Final = 0.3
"""The probability from which a pixel belongs to text."""

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]


def models() -> Path | None:
    """The folder of the models in the installed package; None if there is none."""
    spec = importlib.util.find_spec(PACKAGE)
    return Path(spec.origin).parent / "models" if spec is not None and spec.origin is not None else None


def drawn() -> Image.Image:
    """A picture with three lines of text."""
    image = Image.new("RGB", (640, 240), "white")
    draw = ImageDraw.Draw(image)
    for i, text in enumerate(["Hello from Python", "one graph, two models", "2026"]):
        draw.text((30, 20 + 70 * i), text, fill="black", font=ImageFont.load_default(44))
    return image


def runs(marks: Array, gap: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch of true `marks`; stretches up to `gap` apart are one."""
    places = np.flatnonzero(marks)
    if places.size:
        cuts = np.flatnonzero(np.diff(places) > gap + 1)
        yield from zip(places[[0, *(cuts + 1)]].tolist(), (places[[*cuts, -1]] + 1).tolist(), strict=True)


def lines_in(probabilities: Array) -> Iterator[Box]:
    """Left, top, right and bottom of each line in the detector's map [height, width], in reading order."""
    text: Array = probabilities > THRESHOLD
    for top, bottom in runs(np.any(text, 1), gap=0):
        for left, right in runs(np.any(text[top:bottom], 0), gap=2 * (bottom - top)):
            height = bottom - top  # of the core of the line, which the detector marks
            yield max(0, left - height), max(0, top - height // 2), right + height, bottom + height // 2


def detector_input(image: Image.Image) -> Array:
    """float32 [1, 3, height, width], multiples of 32."""
    width, height = (max(32, round(size / 32) * 32) for size in image.size)
    pixels = np.asarray(image.resize((width, height)), np.float32) / 255
    return ((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)[None]


def recognizer_input(line: Image.Image) -> Array:
    """float32 [1, 3, HEIGHT, width]: the line, and grey behind it."""
    width = max(1, round(line.width * HEIGHT / line.height))
    pixels = np.zeros((1, 3, HEIGHT, -(-width // STEP) * STEP), np.float32)
    pixels[0, :, :, :width] = (np.asarray(line.resize((width, HEIGHT)), np.float32) / 127.5 - 1).transpose(2, 0, 1)
    return pixels


def spelled(probabilities: Array, characters: list[str]) -> str:
    """The text of the recognizer's [1, steps, characters]: repetitions and blanks, which come first, are left out."""
    best = probabilities[0].argmax(axis=1)
    kept = (best != 0) & (np.diff(best, prepend=0) != 0)
    return "".join(characters[i - 1] for i in best[kept]).strip()


async def read(image: Image.Image, folder: Path) -> list[tuple[Box, str]]:
    """Every line of text in `image`, with its box in pixels. All lines are recognized at the same time."""
    file = folder / "ch_PP-OCRv4_rec_infer.onnx"
    metadata = {each.key: each.value for each in onnx.load(file, load_external_data=False).metadata_props}
    characters = [*metadata["character"].splitlines(), " "]
    with webnn.Model(folder / "ch_PP-OCRv4_det_infer.onnx") as detector, webnn.Model(file) as recognizer:
        given = detector_input(image)
        (found,) = (await detector.run({"x": given})).values()
        across, down = image.width / given.shape[3], image.height / given.shape[2]
        boxes = [
            (round(left * across), round(top * down), min(image.width, round(right * across)), round(bottom * down))
            for left, top, right, bottom in lines_in(found[0, 0])
        ]
        results = [recognizer.run({"x": recognizer_input(image.crop(box))}) for box in boxes]
        texts = await asyncio.gather(*results)
    return [(box, spelled(next(iter(each.values())), characters)) for box, each in zip(boxes, texts, strict=True)]


async def main(path: Path | None) -> None:
    """Read `path`, or the drawn picture, and print its lines."""
    folder = models()
    if folder is None:
        package = f"{PACKAGE.replace('_', '-')}==1.4.4"
        sys.exit(f"the models are missing: pip install --no-deps --ignore-requires-python {package}")
    try:
        image = drawn() if path is None else Image.open(path).convert("RGB")
    except OSError as error:  # no such file, or not a picture
        sys.exit(f"{path}: {error.strerror or error}")
    for (left, top, right, bottom), text in await read(image, folder):
        print(f"{left:4d},{top:4d} to {right:4d},{bottom:4d}: {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Read the text in a picture.")
    parser.add_argument("image", nargs="?", type=Path)
    asyncio.run(main(parser.parse_args().image))
