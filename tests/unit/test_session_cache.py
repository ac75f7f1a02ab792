"""Compiled graphs are found again by structure and by the content of their constants, and never by mistake."""

from __future__ import annotations

import gc
import mmap
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import pytest

import webnn
from tests.direct import direct_builder
from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.backends.null import NullBackend
from webnn.backends.session_cache import SESSION_BYTES, SessionCache, Use
from webnn.errors import OperationError
from webnn.graph.builder import COPIED_BYTES, MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand
from webnn.memory.mapped import map_file

Array: TypeAlias = np.ndarray[Any, Any]
OPTIONS = CompileOptions()


class CountingBackend(NullBackend):
    """Counts what it compiles."""

    name = "counting"

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.compiled = 0
        self._before = before

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        self.compiled += 1
        self._before()
        return super().compile(graph, options, cancellation)


@pytest.fixture
def backend() -> CountingBackend:
    return CountingBackend()


@pytest.fixture
def cache() -> SessionCache:
    return SessionCache()


def graph_of(build: Callable[[MLGraphBuilder[Graph], MLOperand], MLOperand], shape: tuple[int, ...] = (4,)) -> Graph:
    builder = direct_builder()
    return builder.build({"y": build(builder, builder.input("x", shape, "float32"))})


def adding(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]], label: str = "") -> Graph:
    return graph_of(lambda b, x: b.add(x, b.constant(array), label=label), array.shape)


def compile(cache: SessionCache, backend: Backend, graph: Graph, options: CompileOptions = OPTIONS) -> Use:
    return cache.compile(backend, graph, options, Cancellation())


LARGE = COPIED_BYTES // 4 + 1
"""Elements of float32 that are not copied."""


def ones(count: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.ones(count, np.float32)


# What is the same.


def test_two_equal_graphs_compile_once(cache: SessionCache, backend: CountingBackend) -> None:
    first = compile(cache, backend, graph_of(lambda b, x: b.relu(x)))
    second = compile(cache, backend, graph_of(lambda b, x: b.relu(x)))
    assert first.entry is second.entry
    assert backend.compiled == 1
    assert first.entry.users == 2
    assert (cache.statistics.hits, cache.statistics.misses, cache.statistics.entries) == (1, 1, 1)


def test_one_array_given_twice_is_the_same_and_so_is_a_small_copy(
    cache: SessionCache, backend: CountingBackend
) -> None:
    weights = ones()
    first = compile(cache, backend, adding(weights))
    assert compile(cache, backend, adding(weights)).entry is first.entry
    assert compile(cache, backend, adding(weights.copy())).entry is first.entry
    assert backend.compiled == 1


def test_one_large_array_given_twice_is_the_same_and_its_copy_is_not(
    cache: SessionCache, backend: CountingBackend
) -> None:
    weights = ones(LARGE)
    first = compile(cache, backend, adding(weights))
    assert compile(cache, backend, adding(weights)).entry is first.entry
    assert compile(cache, backend, adding(weights[:])).entry is first.entry
    assert first.entry.constants[0] is weights  # kept once, and not copied
    # The owner of `weights` may change them when the first graph is gone, and a graph of the copy may still live then.
    assert compile(cache, backend, adding(weights.copy())).entry is not first.entry


def test_large_bytes_are_the_same_wherever_they_are(cache: SessionCache, backend: CountingBackend) -> None:
    data = ones(LARGE).tobytes()
    first = compile(cache, backend, adding(np.frombuffer(data, np.float32)))
    assert compile(cache, backend, adding(np.frombuffer(bytes(bytearray(data)), np.float32))).entry is first.entry
    assert compile(cache, backend, adding(ones(LARGE))).entry is first.entry
    assert compile(cache, backend, adding(2 * ones(LARGE))).entry is not first.entry


def test_labels_make_no_difference(cache: SessionCache, backend: CountingBackend) -> None:
    assert compile(cache, backend, adding(ones(), "a")).entry is compile(cache, backend, adding(ones(), "b")).entry


def test_the_order_in_which_constants_were_made_makes_no_difference(
    cache: SessionCache, backend: CountingBackend
) -> None:
    def in_order(b: MLGraphBuilder[Graph], x: MLOperand) -> MLOperand:
        one, two = b.constant(ones()), b.constant(2 * ones())
        return b.add(b.mul(x, one), two)

    def reversed_order(b: MLGraphBuilder[Graph], x: MLOperand) -> MLOperand:
        two, one = b.constant(2 * ones()), b.constant(ones())
        return b.add(b.mul(x, one), two)

    assert compile(cache, backend, graph_of(in_order)).entry is compile(cache, backend, graph_of(reversed_order)).entry


# What is not.


@pytest.mark.parametrize(
    "other",
    [
        lambda b, x: b.sigmoid(x),
        lambda b, x: b.clamp(x, min_value=0),
        lambda b, x: b.relu(b.relu(x)),
        lambda b, x: b.reshape(b.relu(x), [2, 2]),
    ],
)
def test_other_structures_are_other_entries(cache: SessionCache, backend: CountingBackend, other: object) -> None:
    first = compile(cache, backend, graph_of(lambda b, x: b.relu(x)))
    assert compile(cache, backend, graph_of(other)).entry is not first.entry  # type: ignore[arg-type]


def test_other_shapes_names_options_and_backends_are_other_entries(
    cache: SessionCache, backend: CountingBackend
) -> None:
    builder = direct_builder()
    renamed = builder.build({"z": builder.relu(builder.input("x", [4], "float32"))})
    uses = [
        compile(cache, backend, graph_of(lambda b, x: b.relu(x))),
        compile(cache, backend, graph_of(lambda b, x: b.relu(x), (5,))),
        compile(cache, backend, renamed),
        compile(cache, backend, graph_of(lambda b, x: b.relu(x)), CompileOptions(threads=1)),
        compile(cache, NullBackend(), graph_of(lambda b, x: b.relu(x))),
    ]
    assert len({use.entry for use in uses}) == len(uses)


def test_digests_are_taken_when_a_second_graph_may_be_equal(cache: SessionCache, backend: CountingBackend) -> None:
    graphs = [adding(ones()), adding(ones()), adding(ones(5))]
    uses = [compile(cache, backend, graph) for graph in (graphs[0], graphs[2])]
    assert ["structure_hash" in vars(graph) for graph in graphs] == [False] * 3
    assert [list(use.entry.digests) for use in uses] == [[None], [None]]
    assert compile(cache, backend, graphs[1]).entry is uses[0].entry
    assert ["structure_hash" in vars(graph) for graph in graphs] == [True, True, False]


def test_other_constants_are_other_entries(cache: SessionCache, backend: CountingBackend) -> None:
    first = compile(cache, backend, adding(ones()))
    assert compile(cache, backend, adding(2 * ones())).entry is not first.entry
    swapped = np.array([2, 1, 1, 1], np.float32)  # the same words in another order have the same sum
    assert (
        compile(cache, backend, adding(swapped)).entry
        is not compile(cache, backend, adding(swapped[::-1].copy())).entry
    )


def test_negative_zero_is_not_zero(cache: SessionCache, backend: CountingBackend) -> None:
    assert compile(cache, backend, adding(0 * ones())).entry is not compile(cache, backend, adding(-0.0 * ones())).entry


def test_nans_are_equal_to_themselves(cache: SessionCache, backend: CountingBackend) -> None:
    nans = np.nan * ones()
    assert compile(cache, backend, adding(nans)).entry is compile(cache, backend, adding(nans.copy())).entry


# What has changed since.


def swapped(flat: Array, i: int, j: int) -> None:
    flat[[i, j]] = flat[[j, i]]


CHANGES: dict[str, Callable[[Array], object]] = {
    "shuffled": lambda a: np.random.default_rng(3).shuffle(a),
    "reversed": lambda a: np.copyto(a, a[::-1].copy()),
    "first elements swapped": lambda a: swapped(a.reshape(-1), 0, 1),
    "last elements swapped": lambda a: swapped(a.reshape(-1), -1, -2),
    "distant elements swapped": lambda a: swapped(a.reshape(-1), 0, -1),
    "rows swapped": lambda a: swapped(a, 0, 1),
    "columns swapped": lambda a: swapped(a.T, 0, 1),
    "rolled by a word": lambda a: np.copyto(a, np.roll(a, 8 // a.itemsize)),
    "added to": lambda a: np.add(a, 1, out=a),
    "one up, another down": lambda a: np.add.at(a.reshape(-1), [0, 1], np.array([1, -1]).astype(a.dtype)),
    "first element": lambda a: np.add.at(a.reshape(-1), 0, 1),
    "last element": lambda a: np.add.at(a.reshape(-1), -1, 1),
}
SHAPES = [(8, 8), (7, 9), (3, 1021), (1021, 130), (2042, 64), (1100, 1031)]
"""Copied and not, with and without a tail, in one step and several; rows as long as a checksum's might be."""


def numbered(shape: tuple[int, ...], dtype: Any) -> Array:
    """Elements that differ from those around them."""
    return (np.arange(np.prod(shape)) % 113).astype(dtype).reshape(shape)


def holding(array: Array) -> Graph:
    builder = direct_builder()
    return builder.build({"y": builder.identity(builder.constant(array))})


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint64, np.float16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("change", CHANGES)
def test_an_array_that_has_changed_since_is_not_what_was_compiled(
    cache: SessionCache, backend: CountingBackend, change: str, shape: tuple[int, ...], dtype: Any
) -> None:
    weights = numbered(shape, dtype)
    before = weights.copy()
    first = compile(cache, backend, holding(weights))
    cache.release(first)
    CHANGES[change](weights)
    assert not np.array_equal(weights, before)
    for array in (weights, weights[:], weights.copy()):
        assert compile(cache, backend, holding(array)).entry is not first.entry
    assert (compile(cache, backend, holding(before)).entry is first.entry) == (weights.nbytes <= COPIED_BYTES)
    np.copyto(weights, before)
    assert compile(cache, backend, holding(weights)).entry is first.entry  # it is what it was


def test_a_graph_that_lives_keeps_no_other_from_being_right(cache: SessionCache, backend: CountingBackend) -> None:
    weights = numbered((LARGE,), np.float32)
    first = compile(cache, backend, adding(weights))
    weights[:] = weights[::-1].copy()
    second = compile(cache, backend, adding(weights))
    assert second is not first
    assert compile(cache, backend, adding(weights)).entry is second.entry


def test_an_array_that_changes_while_it_is_compiled_leaves_no_entry(cache: SessionCache) -> None:
    weights = ones(LARGE)
    backend = CountingBackend(lambda: np.copyto(weights, 7))
    first = compile(cache, backend, adding(weights))
    assert cache.statistics.entries == 0
    for number in (7, 1):
        np.copyto(weights, number)
        assert compile(cache, CountingBackend(), adding(weights)).entry is not first.entry
    cache.release(first)


def test_an_array_whose_memory_has_moved_is_not_what_was_compiled(
    cache: SessionCache, backend: CountingBackend
) -> None:
    weights = ones(LARGE)
    first = compile(cache, backend, adding(weights))
    moved = [None if address is None else address + 64 for address in first.entry.addresses]
    assert None not in moved
    first.entry.addresses = moved  # `resize(refcheck=False)` does that
    assert compile(cache, backend, adding(weights)).entry is not first.entry


@pytest.mark.parametrize("size", [2048, LARGE])
@pytest.mark.parametrize("change", ["shortened", "overwritten", "removed", "replaced"])
def test_a_mapped_file_may_change_once_no_graph_uses_it(
    cache: SessionCache, backend: CountingBackend, tmp_path: Path, change: str, size: int
) -> None:
    path, weights = tmp_path / "weights", ones(size)
    path.write_bytes(weights.tobytes())
    mapped = np.asarray(map_file(path)[:]).view(np.float32)
    first = compile(cache, backend, adding(mapped))
    cache.release(first)
    assert compile(cache, backend, adding(np.asarray(map_file(path)[:]).view(np.float32))).entry is first.entry
    cache.release(first)
    if change == "shortened":
        os.truncate(path, 0)
    elif change == "overwritten":
        with open(path, "r+b") as file:
            file.write(np.float32(5).tobytes())
        assert compile(cache, backend, adding(mapped)).entry is not first.entry
    elif change == "removed":
        path.unlink()
    else:
        other = tmp_path / "other"
        other.write_bytes((2 * weights).tobytes())
        os.replace(other, path)
    assert compile(cache, backend, adding(weights)).entry is not first.entry


def of_bytearray(memory: bytearray) -> tuple[Array, Callable[[], object]]:
    return np.frombuffer(memory, np.float32), memory.clear


def of_mmap(memory: bytearray) -> tuple[Array, Callable[[], object]]:
    mapped = mmap.mmap(-1, len(memory))
    mapped[:] = bytes(memory)
    return np.frombuffer(mapped, np.float32), mapped.close


@pytest.mark.parametrize("lend", [of_bytearray, of_mmap])
def test_memory_that_its_owner_can_take_away_is_not_kept(
    cache: SessionCache, backend: CountingBackend, lend: Callable[[bytearray], tuple[Array, Callable[[], object]]]
) -> None:
    array, end = lend(bytearray(ones(LARGE).tobytes()))
    use = compile(cache, backend, adding(array))
    other = compile(cache, backend, adding(array))
    assert other.entry is use.entry
    cache.release(use)
    assert cache.statistics.entries == 1
    cache.release(other)
    assert cache.statistics.entries == 0
    del array, use, other
    gc.collect()
    end()  # raises while something refers to the memory


@pytest.mark.parametrize(
    "array",
    [
        ones(),
        ones(LARGE),
        ones(LARGE + 9)[2:-1],
        np.frombuffer(ones().tobytes(), np.float32),
        np.frombuffer(ones(LARGE).tobytes(), np.float32),
    ],
)
def test_memory_of_numpy_and_bytes_is_kept(cache: SessionCache, backend: CountingBackend, array: Array) -> None:
    cache.release(compile(cache, backend, adding(array)))
    assert cache.statistics.entries == 1


@pytest.mark.parametrize("name", ["onnxruntime", "arrays"])
@pytest.mark.parametrize("contexts", ["one", "two"])
def test_a_graph_computes_with_the_weights_as_they_are_when_it_is_built(name: str, contexts: str) -> None:
    weights = np.arange(64, dtype=np.float32).reshape(8, 8)

    def first_row(context: webnn.MLContext) -> Array:
        builder = context.create_graph_builder()
        x = builder.input("x", [1, 8], "float32")
        graph = builder.build({"y": builder.matmul(x, builder.constant(weights))})
        row: Array = context.compute(graph, {"x": np.eye(1, 8, dtype=np.float32)})["y"][0].copy()
        graph.destroy()
        return row

    context = webnn.ML().create_context(backend=name)
    for seed in range(10):
        assert first_row(context).tolist() == weights[0].tolist()
        np.random.default_rng(seed).shuffle(weights)
        if contexts == "two":
            context.destroy()
            context = webnn.ML().create_context(backend=name)
    context.destroy()


@pytest.mark.parametrize("name", ["onnxruntime", "arrays"])
@pytest.mark.parametrize("size", [4, LARGE])
def test_a_graph_of_equal_weights_goes_on_when_the_owner_of_the_others_changes_them(name: str, size: int) -> None:
    given, feeds = numbered((size,), np.float32), {"x": np.zeros(size, np.float32)}
    copied, expected = given.copy(), given.copy()
    with webnn.ML().create_context(backend=name) as context:

        def built(weights: Array) -> webnn.MLGraph:
            builder = context.create_graph_builder()
            x = builder.input("x", [size], "float32")
            return builder.build({"y": builder.add(x, builder.constant(weights))})

        first, second = built(given), built(copied)
        np.testing.assert_array_equal(context.compute(first, feeds)["y"], expected)
        np.testing.assert_array_equal(context.compute(second, feeds)["y"], expected)
        first.destroy()
        given[:] = -1
        np.testing.assert_array_equal(context.compute(second, feeds)["y"], expected)


# Every type and rank.


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.float16, ml_dtypes.int4, ml_dtypes.uint4])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5)])
def test_constants_of_every_type_and_rank_are_compared(
    cache: SessionCache, backend: CountingBackend, dtype: type, shape: tuple[int, ...]
) -> None:
    def build(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Graph:
        builder = direct_builder()
        operand = builder.constant(array)
        if array.dtype.name in ("int4", "uint4"):
            scale = builder.constant(np.ones([1] * array.ndim, np.float32))
            zero_point = builder.constant(np.zeros([1] * array.ndim, array.dtype))
            return builder.build({"y": builder.dequantize_linear(operand, scale, zero_point)})
        return builder.build({"y": builder.identity(operand)})

    first = compile(cache, backend, build(np.ones(shape, dtype)))
    assert compile(cache, backend, build(np.ones(shape, dtype))).entry is first.entry
    assert compile(cache, backend, build(np.zeros(shape, dtype))).entry is not first.entry


# How long they stay.


def test_an_entry_that_nobody_uses_is_found_again(cache: SessionCache, backend: CountingBackend) -> None:
    use = compile(cache, backend, adding(ones()))
    cache.release(use)
    assert cache.statistics.idle_bytes == use.entry.byte_length
    again = compile(cache, backend, adding(ones()))
    assert again.entry is use.entry
    assert cache.statistics.idle_bytes == 0
    assert backend.compiled == 1


def test_the_least_recently_used_goes_first_by_bytes(backend: CountingBackend) -> None:
    cache = SessionCache(idle_bytes=3 * SESSION_BYTES)
    uses = [compile(cache, backend, graph_of(lambda b, x, i=i: b.pad(x, [i], [0]))) for i in range(1, 5)]  # type: ignore[misc]
    for use in uses[:3]:
        cache.release(use)
    again = compile(cache, backend, graph_of(lambda b, x: b.pad(x, [1], [0])))
    assert again.entry is uses[0].entry
    cache.release(again)
    cache.release(uses[3])  # one too many: the second one has been idle longest
    assert [use.entry.key is None for use in uses] == [False, True, False, False]
    assert cache.statistics.evictions == 1
    assert cache.statistics.idle_bytes == 3 * SESSION_BYTES


def test_no_more_than_so_many_stay(backend: CountingBackend) -> None:
    cache = SessionCache(idle_entries=2)
    uses = [compile(cache, backend, graph_of(lambda b, x, i=i: b.pad(x, [i], [0]))) for i in range(1, 5)]  # type: ignore[misc]
    for use in uses:
        cache.release(use)
    assert [use.entry.key is None for use in uses] == [True, True, False, False]


def test_what_is_used_stays_whatever_it_takes(backend: CountingBackend) -> None:
    cache = SessionCache(idle_bytes=SESSION_BYTES, idle_entries=1)
    uses = [compile(cache, backend, graph_of(lambda b, x, i=i: b.pad(x, [i], [0]))) for i in range(1, 9)]  # type: ignore[misc]
    assert cache.statistics.entries == 8
    assert cache.statistics.idle_bytes == 0
    assert all(use.entry.users == 1 for use in uses)


def test_one_of_two_users_may_go(cache: SessionCache, backend: CountingBackend) -> None:
    use = compile(cache, backend, adding(ones()))
    other = compile(cache, backend, adding(ones()))
    for _ in range(2):  # which is one use all the same
        cache.release(use)
        assert (use.entry.users, cache.statistics.idle_bytes) == (1, 0)
    cache.release(other)
    assert cache.statistics.idle_bytes == use.entry.byte_length


def test_a_use_that_nothing_refers_to_has_ended(cache: SessionCache, backend: CountingBackend) -> None:
    entry = compile(cache, backend, adding(ones())).entry
    assert cache.statistics.idle_bytes == entry.byte_length
    use = compile(cache, backend, adding(ones()))
    assert use.entry is entry
    assert (entry.users, cache.statistics.idle_bytes) == (1, 0)
    del use
    cache.clear()
    assert (entry.users, entry.key, cache.statistics.entries) == (0, None, 0)


def test_clearing_drops_what_nobody_uses(cache: SessionCache, backend: CountingBackend) -> None:
    used, idle = compile(cache, backend, adding(ones())), compile(cache, backend, adding(2 * ones()))
    cache.release(idle)
    cache.clear()
    assert (used.entry.key is None, idle.entry.key is None) == (False, True)
    assert (cache.statistics.entries, cache.statistics.idle_bytes) == (1, 0)


def test_what_is_larger_than_the_cache_does_not_go_through_it(backend: CountingBackend) -> None:
    cache = SessionCache(idle_bytes=64)
    graphs = [adding(ones(100)) for _ in range(2)]
    uses = [compile(cache, backend, graph) for graph in graphs]
    assert uses[0].entry is not uses[1].entry
    assert cache.statistics.entries == 0
    for use in uses:
        cache.release(use)
    assert cache.statistics.idle_bytes == 0


# What goes wrong.


@pytest.mark.parametrize("error", [OperationError("no kernel"), CancelledError(), MemoryError()])
def test_a_failed_compilation_leaves_nothing(cache: SessionCache, error: BaseException) -> None:
    def fail() -> None:
        if failing.compiled == 1:
            raise error

    failing = CountingBackend(fail)
    with pytest.raises(type(error)):
        compile(cache, failing, adding(ones()))
    assert cache.statistics.entries == 0
    use = compile(cache, failing, adding(ones()))
    assert use.entry.users == 1
    assert failing.compiled == 2


def test_many_threads_use_one_cache_at_once(backend: CountingBackend) -> None:
    cache, errors = SessionCache(idle_entries=3), list[BaseException]()

    def use(seed: int) -> None:
        try:
            random = np.random.default_rng(seed)
            for _ in range(40):
                number = int(random.integers(5))
                used = compile(cache, backend, adding(number * ones()))
                assert (used.entry.constants[0] == number).all()
                cache.release(used)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    cache.clear()
    statistics = cache.statistics
    assert (statistics.entries, statistics.idle_bytes) == (0, 0)
    assert statistics.hits + statistics.misses == 160
    assert statistics.misses == backend.compiled
