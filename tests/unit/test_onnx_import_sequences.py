"""Sequences and optionals inside a model, compared with ONNX Runtime; and the problems of others."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, parser

from tests.direct import direct_builder, run_graph
from tests.onnx_nodes import by_onnxruntime, computed, random
from webnn.backends.base import Backend
from webnn.errors import DataError, MLError, ValidationError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing import budget
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError

X = random(0, 5, 4)
NUMBERS = """
    zero = Constant <value = int64 {0}> ()  one = Constant <value = int64 {1}> ()  two = Constant <value = int64 {2}> ()
    last = Constant <value = int64 {-1}> ()  sizes = Constant <value = int64[3] {1, 3, 1}> ()
"""


def model_of(nodes: str, inputs: str = "float[5, 4] x", outputs: str = "y") -> ModelProto:
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 18]> g ({inputs}) => (float[] {outputs}) {{ {NUMBERS} {nodes} }}'
    )


@pytest.mark.parametrize(
    "nodes",
    [
        "s = SplitToSequence (x, two)  a = SequenceAt (s, last)  b = SequenceAt (s, zero)"
        "  y = Concat <axis = 0> (b, a)",
        "s = SplitToSequence (x, sizes)  y = SequenceAt (s, one)",
        "s = SplitToSequence <axis = 1, keepdims = 0> (x)  y = ConcatFromSequence <axis = 1, new_axis = 1> (s)",
        "s = SplitToSequence <axis = -1> (x)  t = SequenceErase (s, one)  y = ConcatFromSequence <axis = 1> (t)",
        "s = SequenceConstruct (x, x)  t = SequenceErase (s)  n = SequenceLength (t)"
        "  f = Cast <to = 1> (n)  y = Mul (x, f)",
        "e = SequenceEmpty ()  s = SequenceInsert (e, x)  n = Neg (x)  t = SequenceInsert (s, n, zero)"
        "  y = ConcatFromSequence <axis = 0> (t)",
        "s = SplitToSequence (sizes, one)  t = SequenceAt (s, one)  y = Expand (x, y_shape)"
        "  y_shape = Concat <axis = 0> (t, rest)  rest = Constant <value = int64[2] {5, 4}> ()",
        "s = SplitToSequence (x)  t = Identity (s)  y = SequenceAt (t, two)",
        "o = Optional (x)  h = OptionalHasElement (o)  e = OptionalGetElement (o)"
        "  f = Cast <to = 1> (h)  y = Mul (e, f)",
    ],
)  # fmt: skip
def test_sequences_leave_their_tensors(backend: Backend, nodes: str) -> None:
    model = model_of(nodes)
    (result,), (wanted,) = computed(model, {"x": X}, backend), by_onnxruntime(model, {"x": X})
    np.testing.assert_allclose(result, wanted, rtol=1e-6)


@pytest.mark.parametrize("each", ["Identity (f)", "Mul (x, f)"])
def test_a_loop_collects_a_sequence(backend: Backend, each: str) -> None:
    model = model_of(
        """
        three = Constant <value = int64 {3}> ()  go = Constant <value = bool {1}> ()
        e = SequenceEmpty ()
        s = Loop (three, go, e) <body = graph (int64 i, bool c, seq(float) before) => (bool d, seq(float) after) {
            d = Identity (c)  f = Cast <to = 1> (i)  t = EACH  after = SequenceInsert (before, t)
        }>
        joined = ConcatFromSequence <axis = 0, new_axis = 1> (s)
        sum = ReduceSum (joined)  y = Add (x, sum)
        """.replace("EACH", each)
    )
    (result,), (wanted,) = computed(model, {"x": X}, backend), by_onnxruntime(model, {"x": X})
    np.testing.assert_allclose(result, wanted, rtol=1e-5)


def test_a_loop_that_may_end_early_keeps_its_sequence(backend: Backend) -> None:
    model = model_of(
        """
        three = Constant <value = int64 {3}> ()  go = Constant <value = bool {1}> ()
        s = SequenceConstruct (x)
        t = Loop (three, go, s) <body = graph (int64 i, bool c, seq(float) before) => (bool d, seq(float) after) {
            u = SequenceAt (before, zero)  v = Add (u, u)  m = ReduceMax <keepdims = 0> (v)
            limit = Constant <value = float {6}> ()  d = Less (m, limit)  after = SequenceConstruct (v)
        }>
        y = SequenceAt (t, zero)
        """
    )
    for scale in (0.3, 1.0, 9.0):
        feeds = {"x": np.float32(scale) * X / X.max()}
        np.testing.assert_allclose(computed(model, feeds, backend)[0], by_onnxruntime(model, feeds)[0], rtol=1e-6)


def test_sequences_and_optionals_as_inputs_are_given_as_constants(backend: Backend) -> None:
    model = model_of(
        """
        h = OptionalHasElement (o)
        s = SequenceMap (q) <body = graph (float a) => (float b) { b = Neg (a) }>
        joined = ConcatFromSequence <axis = 0> (s)
        y = If (h) <then_branch = graph () => (float t) { e = OptionalGetElement (o)  t = Add (joined, e) },
                    else_branch = graph () => (float f) { f = Add (joined, x) }>
        """,
        inputs="float[2] x, optional(float[2]) o, seq(float) q",
    )
    one, parts = np.ones(2, np.float32), [np.array([3], np.float32), np.array([5], np.float32)]
    for given, wanted in ((None, [-2, -4]), (one * 9, [6, 4])):
        builder = direct_builder(backend)
        outputs = import_onnx(model, builder, constants={"o": given, "q": parts, "x": one})
        (result,) = run_graph(builder.build(outputs), {}, backend).values()
        np.testing.assert_array_equal(result, wanted)
    with pytest.raises(
        OnnxNotSupportedError,
        match=r"q \(input\): is of type sequence, expected a tensor.*constants=\{'q': \[\.\.\.\]\}",
    ):
        import_onnx(model, direct_builder(backend), constants={"o": None})
    with pytest.raises(ValidationError, match=r"constants\['q'\] must be a list of arrays, got int"):
        import_onnx(model, direct_builder(backend), constants={"q": 3})


@pytest.mark.parametrize(
    ("nodes", "error", "message"),
    [
        (
            "n = Neg (x)  y = SequenceConstruct (x, n)",
            OnnxNotSupportedError,
            r"it is a sequence of 2 tensors, .*nearest: its tensors: outputs=\['x', 'n'\], or the sequence",
        ),
        ("s = SequenceConstruct (x)  y = Neg (s)", DataError, "input 0 is a sequence of 1 tensors, expected one"),
        ("y = SequenceAt (x, zero)", DataError, "input 0 is one tensor, expected a sequence"),
        ("s = SequenceConstruct (x)  y = SequenceAt (s, two)", DataError, "position 2 is outside a sequence of 1"),
        ("s = SequenceEmpty ()  y = ConcatFromSequence <axis = 0> (s)", DataError, "the sequence is empty"),
        ("s = SplitToSequence (x, zero)  y = SequenceAt (s, zero)", DataError, "must be at least 1, got 0"),
        (
            "s = SplitToSequence (x)  r = ReduceMax <keepdims = 0> (x)  i = Cast <to = 7> (r)  y = SequenceAt (s, i)",
            OnnxNotSupportedError,
            "the position .* is computed when the model runs",
        ),
    ],
)  # fmt: skip
def test_misplaced_sequences_are_reported(backend: Backend, nodes: str, error: type[MLError], message: str) -> None:
    with pytest.raises(error, match=message):
        import_onnx(model_of(nodes), direct_builder(backend))


def test_many_long_sequences_are_refused(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    many, results = 40, ", ".join(["x"] * 1000)
    nodes = "".join(f"s{i} = SequenceConstruct ({results})  n{i} = SequenceLength (s{i})  " for i in range(many))
    nodes += f"n = Sum ({', '.join(f'n{i}' for i in range(many))})  y = Cast <to = 1> (n)"
    monkeypatch.setattr(budget, "_BYTES", 100_000)
    with pytest.raises(OnnxNotSupportedError, match="take too much memory"):
        import_onnx(model_of(nodes), direct_builder(backend))
