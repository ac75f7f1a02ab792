"""Attention, however programs spell it out, as one operator of onnxruntime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, ops, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnx.model import OPSET
from webnn.backends.onnxruntime import contrib, native
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.attention import attention as attention_pass
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]
Scaling = Callable[[Builder, MLOperand, MLOperand], tuple[MLOperand, MLOperand, Callable[[MLOperand], MLOperand]]]
Masking = Callable[[Builder, MLOperand], MLOperand]
"""Hides keys in the scores."""

LENGTH, HEADS, SIZE = 512, 2, 8
SHAPE = [1, LENGTH, HEADS * SIZE]
MOVED = ("reshape", "transpose", "expand", "concat")


def the_scores(b: Builder, q: MLOperand, k: MLOperand) -> Any:
    return q, k, lambda scores: b.div(scores, b.constant("float32", SIZE**0.5))


def the_queries(b: Builder, q: MLOperand, k: MLOperand) -> Any:
    return b.linear(q, alpha=SIZE**-0.5), k, lambda scores: scores


def both_operands(b: Builder, q: MLOperand, k: MLOperand) -> Any:
    root = b.constant("float32", SIZE**-0.25)
    return b.mul(q, root), b.mul(root, k), lambda scores: scores


def attention(scaled: Scaling = the_scores, *, rows: bool = True, merged: bool = True, **changes: Any) -> Graph:
    """Attention over `[1, length, heads * size]`, or over `[1, heads, length, size]`, as programs write it."""
    b = direct_builder()
    shape = SHAPE if rows else [1, HEADS, LENGTH, SIZE]
    inputs = [b.input(name, shape, "float32") for name in ("q", "k", "v")]
    if rows:
        split = [b.reshape(x, [1, LENGTH, HEADS, SIZE]) for x in inputs]
        inputs = [b.transpose(x, permutation=[0, 2, 1, 3]) for x in split]
    q, k, then = scaled(b, inputs[0], inputs[1])
    scores = then(b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2])))
    shares = b.softmax(scores, changes.get("axis", 3))
    y = b.matmul(shares, inputs[2])
    if merged:
        y = b.reshape(b.transpose(y, permutation=[0, 2, 1, 3]), SHAPE)
    read = {"shares": shares, "scores": scores}
    return b.build({"y": y, **{name: read[name] for name in changes.get("read", ())}})


def feeds_of(graph: Graph, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    return {n: generator.standard_normal(o.shape).astype(o.descriptor.dtype) for n, o in graph.inputs.items()}


def check(graph: Graph, feeds: dict[str, np.ndarray[Any, Any]] | None = None) -> Graph:
    """The graph after the pass. It, and its expansion, give what the reference backend makes of the operators."""
    prepared = attention_pass(graph)
    assert "attention" in ops(prepared)
    assert "matmul" not in ops(prepared)
    feeds = feeds_of(graph) if feeds is None else feeds
    wanted = run_graph(graph, feeds, ArraysBackend())
    for name, found in run_graph(graph, feeds, OnnxRuntimeBackend()).items():
        np.testing.assert_allclose(found, wanted[name], rtol=2e-5, atol=3e-6)
    for name, found in run_graph(expanded(prepared), feeds, ArraysBackend()).items():
        np.testing.assert_allclose(found, wanted[name], rtol=2e-5, atol=3e-6)
    return prepared


@pytest.mark.parametrize("scaled", [the_scores, the_queries, both_operands])
@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("merged", [True, False])
def test_attention_is_one_operator_with_the_same_result(scaled: Scaling, rows: bool, merged: bool) -> None:
    prepared = check(attention(scaled, rows=rows, merged=merged))
    if rows and merged:
        assert ops(prepared) == ["attention"]


@pytest.mark.parametrize("changes", [{"axis": 2}, {"read": ["shares"]}, {"read": ["scores"]}])
def test_a_softmax_of_another_axis_and_values_that_are_read_are_left_as_they_are(changes: dict[str, Any]) -> None:
    graph = attention(**changes)
    assert attention_pass(graph) is graph


def test_few_long_heads_are_left_to_operators_that_share_a_product_among_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from webnn.backends.onnxruntime.passes import attention as module  # noqa: PLC0415

    graph = attention()
    monkeypatch.setattr(module, "FLASH_SCORES", LENGTH * LENGTH + 1)
    monkeypatch.setattr(module, "usable_cores", lambda: HEADS)
    assert attention_pass(graph) is not graph
    monkeypatch.setattr(module, "usable_cores", lambda: HEADS + 1)
    assert attention_pass(graph) is graph


def test_keys_whose_heads_are_split_and_transposed_at_once_are_found() -> None:
    b = direct_builder()
    q, k, v = (b.reshape(b.input(name, SHAPE, "float32"), [1, LENGTH, HEADS, SIZE]) for name in "qkv")
    query, value = (b.transpose(x, permutation=[0, 2, 1, 3]) for x in (q, v))
    shares = b.softmax(b.matmul(query, b.transpose(k, permutation=[0, 2, 3, 1])), 3)
    y = b.reshape(b.transpose(b.matmul(shares, value), permutation=[0, 2, 1, 3]), SHAPE)
    assert ops(check(b.build({"y": y}))) == ["attention"]


@pytest.mark.parametrize("side", ["query", "key"])
def test_a_factor_that_adds_a_dimension_is_no_mere_scale(side: str) -> None:
    b = direct_builder()
    x, y = (b.input(name, [HEADS, LENGTH, SIZE], "float32") for name in "xy")
    value = b.input("value", [1, HEADS, LENGTH, SIZE], "float32")
    scale = b.constant(np.full((1, 1, 1, 1), 0.5, np.float32))
    query, key = (b.mul(x, scale), b.reshape(y, value.shape)) if side == "query" else (b.reshape(x, value.shape), y)
    key = key if side == "query" else b.mul(key, scale)
    shares = b.softmax(b.matmul(query, b.transpose(key, permutation=[0, 1, 3, 2])), 3)
    check(b.build({"z": b.matmul(shares, value)}))


# Masks.

QUERIES, KEYS = 16, 20
LOWEST = float(np.finfo(np.float32).min)


def added(mask: Any, b: Builder, scores: MLOperand) -> MLOperand:
    return b.add(scores, b.constant(np.asarray(mask, np.float32)))


def added_input(shape: list[int], b: Builder, scores: MLOperand) -> MLOperand:
    return b.add(b.input("mask", shape, "float32"), scores)


def chosen(number: float, b: Builder, scores: MLOperand, *, shows: bool = True) -> MLOperand:
    condition, hidden = b.input("condition", [2, 1, 1, KEYS], "uint8"), b.constant("float32", number)
    return b.where(condition, *((scores, hidden) if shows else (hidden, scores)))


def bounded(then: Masking | None, b: Builder, scores: MLOperand) -> MLOperand:
    scores = b.mul(b.tanh(b.div(scores, b.constant("float32", 1.5))), b.constant("float32", 1.5))
    return scores if then is None else then(b, scores)


def zeroed(b: Builder, mask: MLOperand, shares: MLOperand) -> MLOperand:
    best = b.reduce_max(mask, axes=[mask.rank - 1], keep_dimensions=True)
    return b.where(b.equal(best, b.constant("float32", -np.inf)), b.constant("float32", 0), shares)


def causal(number: float, first: int = 0) -> Any:
    """Hides later keys from each query; `first` keys are hidden from all of them, and so all keys from some queries."""
    later = np.arange(KEYS) > np.arange(QUERIES)[:, None]
    return np.where(later | (np.arange(KEYS) < first), np.float32(number), np.float32(0))


def masked(masking: Masking, *, groups: int = 4, past: int = 0, zeros: bool = False, **others: Any) -> Graph:
    """Attention of 4 heads in a batch of 2, as decoders write it, with keys that several heads share."""
    heads, batch, keys = 4, 2, KEYS
    b = direct_builder()
    q = b.input("q", [batch, heads, QUERIES, SIZE], "float32")
    k, v = (b.input(name, [batch, groups, keys - past, SIZE], "float32") for name in "kv")
    outputs = {}
    if past:
        k, v = (
            b.concat([b.input(f"past_{n}", [batch, groups, past, SIZE], "float32"), x], 2)
            for n, x in zip("kv", (k, v), strict=True)
        )
        outputs = {"present_k": k, "present_v": v}
    if groups < heads:
        five = [batch, groups, heads // groups, keys, SIZE]
        k, v = (
            b.reshape(b.expand(b.reshape(x, [batch, groups, 1, keys, SIZE]), five), [batch, heads, keys, SIZE])
            for x in (k, v)
        )
    scores = masking(b, b.mul(b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2])), b.constant("float32", 0.4)))
    shares = b.softmax(scores, 3)
    if zeros:
        assert scores.node is not None
        shares = zeroed(b, scores.node["b"], shares)
    return b.build({"y": b.matmul(shares, v), **outputs})


def mask_feeds(graph: Graph) -> dict[str, np.ndarray[Any, Any]]:
    """Masks that hide some keys, and in one request all of them."""
    feeds = feeds_of(graph)
    if "mask" in feeds:
        feeds["mask"] = np.where(feeds["mask"] > 0.3, np.float32(-np.inf), np.where(feeds["mask"] > 0, LOWEST, 0))
        feeds["mask"] = feeds["mask"].astype(np.float32)
        feeds["mask"][0, ..., 0, :] = LOWEST
    if "condition" in feeds:
        feeds["condition"] = (np.arange(2 * KEYS) % 3 == 0).astype(np.uint8).reshape(2, 1, 1, KEYS)
        feeds["condition"][1] = 0
    return feeds


MASKS: dict[str, Masking] = {
    "causal": partial(added, causal(-np.inf)),
    "causal, by the lowest number": partial(added, causal(LOWEST)),
    "some queries see nothing, by -inf": partial(added, causal(-np.inf, first=3)),
    "some queries see nothing, by the lowest number": partial(added, causal(LOWEST, first=3)),
    "a bias": partial(added, np.random.default_rng(1).standard_normal((4, QUERIES, KEYS))),
    "an input for all queries": partial(added_input, [2, 1, 1, KEYS]),
    "an input for all heads": partial(added_input, [1, 1, QUERIES, KEYS]),
    "two": lambda b, scores: added(causal(LOWEST), b, added_input([2, 1, 1, KEYS], b, scores)),
    "shown": partial(chosen, -1e9),
    "shown, by -inf": partial(chosen, -np.inf),
    "hidden, by the lowest number": partial(chosen, LOWEST, shows=False),
    "a bound": partial(bounded, None),
    "a bound and a mask": partial(bounded, partial(added, causal(-np.inf))),
}


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("masking", MASKS.values(), ids=MASKS)
def test_masks_hide_the_same_keys_also_where_they_hide_all(masking: Masking, groups: int) -> None:
    graph = masked(masking, groups=groups)
    prepared = check(graph, mask_feeds(graph))
    assert "matmul" not in ops(prepared)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("keys_repeated", [True, False])
def test_queries_that_several_heads_share_are_repeated_for_the_kernel(groups: int, keys_repeated: bool) -> None:
    b = direct_builder()
    batch, heads = 2, 4

    def repeated(name: str, length: int) -> MLOperand:
        x = b.input(name, [batch, groups, length, SIZE], "float32")
        if groups == 1:
            return b.expand(x, [batch, heads, length, SIZE])
        five = b.expand(b.reshape(x, [batch, groups, 1, length, SIZE]), [batch, groups, heads // groups, length, SIZE])
        return b.reshape(five, [batch, heads, length, SIZE])

    whole = [b.input(name, [batch, heads, KEYS, SIZE], "float32") for name in "kv"]
    k, v = (repeated(name, KEYS) for name in "kv") if keys_repeated else whole
    shares = b.softmax(b.matmul(repeated("q", QUERIES), b.transpose(k, permutation=[0, 1, 3, 2])), 3)
    check(b.build({"y": b.matmul(shares, v)}))


@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("kind", ["constant", "input", "condition"])
def test_masks_of_windows_are_added_to_scores_with_the_windows_in_a_dimension(
    pictures: int, heads: int, kind: str
) -> None:
    windows = 3
    b = direct_builder()
    q, k, v = (b.input(name, [pictures * windows, heads, QUERIES, SIZE], "float32") for name in "qkv")
    scores = b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2]))
    scores = b.add(scores, b.constant(np.random.default_rng(1).standard_normal((heads, QUERIES, QUERIES), np.float32)))
    apart = b.reshape(scores, [pictures, windows, heads, QUERIES, QUERIES])
    hidden = (np.arange(windows * QUERIES * QUERIES) % 5 == 0).reshape(1, windows, 1, QUERIES, QUERIES)
    feeds = dict(zip("qkv", np.random.default_rng(0).standard_normal((3, *q.shape)), strict=True))
    if kind == "condition":
        scores = b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2]))
        apart = b.reshape(scores, [pictures, windows, heads, QUERIES, QUERIES])
        seen = b.where(b.constant(hidden.astype(np.uint8)), b.constant("float32", -np.inf), apart)
    else:
        mask = np.where(hidden, np.float32(-100), np.float32(0))
        seen = b.add(apart, b.constant(mask) if kind == "constant" else b.input("mask", mask.shape, "float32"))
        if kind == "input":
            feeds["mask"] = mask
    shares = b.softmax(b.reshape(seen, scores.shape), 3)
    graph = b.build({"y": b.matmul(shares, v)})
    check(graph, {name: x.astype(np.float32) for name, x in feeds.items()})


@pytest.mark.parametrize("groups", [4, 2])
def test_keys_of_earlier_steps_are_read_where_they_are_joined(groups: int) -> None:
    graph = masked(partial(added_input, [2, 1, 1, KEYS]), groups=groups, past=4)
    prepared = check(graph, mask_feeds(graph))
    (node,) = [node for node in prepared.nodes if node.op == "attention"]
    assert {node["key"], node["value"]} == {prepared.outputs["present_k"], prepared.outputs["present_v"]}


def test_queries_that_see_nothing_get_zeros_if_the_program_asks_for_it() -> None:
    graph = masked(partial(added, causal(-np.inf, first=3)), zeros=True)
    prepared = check(graph)
    assert not run_graph(prepared, feeds_of(graph), OnnxRuntimeBackend())["y"][:, :, :3].any()


@pytest.mark.parametrize(
    "masking",
    [
        lambda b, scores: b.add(scores, b.input("as large as the scores", [2, 4, 200, 200], "float32")),
        partial(chosen, -100.0),
        lambda b, scores: chosen(-1e9, b, added(causal(-np.inf), b, scores)),
        lambda b, scores: b.mul(added(causal(-1.0), b, scores), b.constant("float32", 2)),
        lambda b, scores: b.pow(scores, b.constant("float32", 2)),
    ],
    ids=["large", "no hiding number", "in an order that counts", "scaled afterwards", "another function"],
)
def test_other_masks_are_left_as_they_are(masking: Masking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "QUERIES", 200)
    monkeypatch.setitem(globals(), "KEYS", 200)
    graph = masked(masking)
    assert "attention" not in ops(attention_pass(graph))


@pytest.mark.parametrize("factor", [-0.4, 1e-30, 1e30])
def test_factors_that_the_kernel_refuses_stay_products(factor: float) -> None:
    def twice(b: Builder, q: MLOperand, k: MLOperand) -> Any:
        return q, k, lambda x: b.linear(b.linear(x, alpha=factor), alpha=abs(factor))

    graph = attention(twice)
    assert attention_pass(graph) is graph
    run_graph(graph, feeds_of(graph), OnnxRuntimeBackend())


@pytest.mark.parametrize("queries", [1, 15])
@pytest.mark.parametrize("groups", [4, 2])
def test_few_queries_are_left_to_products_unless_heads_share_keys(
    groups: int, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "QUERIES", queries)
    graph = masked(partial(added_input, [2, 1, 1, KEYS]), groups=groups, past=4)
    assert ("attention" in ops(attention_pass(graph))) == (groups < 4)
    if groups < 4:
        check(graph, mask_feeds(graph))


def rows_of_a_decoder(
    layers: int, *, heads: int = 4, factor: float = 0.3, keys: int = 40, mask_heads: int = 1
) -> Graph:
    """Attention of one query in each of several layers, which share a mask."""
    b, y = direct_builder(), {}
    mask = b.input("mask", [1, mask_heads, 1, keys], "float32")
    for i in range(layers):
        q = b.input(f"q{i}", [1, heads, 1, 8], "float32")
        k, v = (b.input(f"{name}{i}", [1, heads, keys, 8], "float32") for name in "kv")
        scores = b.mul(b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2])), b.constant("float32", factor))
        y[f"y{i}"] = b.matmul(b.softmax(b.add(scores, mask), 3), v)
    return b.build(y)


@pytest.mark.parametrize(
    "hidden",
    [[], range(7, 40), range(40)],
    ids=["none", "the later ones", "all"],
)
@pytest.mark.parametrize("number", [-np.inf, -1e9, np.finfo(np.float32).min])
def test_single_rows_of_several_layers_are_scaled_before_the_kernel(
    hidden: Sequence[int], number: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webnn.backends.onnxruntime.passes import attention as module  # noqa: PLC0415

    monkeypatch.setattr(module, "usable_cores", lambda: 4)
    graph = rows_of_a_decoder(4)
    feeds = feeds_of(graph)
    feeds["mask"][..., list(hidden)] = number
    prepared = check(graph, feeds)
    scales = [node.attributes["scale"] for node in prepared.nodes if node.op == "attention"]
    assert scales == [1.0] * 4


def test_single_rows_are_left_to_products_where_the_kernel_saves_less(monkeypatch: pytest.MonkeyPatch) -> None:
    from webnn.backends.onnxruntime.passes import attention as module  # noqa: PLC0415

    monkeypatch.setattr(module, "usable_cores", lambda: 4)
    assert "attention" not in ops(attention_pass(rows_of_a_decoder(3)))
    assert "attention" not in ops(attention_pass(rows_of_a_decoder(4, factor=2)))
    monkeypatch.setattr(module, "usable_cores", lambda: 5)
    assert "attention" not in ops(attention_pass(rows_of_a_decoder(4)))
    assert "attention" in ops(attention_pass(rows_of_a_decoder(4, heads=5)))


LONG = 300
HIDING = {
    "none": [],
    "all but one": range(1, LONG),
    "beyond a block": range(64, LONG),
    "beyond a block and one": range(65, LONG),
    "most, and some in between": [*range(3, 9), *range(60, LONG)],
    "just not few": range(129, LONG),
    "the earlier ones": range(LONG - 2),
    "all": range(LONG),
}


@pytest.fixture
def large_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cache counts as large."""
    from webnn.backends.onnxruntime.passes import attention as module  # noqa: PLC0415

    monkeypatch.setattr(module, "usable_cores", lambda: 4)
    monkeypatch.setattr(module, "_LARGE_KEYS", 1)


@pytest.mark.parametrize("hidden", HIDING.values(), ids=HIDING)
@pytest.mark.parametrize("number", [-np.inf, -1e9, np.finfo(np.float32).min])
@pytest.mark.usefixtures("large_caches")
def test_a_mostly_empty_cache_gives_what_it_gives_where_all_keys_are_read(
    hidden: Sequence[int], number: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webnn.backends.onnxruntime.passes import attention as module  # noqa: PLC0415

    graph = rows_of_a_decoder(4, keys=LONG)
    feeds = feeds_of(graph)
    feeds["mask"][..., list(hidden)] = number
    (shown,) = {node["shown"] for node in check(graph, feeds).nodes if node.op == "attention"}  # shared by the layers
    assert shown.descriptor.shape == (1,)
    found = run_graph(graph, feeds, OnnxRuntimeBackend())
    monkeypatch.setattr(module, "_LARGE_KEYS", 1 << 40)
    for name, wanted in run_graph(graph, feeds, OnnxRuntimeBackend()).items():
        np.testing.assert_array_equal(found[name], wanted)


@pytest.mark.usefixtures("large_caches")
def test_the_empty_part_of_a_cache_is_not_read() -> None:
    graph = rows_of_a_decoder(4, keys=LONG)
    feeds = feeds_of(graph)
    feeds["mask"][..., 10:] = -np.inf
    for i in range(4):
        feeds[f"k{i}"][:, :, 64:] = feeds[f"v{i}"][:, :, 64:] = np.nan
    for result in run_graph(graph, feeds, OnnxRuntimeBackend()).values():
        assert np.isfinite(result).all()


@pytest.mark.parametrize("numbers", [[np.nan], [-1e9, -1e9 + 256], [1e9 - 256, 1e9]], ids=["NaN", "low", "high"])
@pytest.mark.usefixtures("large_caches")
def test_masks_that_hide_nothing_show_all_keys(numbers: Sequence[float]) -> None:
    graph = rows_of_a_decoder(4, keys=LONG)
    feeds = feeds_of(graph)
    feeds["mask"][...] = np.resize(numbers, LONG)
    check(graph, feeds)


def test_keys_are_counted_for_masks_of_one_row_over_large_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    from webnn.backends.onnxruntime.passes import attention as module  # noqa: PLC0415

    monkeypatch.setattr(module, "usable_cores", lambda: 4)
    sizes = {"keys": 4096, "heads": 4}
    for graph, counts in (
        (rows_of_a_decoder(4, **sizes), True),
        (rows_of_a_decoder(4, **sizes, mask_heads=4), False),
        (rows_of_a_decoder(4), False),
    ):
        nodes = [node for node in attention_pass(graph).nodes if node.op == "attention"]
        assert [("shown" in node.operands) for node in nodes] == [counts] * 4


def test_the_kernels_of_the_later_operator_set_are_those_of_the_earlier_one() -> None:
    """But for what the pass looks for: it makes a model of the later set of all operators of a graph."""
    types: dict[tuple[str, int], set[str]] = defaultdict(set)
    for kernel in native.get_all_opkernel_def():
        since, until = kernel.version_range
        for opset in (OPSET, contrib.ATTENTION_OPSET):
            if kernel.provider == "CPUExecutionProvider" and not kernel.domain and since <= opset <= until:
                for each in kernel.type_constraints.items():
                    types[kernel.op_name, opset].add(str(each))
    different = {op for op, opset in types if opset == OPSET and types[op, opset] != types[op, contrib.ATTENTION_OPSET]}
    assert different <= {"QuantizeLinear", "DequantizeLinear"}  # whose variables have other names


def test_long_queries_with_a_mask_go_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrib, "_PIECE_SCORES", 3 * KEYS)
    graph = masked(partial(added, causal(-np.inf)))
    check(graph)
    b = direct_builder()
    q, k, v = (b.reshape(b.input(n, [1, 16, 16], "float32"), [1, 16, 2, SIZE]) for n in "qkv")
    q, k, v = (b.transpose(x, permutation=[0, 2, 1, 3]) for x in (q, k, v))
    scores = b.add(b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2])), b.input("mask", [1, 1, 1, 16], "float32"))
    y = b.reshape(b.transpose(b.matmul(b.softmax(scores, 3), v), permutation=[0, 2, 1, 3]), [1, 16, 16])
    check(b.build({"y": y}))


def test_a_graph_with_an_operator_that_needs_the_earlier_operator_set_is_left_as_it_is() -> None:
    for is_pooled in (False, True):
        b = direct_builder()
        q = b.input("q", [1, HEADS, 16, SIZE], "float32")
        y = b.matmul(b.softmax(b.matmul(q, b.transpose(q, permutation=[0, 1, 3, 2])), 3), q)
        graph = b.build({"y": y, **({"pooled": b.l2_pool2d(q)} if is_pooled else {})})
        assert (attention_pass(graph) is graph) == is_pooled
