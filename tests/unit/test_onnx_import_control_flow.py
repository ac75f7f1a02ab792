"""Unrolled loops and branches, compared with ONNX Runtime; and the problems of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper, parser

from tests.direct import direct_builder, ops, run_graph
from tests.onnx_nodes import Array, by_onnxruntime, computed, random
from webnn.backends.base import Backend
from webnn.errors import DataError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError
from webnn.formats.onnx.patterns import mapped_scan


def model_of(inputs: str, outputs: str, nodes: str, version: int = 17) -> ModelProto:
    header = f'<ir_version: 8, opset_import: ["": {version}]>'
    return parser.parse_model(f"{header} g ({inputs}) => ({outputs}) {{ {nodes} }}")


def check(backend: Backend, model: ModelProto, **feeds: Array) -> list[Array]:
    results = computed(model, feeds, backend)
    for result, wanted in zip(results, by_onnxruntime(model, feeds), strict=True):
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)
    return results


LOOP = """
trips = Constant <value = int64 {%(trips)s}> ()
go = Constant <value = bool {%(go)s}> ()
y, parts = Loop (trips, go, x) <body = graph (int64 i, bool c, float[2, 3] a) => (bool d, float[2, 3] b, float[2] s) {
    scale = Cast <to = 1> (i)
    t = Mul (a, scale)
    w = Constant <value = float[3] {0.5, -1, 2}> ()
    b = Add (t, w)
    last = Constant <value = float {%(last)s}> ()
    d = Less (scale, last)
    axes = Constant <value = int64[1] {1}> ()
    s = ReduceSum <keepdims = 0> (b, axes)
}>
"""


@pytest.mark.parametrize(("trips", "go", "last", "count"), [(3, 1, 100, 3), (100, 1, 4, 5), (2, 1, 0, 1), (9, 0, 9, 0)])
def test_a_loop_runs_as_often_as_its_number_and_its_condition_say(
    backend: Backend, trips: int, go: int, last: int, count: int
) -> None:
    nodes = LOOP % {"trips": trips, "go": go, "last": last}
    outputs = "float[2, 3] y" + (", float[count, 2] parts" if count else "")
    if count == 0:
        nodes += "z = Identity (y)"
        outputs = "float[2, 3] z"
    results = check(backend, model_of("float[2, 3] x", outputs, nodes), x=random(0, 2, 3))
    assert count == 0 or results[1].shape == (count, 2)


def test_constants_of_a_body_are_one_constant_of_the_graph() -> None:
    model = model_of("float[2, 3] x", "float[2, 3] y", LOOP % {"trips": 50, "go": 1, "last": 1000})
    builder = direct_builder()
    graph = builder.build(import_onnx(model, builder))
    assert sum(constant.shape == (3,) for constant in graph.constants) == 1


def test_nested_loops_see_the_values_around_them(backend: Backend) -> None:
    nodes = """
    trips = Constant <value = int64 {3}> ()
    go = Constant <value = bool {1}> ()
    y = Loop (trips, go, x) <body = graph (int64 i, bool c, float[4] a) => (bool c2, float[4] b) {
        c2 = Identity (c)
        b = Loop (i, go, a) <body = graph (int64 j, bool e, float[4] f) => (bool e2, float[4] h) {
            e2 = Identity (e)
            g1 = Sub (f, a)
            g2 = Mul (g1, x)
            k = Add (i, j)
            kf = Cast <to = 1> (k)
            h = Add (g2, kf)
        }>
    }>
    """
    check(backend, model_of("float[4] x", "float[4] y", nodes), x=random(0, 4))


@pytest.mark.parametrize("bound", [-5.0, 0.5, 3.0, 100.0])
def test_a_computed_condition_ends_the_change_of_carried_values(backend: Backend, bound: float) -> None:
    nodes = """
    trips = Constant <value = int64 {5}> ()
    start = ReduceSum <keepdims = 0> (x)
    go = Less (start, bound)
    y = Loop (trips, go, x) <body = graph (int64 i, bool c, float[2] a) => (bool d, float[2] b) {
        b = Add (a, a)
        sum = ReduceSum <keepdims = 0> (b)
        d = Less (sum, bound)
    }>
    """
    model = model_of("float[2] x, float bound", "float[2] y", nodes)
    check(backend, model, x=np.array([0.25, 0.5], np.float32), bound=np.array(bound, np.float32))


SCAN = """
y, last, all = Scan <num_scan_inputs = 2, scan_input_axes = [%s], scan_input_directions = [%s],
    scan_output_axes = [1, 0], scan_output_directions = [1, 0], body = graph (float[3] h, float[3] a, float[2] b)
    => (float[3] h2, float[3] o, float s) {
    t = Mul (h, a)
    s = ReduceSum <keepdims = 0> (b)
    h2 = Add (t, s)
    o = Neg (h2)
}> (h0, a, b)
"""


@pytest.mark.parametrize(("axes", "directions"), [("0, 0", "0, 0"), ("1, -1", "1, 0"), ("0, 1", "1, 1")])
def test_a_scan_goes_over_any_axis_in_either_direction(backend: Backend, axes: str, directions: str) -> None:
    first, second = (int(axis) for axis in axes.split(","))
    a, b = np.moveaxis(random(1, 5, 3), 0, first), np.moveaxis(random(2, 5, 2), 0, second)
    inputs = f"float[3] h0, float{list(a.shape)} a, float{list(b.shape)} b"
    model = model_of(inputs, "float[3] y, float[3, 5] last, float[5] all", SCAN % (axes, directions))
    check(backend, model, h0=random(0, 3), a=np.ascontiguousarray(a), b=np.ascontiguousarray(b))


def test_the_first_scan_has_batches(backend: Backend) -> None:
    nodes = """
    y, z = Scan <num_scan_inputs = 1, directions = [1], body = graph (float[3] h, float[3] a)
        => (float[3] h2, float[3] o) { h1 = Mul (h, a)  h2 = Tanh (h1)  o = Add (h2, a) }> (, h0, x)
    """
    model = model_of("float[2, 3] h0, float[2, 4, 3] x", "float[2, 3] y, float[2, 4, 3] z", nodes, version=8)
    check(backend, model, h0=random(0, 2, 3), x=random(1, 2, 4, 3))


def test_a_loop_over_constants_is_folded() -> None:
    nodes = """
    trips = Constant <value = int64 {6}> ()
    zero = Constant <value = int64[1] {1}> ()
    size, squares = Loop (trips, , zero) <body = graph (int64 i, bool c, int64[1] a) => (bool d, int64[1] b, int64 s) {
        d = Identity (c)
        two = Constant <value = int64[1] {2}> ()
        b = Mul (a, two)
        s = Mul (i, i)
    }>
    wide = Expand (x, size)
    short = Cast <to = 1> (squares)
    y = ReduceSum <keepdims = 0> (short)
    z = Mul (wide, y)
    """
    builder = direct_builder()
    outputs = import_onnx(model_of("float[1] x", "float[64] z", nodes), builder)
    assert outputs["z"].shape == (64,)
    assert [node.op for node in builder.build(outputs).nodes] == ["expand", "mul"]


NONE = """
trips = Constant <value = int64 {0}> ()
one = Constant <value = int64[1] {1}> ()
last, parts, whole = Loop (trips, , x) <body = graph (int64 i, bool c, float[2, 3] a)
    => (bool d, float[2, 3] b, float s, float[n, 3] t) { d = Identity (c)  b = Neg (a)  s = Sum (b, x)  t = Abs (x) }>
shape = Shape (parts)  size = Shape (whole)
sum = ReduceSum <keepdims = 0> (parts, one)
y = Concat <axis = 0> (last, %s)
"""


@pytest.mark.parametrize("joined", ["x", "parts0"])
def test_the_results_of_no_iterations_have_the_shape_of_one_where_none_is_declared(
    backend: Backend, joined: str
) -> None:
    nodes = NONE % joined + "zero = Constant <value = int64[1] {0}> ()  parts0 = ReduceSum <keepdims = 0> (parts, zero)"
    model = model_of("float[2, 3] x", "float[4, 3] y, int64[3] shape, int64[3] size", nodes)
    body = next(a.g for a in model.graph.node[2].attribute if a.name == "body")
    body.output[2].type.tensor_type.ClearField("shape")
    results = check(backend, model, x=random(0, 2, 3))
    assert [array.tolist() for array in results[1:]] == [[0, 2, 3], [0, 2, 3]]


def test_what_no_iteration_computes_may_be_out_of_reach(backend: Backend) -> None:
    """The body is tried for the shape of `s`, and not reported."""
    nodes = """
    trips = Constant <value = int64 {0}> ()
    last, parts = Loop (trips, , x) <body = graph (int64 i, bool c, float[2] a) => (bool d, float[2] b, float s)
        { d = Identity (c)  b = Neg (a)  s = NonZero (a) }>
    """
    model = model_of("float[2] x", "float[2] last, int64[n] shape", nodes + "shape = Shape (parts)")
    body = next(a.g for a in model.graph.node[1].attribute if a.name == "body")
    body.output[2].type.tensor_type.ClearField("shape")
    assert import_onnx(model, direct_builder(backend))["last"].shape == (2,)


def test_an_axis_without_slices_stays_where_it_is(backend: Backend) -> None:
    """onnxruntime refuses such a scan."""
    nodes = """
    none = Constant <value = float[0, 4] {}> ()
    y, all = Scan <num_scan_inputs = 1, scan_output_axes = [1], body = graph (float[3] h, float[4] a)
        => (float[3] h2, float[4, n] s) { h2 = Neg (h)  axes = Constant <value = int64[1] {1}> ()
        a2 = Unsqueeze (a, axes)  s = Concat <axis = 1> (a2, a2) }> (h0, none)
    shape = Shape (all)
    """
    model = model_of("float[3] h0", "float[3] y, int64[3] shape", nodes)
    h0 = random(0, 3)
    y, shape = computed(model, {"h0": h0}, backend)
    assert shape.tolist() == [4, 0, 2]
    np.testing.assert_array_equal(y, h0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trips = Constant <value = int64 {3}> ()": ""}, "number of iterations is computed when the model runs"),
        ({"{3}": "{30000}"}, "unrolled loops of the model have more than 32768 nodes"),
        ({"Loop (trips": "Loop ("}, "more than 32768 nodes"),
        ({"d = Identity (c)": "d = Equal (t, t0)"}, "the length of its outputs is computed"),
        ({"s = Neg (b)": "s = NonMaxSuppression (b, b)"}, "NonMaxSuppression"),
    ],
)
def test_loops_that_cannot_be_unrolled_are_reported_once(changes: dict[str, str], reason: str) -> None:
    nodes = """
    trips = Constant <value = int64 {3}> ()
    go = Constant <value = bool {1}> ()
    y, parts = Loop (trips, go, x) <body = graph (int64 i, bool c, float[2] a) => (bool d, float[2] b, float[2] s) {
        t0 = ReduceSum <keepdims = 0> (x)
        t = ReduceSum <keepdims = 0> (a)
        d = Identity (c)
        b = Add (a, t)
        s = Neg (b)
    }>
    """
    for old, new in changes.items():
        assert old in nodes
        nodes = nodes.replace(old, new)
    inputs = "float[2] x" + (", int64 trips" if "trips =" not in nodes else "")
    with pytest.raises(OnnxNotSupportedError, match=reason) as raised:
        import_onnx(model_of(inputs, "float[2] y, float[n, 2] parts", nodes), direct_builder())
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize(
    ("outputs", "message"),
    [("bool d", "returns 1 values"), ("bool d, float[3] e", "no node computes")],
)
def test_bodies_that_do_not_fit_are_refused(outputs: str, message: str) -> None:
    nodes = f"""
    trips = Constant <value = int64 {{3}}> ()
    y = Loop (trips, , x) <body = graph (int64 i, bool c, float[2] a) => ({outputs}) {{ d = Identity (c) }}>
    """
    with pytest.raises(DataError, match=message):
        import_onnx(model_of("float[2] x", "float[2] y", nodes), direct_builder())


def nested(depth: int, trips: int) -> Any:
    """Loops in loops: `trips` to the power of `depth` iterations."""
    inner = helper.make_node("Neg", ["a0"], ["b0"])
    for i in range(depth):
        infos = [helper.make_tensor_value_info(f"i{i}", 7, []), helper.make_tensor_value_info(f"c{i}", 9, [])]
        a, b = (helper.make_tensor_value_info(f"{name}{i}", 1, [1]) for name in "ab")
        d = helper.make_tensor_value_info(f"d{i}", 9, [])
        body = helper.make_graph([helper.make_node("Identity", [f"c{i}"], [f"d{i}"]), inner], "b", [*infos, a], [d, b])
        inner = helper.make_node("Loop", ["trips", "", f"a{i + 1}"], [f"b{i + 1}"], body=body)
    x, y = (helper.make_tensor_value_info(f"{name}{depth}", 1, [1]) for name in "ab")
    trip_count = helper.make_tensor("trips", 7, [], [trips])
    return helper.make_model(helper.make_graph([inner], "g", [x], [y], [trip_count]))


def test_nested_loops_are_unrolled_up_to_a_limit_of_all_nodes() -> None:
    assert import_onnx(nested(3, 5), direct_builder())["b3"].shape == (1,)
    with pytest.raises(OnnxNotSupportedError, match="unrolled loops of the model have more than 32768 nodes") as raised:
        import_onnx(nested(8, 300), direct_builder())
    assert len(raised.value.problems) == 1


BRANCHES = """
m = ReduceMax (x)  one = Constant <value = float {1}> ()  c = Greater (m, one)
y, z = If (c) <then_branch = graph () => (float[2, 3] a, float[2] s) {
    a = Neg (x)  axes = Constant <value = int64[1] {1}> ()  s = ReduceSum <keepdims = 0> (x, axes)
}, else_branch = graph () => (float[2, 3] b, float[2] t) {
    b = Constant <value = float[2, 3] {1, 2, 3, 4, 5, 6}> ()  t = Constant <value = float[2] {7, 8}> ()
}>
"""


@pytest.mark.parametrize("largest", [0.5, 5.0])
def test_a_computed_condition_selects_results_of_both_branches(backend: Backend, largest: float) -> None:
    model = model_of("float[2, 3] x", "float[2, 3] y, float[2] z", BRANCHES)
    x = random(0, 2, 3)
    check(backend, model, x=np.float32(largest) * x / x.max())


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            "a = Concat <axis = 0> (x, x)",
            r"a result is of shape \[4, 3\] or of shape \[2, 3\], depending on a condition",
        ),
        ("a = NonZero (x)", r"a \(NonZero\): .*\n.*y \(If\): .*one of them cannot be expressed; .*constants="),
        ("a = SequenceAt (x, x)", r"one of them is invalid: node a \(SequenceAt\)"),
        ("a = SequenceConstruct (x)", r"a result is a sequence of 1 tensors or of shape \[2, 3\]"),
    ],
)
def test_branches_with_results_of_different_kinds_are_reported(backend: Backend, nodes: str, message: str) -> None:
    model = model_of(
        "float[2, 3] x, bool c",
        "float y",
        f"y = If (c) <then_branch = graph () => (float a) {{ {nodes} }},"
        " else_branch = graph () => (float b) { b = Neg (x) }>",
    )
    with pytest.raises(OnnxNotSupportedError, match=message):
        import_onnx(model, direct_builder(backend))


SAME_NAMES = """
p = Abs (x)
y, z = If (c) <then_branch = graph () => (float[2, 3] y, float[2, 3] z) {
    a = Neg (x)  y = Exp (a)
    z = If (c) <then_branch = graph () => (float[2, 3] z) { z = Add (a, y) },
                else_branch = graph () => (float[2, 3] z) { z = Sub (a, y) }>
}, else_branch = graph () => (float[2, 3] y, float[2, 3] z) {
    y = Add (p, x)  z = Mul (y, p)
}>
"""


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
def test_branches_may_call_their_results_as_the_graph_around_them_does(
    backend: Backend, is_known: bool, condition: bool
) -> None:
    """As in the decoders with and without a cache that optimum merges."""
    known = f"c = Constant <value = bool {{{condition:d}}}> ()" if is_known else "c = Identity (d)"
    model = model_of("float[2, 3] x, bool d", "float[2, 3] y, float[2, 3] z", known + SAME_NAMES)
    check(backend, model, x=random(0, 2, 3), d=np.array(condition))


def test_a_branch_has_sparse_weights(backend: Backend) -> None:
    weights = helper.make_sparse_tensor(
        helper.make_tensor("w", 1, [2], [1.5, -2.0]), helper.make_tensor("places", 7, [2], [0, 4]), [2, 3]
    )
    branches = """
    y = If (c) <then_branch = graph () => (float[2, 3] y) { y = Add (x, w) },
                else_branch = graph () => (float[2, 3] y) { y = Mul (w, x) }>
    """
    model = model_of("float[2, 3] x, bool c", "float[2, 3] y", branches)
    for attribute in model.graph.node[0].attribute:
        attribute.g.sparse_initializer.append(weights)
    for condition in (True, False):
        check(backend, model, x=random(0, 2, 3), c=np.array(condition))


def test_an_output_that_only_another_graph_lacks_is_no_problem_here(backend: Backend) -> None:
    """Both branches have a `label`. The one of strings, which WebNN cannot compute, is not read."""
    model = model_of(
        "float[2, 3] x, bool c",
        "float[2, 3] y",
        """
        u = Unknown (x)
        z = If (c) <then_branch = graph () => (float[2, 3] z) { label, z = ai.onnx.ml.LinearClassifier (x) },
                    else_branch = graph () => (float[2, 3] z) { label = Abs (x)  z = Neg (label) }>
        y = Add (z, u)
        """,
    )
    then = next(a.g for a in model.graph.node[1].attribute if a.name == "then_branch")
    then.node[0].attribute.extend(
        [
            helper.make_attribute("coefficients", [1.0] * 9),
            helper.make_attribute("classlabels_strings", ["a", "b", "c"]),
        ]
    )
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    with pytest.raises(OnnxNotSupportedError) as caught:
        import_onnx(model, direct_builder(backend))
    assert [problem.op_type for problem in caught.value.problems] == ["Unknown"]


DISTANCES = """
unchanged, distances, scaled = Scan (x, rows, factors) <num_scan_inputs = 2, body =
    graph (float[5, 4] all, float[4] row, float factor) =>
    (float[5, 4] same, float[5] distance, float[5, 4] product) {
    same = Identity (all)
    difference = Sub (all, row)
    distance = ReduceSumSquare <keepdims = 0%(attribute)s> (difference%(input)s)
    bound = Constant <value = float {0.5}> ()
    scaled = Mul (difference, factor)
    product = Max (scaled, bound)
}>
"""


def distances(version: int, reduction: str = "ReduceSumSquare") -> ModelProto:
    """The distances of rows to those of x, as skl2onnx writes them, and a product with a number for each row."""
    by_input = version >= (13 if reduction == "ReduceSum" else 18)
    choice = {"attribute": "" if by_input else ", axes = [1]", "input": ", last" if by_input else ""}
    body = (DISTANCES % choice).replace("ReduceSumSquare", reduction)
    if by_input:
        body = body.replace("difference = Sub", "last = Constant <value = int64[1] {-1}> () difference = Sub")
    outputs = "float[5, 4] unchanged, float[n, 5] distances, float[n, 5, 4] scaled"
    return model_of("float[5, 4] x, float[n, 4] rows, float[n] factors", outputs, body, version)


@pytest.mark.parametrize("version", [12, 13, 18])
@pytest.mark.parametrize("reduction", ["ReduceSumSquare", "ReduceSum", "ReduceMax", "ReduceL2"])
@pytest.mark.parametrize("elements", [1, 70, 1 << 18])
def test_independent_iterations_are_computed_at_once(
    backend: Backend, version: int, reduction: str, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_scan, "_ELEMENTS", elements)  # of one iteration each; of three; of all
    model = distances(version, reduction)
    feeds = {"x": random(0, 5, 4), "rows": random(1, 7, 4), "factors": random(2, 7)}
    builder = direct_builder()
    shapes = {name: array.shape for name, array in feeds.items()}
    graph = builder.build(import_onnx(model, builder, shapes=shapes))
    assert ops(graph).count("sub") == {1: 7, 70: 3}.get(elements, 1)
    found = run_graph(graph, feeds, backend)
    for info, wanted in zip(model.graph.output, by_onnxruntime(model, feeds), strict=True):
        np.testing.assert_allclose(found[info.name], wanted, rtol=1e-5, atol=1e-5)


def test_independent_iterations_may_be_as_many_as_a_training_set_has_rows() -> None:
    """Unrolled, nearest neighbours of 10,000 rows had too many nodes; those of 300 took 2.6 to 3.5 times as long."""
    builder, rows = direct_builder(), 20_000
    shapes = {"x": [5, 4], "rows": [rows, 4], "factors": [rows]}
    graph = builder.build(import_onnx(distances(18), builder, shapes=shapes))
    assert len(graph.nodes) < 40
    assert graph.outputs["distances"].shape == (rows, 5)


def test_iterations_that_change_their_state_follow_each_other(backend: Backend) -> None:
    nodes = """
    y, all = Scan (x, rows) <num_scan_inputs = 1, body = graph (float[4] a, float[4] row) => (float[4] b, float[4] c) {
        b = Add (a, row)
        c = Mul (a, row)
    }>
    """
    model = model_of("float[4] x, float[3, 4] rows", "float[4] y, float[3, 4] all", nodes)
    check(backend, model, x=random(0, 4), rows=random(1, 3, 4))
