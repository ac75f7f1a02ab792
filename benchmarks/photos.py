"""A folder of photos, and how they are decoded.

Imports nothing of webnn, since peers that do not use it decode with these functions, in processes of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

__all__ = ["decoded", "photos"]

SIZE: Final = (500, 375)
"""Of a photo: that of most photos in ImageNet."""

Array = np.ndarray[Any, Any]


def photos(folder: Path, count: int) -> list[Path]:
    """JPEG files of smooth random pictures of about 30 KB; the same 50 again and again, under names of their own."""
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(min(50, count)):
        coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
        pictures.append(coarse.resize(SIZE, Image.Resampling.BICUBIC))
    files = []
    for i in range(count):
        files.append(folder / f"{i:05}.jpg")
        pictures[i % len(pictures)].save(files[-1], quality=90)
    return files


def decoded(shape: Sequence[int], file: Path) -> Array:
    """The pixels of a file as one item of a model's input: an image [3, height, width], or a row of gray values."""
    with Image.open(file) as image:
        if len(shape) == 3:
            pixels = np.asarray(image.convert("RGB").resize((shape[2], shape[1])), np.float32)
            return np.ascontiguousarray((pixels / 127.5 - 1).transpose(2, 0, 1))
        side = int(np.sqrt(shape[0]))
        return np.asarray(image.convert("L").resize((side, side)), np.float32).reshape(-1) / 255
