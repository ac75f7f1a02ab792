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

import webnn
from benchmarks.measure import Options, Report, in_turn, main, session
from benchmarks.models import image_model, mlp
from benchmarks.photos import decoded, photos

IMAGES, ROUNDS = 2000, 3
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


def saved(folder: Path, model: bytes) -> Path:
    """A file of the model."""
    path = folder / "model.onnx"
    path.write_bytes(model)
    return path


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
        for kind in (each for each in models if options.has(each.name)):
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
