"""How long does a token take with a KV cache that is kept in tensors?

A decoder of four layers and width 256 writes one position of its caches in each step (`scatter_elements`). Ours: one
set of cache tensors, named as inputs and outputs of the same dispatch; and two sets in turn, as programs that follow
the specification do it. Raw: the same graph as ONNX, with two sets of arrays bound in turn, which copies both caches in
each layer; and with one set bound as inputs and outputs, for which onnxruntime happens to give the right results. Also
with a cache that is full already, whereas the others are filled from the start; with keys and values that two heads
share; and with a cache that is written by `scatter_nd`. Each side rests before its turn, until the threads of the other
one have stopped spinning. Without the rest, they take one of two cores for as long as the turn lasts: a token with a
cache of 128 then takes 1.4 to 1.7 of onnxruntime's time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

import webnn
from benchmarks.measure import Options, Report, bound, in_turn, main, session

CACHES: Final = (128, 512, 1024, 2048)
BARS: Final = {128: 1.0, 1024: 0.6}
LAYERS, WIDTH, HEADS, WORDS = 4, 256, 4, 1000
DEPTH: Final = WIDTH // HEADS
OTHERS: Final = {"2 of 4 heads for keys": (2, "elements"), "by scatter_nd": (HEADS, "slices")}
"""Other decoders: their heads of keys and values, and what a scatter writes."""
CACHE_NAMES: Final = tuple(f"{kind}{i}" for i in range(LAYERS) for kind in "kv")
STEPS, ROUNDS = 100, 7

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, webnn.MLTensor]


async def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    for cache in options.some(CACHES):
        times = await _times(cache, options)
        swapped = times["raw, two sets"]
        report.times(f"cache of {cache}, two sets in turn", times["two sets"], swapped, bar=BARS.get(cache))
        report.times(f"cache of {cache}, one set", times["one set"], swapped)
        report.times(f"cache of {cache}, raw in place", times["raw, one set"], swapped)
    times = await _times(1024, options, is_full=True)
    report.times("cache of 1024, full", times["two sets"], times["raw, two sets"])
    for name, (groups, written) in OTHERS.items():
        times = await _times(512, options, groups, written)
        report.times(f"cache of 512, {name}", times["two sets"], times["raw, two sets"])


def build(builder: webnn.MLGraphBuilder[Any], cache: int, groups: int = HEADS, written: str = "elements") -> Any:
    """The decoder: the hidden state of a token, its position and a mask in; logits and the caches out.

    Args:
        builder: of the context.
        cache: the positions in the cache.
        groups: the heads of keys and values, which the heads of the query share.
        written: what a scatter writes, "elements" or "slices".
    """
    random = np.random.default_rng(0)
    b = builder

    def weight(*shape: int) -> webnn.MLOperand:
        return b.constant(random.standard_normal(shape, np.float32) * np.float32(shape[0] ** -0.5))

    x, mask = b.input("x", [1, WIDTH], "float32"), b.input("mask", [1, 1, 1, cache], "float32")
    position = b.input("position", _position(0, groups, written).shape, "int64")
    scale = b.constant("float32", DEPTH**-0.5)
    outputs = {}
    for i in range(LAYERS):
        y = b.layer_normalization(x, axes=[1])
        query = b.reshape(b.matmul(y, weight(WIDTH, WIDTH)), [1, groups, HEADS // groups, DEPTH])
        key, value = (b.reshape(b.matmul(y, weight(WIDTH, groups * DEPTH)), [1, groups, 1, DEPTH]) for _ in range(2))
        caches = []
        for kind, row in (("k", key), ("v", value)):
            old = b.input(f"{kind}{i}", [1, groups, cache, DEPTH], "float32")
            is_slice = written == "slices"
            caches.append(
                b.scatter_nd(old, position, row) if is_slice else b.scatter_elements(old, position, row, axis=2)
            )
            outputs[f"new_{kind}{i}"] = caches[-1]
        scores = b.mul(b.matmul(query, b.transpose(caches[0], permutation=[0, 1, 3, 2])), scale)
        attended = b.matmul(b.softmax(b.add(scores, mask), 3), caches[1])
        x = b.add(x, b.matmul(b.reshape(attended, [1, WIDTH]), weight(WIDTH, WIDTH)))
        hidden = b.relu(b.matmul(b.layer_normalization(x, axes=[1]), weight(WIDTH, 4 * WIDTH)))
        x = b.add(x, b.matmul(hidden, weight(4 * WIDTH, WIDTH)))
    outputs["logits"] = b.matmul(x, weight(WIDTH, WORDS))
    return b.build(outputs)


def _position(step: int, groups: int, written: str) -> Array:
    """The indices that a step writes to."""
    if written == "elements":
        return np.full((1, groups, 1, DEPTH), step)
    return np.array([[[[0, group, step]] for group in range(groups)]])


async def _times(
    cache: int, options: Options, groups: int = HEADS, written: str = "elements", *, is_full: bool = False
) -> dict[str, list[float]]:
    steps = min(options.count(STEPS, 2), cache)
    first = cache - steps if is_full else 0
    embeddings = np.random.default_rng(1).standard_normal((WORDS, 1, WIDTH), np.float32)
    masks = np.triu(np.full((cache, cache), -1e9, np.float32), 1).reshape(cache, 1, 1, 1, cache)[first:]
    positions = [_position(i, groups, written) for i in range(first, first + steps)]
    empty = np.zeros((1, groups, cache, DEPTH), np.float32)
    async with webnn.ML().create_context(accelerated=False) as context:
        graph = await build(context.create_graph_builder(), cache, groups, written)
        tensors = {name: context.create_tensor(d.shape, d.data_type, writable=True) for name, d in graph.inputs.items()}
        logits = context.create_tensor([1, WORDS], "float32", readable=True)
        there = {name: tensors[name] for name in CACHE_NAMES}
        back = {name: context.create_tensor(empty.shape, "float32", writable=True) for name in CACHE_NAMES}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "decoder.onnx"
            graph.save(path)
            raw = session(str(path))  # type: ignore[arg-type]  # a path, since the weights are beside it

        async def ours(read: Tensors, written: Tensors) -> tuple[float, list[int]]:
            for name in CACHE_NAMES:
                context.write_tensor(read[name], empty)
            token, tokens = 1, []
            started = time.perf_counter()
            for i in range(steps):
                context.write_tensor(tensors["x"], embeddings[token])
                context.write_tensor(tensors["position"], positions[i])
                context.write_tensor(tensors["mask"], masks[i])
                new = {f"new_{name}": tensor for name, tensor in written.items()}
                context.dispatch(graph, {**tensors, **read}, {**new, "logits": logits})
                token = int((await context.read_tensor(logits)).argmax())
                tokens.append(token)
                read, written = written, read
            return (time.perf_counter() - started) / steps, tokens

        one, two = (_raw(raw, empty, positions[0], sets=sets) for sets in (1, 2))

        def theirs(step: Callable[[int, Array, Array, Array], int]) -> tuple[float, list[int]]:
            token, tokens = 1, []
            started = time.perf_counter()
            for i in range(steps):
                token = step(i, embeddings[token], positions[i], masks[i])
                tokens.append(token)
            return (time.perf_counter() - started) / steps, tokens

        expected = theirs(two)[1]

        async def seconds_of_ours(read: Tensors, written: Tensors) -> float:
            seconds, tokens = await ours(read, written)
            assert tokens == expected
            return seconds

        def seconds_of_theirs(step: Callable[[int, Array, Array, Array], int]) -> float:
            seconds, tokens = theirs(step)
            assert tokens == expected
            return seconds

        return await in_turn(
            options.rounds(ROUNDS),
            {
                "raw, two sets": lambda: seconds_of_theirs(two),
                "raw, one set": lambda: seconds_of_theirs(one),
                "two sets": lambda: seconds_of_ours(there, back),
                "one set": lambda: seconds_of_ours(there, there),
            },
        )


def _raw(raw: Any, empty: Array, start: Array, *, sets: int) -> Callable[[int, Array, Array, Array], int]:
    """A step of a session with `sets` sets of caches; step 0 begins with empty ones."""
    caches = [{name: empty.copy() for name in CACHE_NAMES} for _ in range(sets)]
    x, position = np.zeros((1, WIDTH), np.float32), start.copy()
    mask, logits = np.zeros((1, 1, 1, empty.shape[2]), np.float32), np.zeros((1, WORDS), np.float32)
    runs = []
    for i in range(sets):
        outputs = {f"new_{name}": array for name, array in caches[(i + 1) % sets].items()} | {"logits": logits}
        runs.append(bound(raw, {"x": x, "position": position, "mask": mask, **caches[i]}, outputs))

    def step(i: int, embedding: Array, at: Array, visible: Array) -> int:
        if i == 0:
            for array in caches[0].values():
                array.fill(0)
        np.copyto(x, embedding)
        np.copyto(position, at)
        np.copyto(mask, visible)
        runs[i % sets]()
        return int(logits.argmax())

    return step


if __name__ == "__main__":
    main(measure, peer="OrtValues swapped by hand")
