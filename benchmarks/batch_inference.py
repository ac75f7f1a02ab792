"""How fast is batch inference over a folder of images?

Ours: `webnn.Model("model.onnx", batch="batch").map(files, before=decode)`, which decodes and computes side by side. The
peer is the simplest loop: decode a file, run a session of onnxruntime with its defaults, continue with the next file.
Both decode with Pillow, by the same function. Each round is a pass over the whole folder, in a warm process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

import webnn
from benchmarks.measure import Options, Report, in_turn, main, session
from benchmarks.models import image_model, mlp

IMAGES, ROUNDS = 2000, 3
SIZE: Final = (500, 375)
"""Of an image in the folder: that of most photos in ImageNet."""
LARGEST: Final = 1e-4
"""The largest difference between the results of both."""

Array = np.ndarray[Any, Any]


def open_batch(model: bytes) -> bytes:
    """The ONNX model with its first dimension open, called "batch"."""
    proto = onnx.load_from_string(model)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for tensor in proto.graph.initializer:
        if tensor.name == "shape":
            shape = numpy_helper.to_array(tensor).copy()
            shape[0] = -1
            tensor.CopyFrom(numpy_helper.from_array(shape, "shape"))
    serialized: bytes = proto.SerializeToString()
    return serialized


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


def saved(folder: Path, model: bytes) -> Path:
    """A file of the model."""
    path = folder / "model.onnx"
    path.write_bytes(model)
    return path


def decoded(shape: Sequence[int], file: Path) -> Array:
    """The pixels of a file as one item of a model's input: an image [3, height, width], or a row of gray values."""
    with Image.open(file) as image:
        if len(shape) == 3:
            pixels = np.asarray(image.convert("RGB").resize((shape[2], shape[1])), np.float32)
            return np.ascontiguousarray((pixels / 127.5 - 1).transpose(2, 0, 1))
        side = int(np.sqrt(shape[0]))
        return np.asarray(image.convert("L").resize((side, side)), np.float32).reshape(-1) / 255


def plain_loop(model: bytes, decode: Callable[[Path], Array], name: str) -> Callable[[Sequence[Path]], list[Array]]:
    """The peer."""
    raw = session(model)
    return lambda files: [raw.run(None, {name: decode(file)[None]})[0][0] for file in files]


def seconds_per_file(run: Callable[[Sequence[Path]], list[Array]], files: Sequence[Path]) -> float:
    """Seconds for each file of a pass over all of them."""
    began = time.perf_counter()
    assert len(run(files)) == len(files)
    return (time.perf_counter() - began) / len(files)


async def measure(report: Report, options: Options) -> None:
    """Add the rates of several models to `report`."""
    models = [image_model(options.models), mlp("MLP of 3 layers on gray values", [1024, 1024, 1024, 10])]
    with tempfile.TemporaryDirectory() as folder:
        files = photos(Path(folder), options.count(IMAGES, 16))
        for kind in models:
            data = open_batch(kind.onnx())
            path = saved(Path(folder), data)
            name, frame = kind.input
            decode = partial(decoded, frame.shape[1:])
            loop = plain_loop(data, decode, name)
            with webnn.Model(path, batch="batch") as model:

                def mapped(
                    files: Sequence[Path], model: webnn.Model = model, decode: Any = decode, name: str = kind.output[0]
                ) -> list[Array]:
                    return [outputs[name] for outputs in model.map(files, before=decode, progress=False)]

                for ours, theirs in zip(mapped(files[:40]), loop(files[:40]), strict=True):
                    assert np.abs(ours - theirs).max() <= LARGEST * max(1.0, np.abs(theirs).max())
                times = await in_turn(
                    options.rounds(ROUNDS),
                    {
                        "ours": partial(seconds_per_file, mapped, files),
                        "raw": partial(seconds_per_file, loop, files),
                    },
                )
            report.rates(f"{kind.name}, {len(files)} files", times["ours"], times["raw"], bar=1.3)


if __name__ == "__main__":
    main(measure, peer="onnxruntime in a loop")
