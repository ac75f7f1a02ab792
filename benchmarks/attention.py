"""What does it give to recognise attention that is spelled out in operators?

One layer with its projections in a session of raw onnxruntime: with the backend's passes, which make one `attention` of
the operators, and as an exported `.onnx` has it. `docs/models.md` has the forms that are recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from benchmarks.measure import Options, Report, bound, in_turn, main, seconds_per, session
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.backends.onnxruntime.passes.pipeline import prepared
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand
from webnn.runtime.draft import Draft

ROUNDS, SECONDS, SIZE = 7, 0.2, 64


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of attention: `queries` positions after `past` ones, whose keys are inputs."""

    name: str
    queries: int
    heads: int = 12
    groups: int = 12
    past: int = 0
    batch: int = 1
    mask: Literal["none", "padding", "causal"] = "none"


LAYERS: Final[Sequence[Layer]] = (
    Layer("64 positions", 64),
    Layer("256 positions", 256),
    Layer("1024 positions", 1024),
    Layer("128 positions, padding hidden", 128, mask="padding"),
    Layer("384 positions, padding hidden", 384, mask="padding"),
    Layer("8 texts of 64 positions, padding hidden", 64, batch=8, mask="padding"),
    Layer("1024 positions, causal", 1024, mask="causal"),
    Layer("128 positions, causal, 4 heads share keys", 128, 16, 4, mask="causal"),
    Layer("512 positions, causal, 4 heads share keys", 512, 16, 4, mask="causal"),
    Layer("1 position after 1023, 4 heads share keys", 1, 16, 4, past=1023, mask="padding"),
    Layer("32 positions after 480, padding hidden", 32, past=480, mask="padding"),
)


def spelled_out(layer: Layer) -> Graph:
    """The layer, as exporters write it."""
    random = np.random.default_rng(0)
    b: MLGraphBuilder[Graph] = MLGraphBuilder(Draft(SPEC_LIMITS))
    batch, queries, heads, keys = layer.batch, layer.queries, layer.heads, layer.past + layer.queries
    x = b.input("x", [batch, queries, heads * SIZE], "float32")

    def projected(operand: MLOperand, width: int) -> MLOperand:
        weights = random.standard_normal((operand.shape[-1], width), np.float32) * operand.shape[-1] ** -0.5
        return b.matmul(operand, b.constant(weights.astype(np.float32)))

    def split(count: int) -> MLOperand:
        rows = b.reshape(projected(x, count * SIZE), [batch, queries, count, SIZE])
        return b.transpose(rows, permutation=[0, 2, 1, 3])

    def joined(name: str) -> MLOperand:
        now = split(layer.groups)
        if layer.past:
            now = b.concat([b.input(name, [batch, layer.groups, layer.past, SIZE], "float32"), now], 2)
        outputs[name] = now
        if layer.groups == heads:
            return now
        five = [batch, layer.groups, heads // layer.groups, keys, SIZE]
        shared = b.expand(b.reshape(now, [batch, layer.groups, 1, keys, SIZE]), five)
        return b.reshape(shared, [batch, heads, keys, SIZE])

    outputs: dict[str, MLOperand] = {}
    query, key, value = split(heads), joined("key"), joined("value")
    if not layer.past:
        outputs.clear()
    scores = b.matmul(query, b.transpose(key, permutation=[0, 1, 3, 2]))
    scores = b.mul(scores, b.constant("float32", SIZE**-0.5))
    if layer.mask == "padding":
        scores = b.add(scores, b.input("mask", [batch, 1, 1, keys], "float32"))
    elif layer.mask == "causal":
        later = np.arange(keys) > np.arange(queries)[:, None] + layer.past
        scores = b.add(scores, b.constant(np.where(later, np.float32(-np.inf), np.float32(0))))
    merged = b.transpose(b.matmul(b.softmax(scores, 3), value), permutation=[0, 2, 1, 3])
    y = projected(b.reshape(merged, [batch, queries, heads * SIZE]), heads * SIZE)
    return b.build({"y": y, **{f"new {name}": operand for name, operand in outputs.items()}})


def run_of(graph: Graph, feeds: dict[str, np.ndarray[Any, Any]], **options: Any) -> Callable[[], None]:
    """A run of `graph`, lowered as it is, on arrays that are bound beforehand, in a session with `options`."""
    model = lower(graph, cpu_kernels())
    proto = model.finish()
    for weight in proto.graph.initializer:
        if weight.name in model.external:
            weight.raw_data = model.external[weight.name].tobytes()
            weight.ClearField("data_location")
    inputs = {model.input_names[name]: array for name, array in feeds.items()}
    outputs = {
        model.output_names[name]: np.zeros(each.shape, each.descriptor.dtype) for name, each in graph.outputs.items()
    }
    return bound(session(proto.SerializeToString(), spin=300, **options), inputs, outputs)


async def measure(report: Report, given: Options) -> None:
    """Add a row for each layer to `report`."""
    for layer in given.some(LAYERS, 2):
        graph = spelled_out(layer)
        random = np.random.default_rng(1)
        feeds = {name: random.standard_normal(each.shape, np.float32) for name, each in graph.inputs.items()}
        if "mask" in feeds:
            feeds["mask"] = np.where(np.arange(feeds["mask"].shape[-1]) % 8 == 7, np.float32(-1e9), np.float32(0))
            feeds["mask"] = np.broadcast_to(feeds["mask"], graph.inputs["mask"].shape).copy()
        ours, plain = run_of(prepared(graph), feeds), run_of(graph, feeds)
        count = max(3, int(SECONDS * given.scale / max(seconds_per(3, plain), 1e-6)))
        kinds = {"ours": lambda: seconds_per(count, ours), "plain": lambda: seconds_per(count, plain)}  # noqa: B023
        times = await in_turn(given.rounds(ROUNDS), kinds)
        report.times(layer.name, times["ours"], times["plain"], "ms")


if __name__ == "__main__":
    main(measure, peer="plain ONNX")
