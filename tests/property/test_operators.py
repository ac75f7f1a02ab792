"""Random graphs give the same on every backend; random calls that are wrong are refused, and nothing else happens."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.direct import run_graph
from tests.property.calls import VALID, Call, valid_call
from tests.property.draft import Draft, returnable
from tests.property.mutations import hostile_call, wrong_call
from tests.property.tolerances import EXACT, TOLERANCES, Tolerance, difference
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import NotSupportedError, ValidationError
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

EXAMPLES: Final[int] = settings().max_examples
ONNXRUNTIME, ARRAYS = OnnxRuntimeBackend(), ArraysBackend()

LOCAL: Final = (
    *("abs", "add", "ceil", "clamp", "concat", "equal", "expand", "floor", "gather", "greater", "identity", "lesser"),
    *("logical_and", "logical_not", "max", "min", "mul", "neg", "not_equal", "pad", "relu", "reshape", "reverse"),
    *("round_even", "scatter_elements", "sign", "slice", "split", "sub", "tile", "transpose", "triangular", "where"),
)
"""Operators that are exact on any values, so that they can follow each other in any order."""


MEANINGLESS: Final = {"conv_transpose2d": "input channels do not make .* equal groups"}
"""What the specification's validation lets pass, and no backend can compute."""


def check_agreement(draft: Draft, outputs: dict[str, MLOperand], tolerance: Tolerance, said: str) -> None:
    graph = draft.builder.build(outputs)
    actual, expected = (run_graph(graph, draft.feeds, backend) for backend in (ONNXRUNTIME, ARRAYS))
    for name in graph.outputs:
        found = difference(actual[name], expected[name], tolerance)
        assert found is None, f"{said}: {name}: {found}"


def check_shapes(graph: Graph, draft: Draft) -> None:
    for backend in (ONNXRUNTIME, ARRAYS):
        results = run_graph(graph, draft.feeds, backend)
        found = {name: (array.dtype.name, array.shape) for name, array in results.items()}
        assert found == {name: operand.descriptor.key for name, operand in graph.outputs.items()}


@pytest.mark.parametrize("op", VALID)
@given(data=st.data())
def test_backends_agree_on(op: str, data: st.DataObject) -> None:
    draft = Draft(data, ONNXRUNTIME)
    call = valid_call(draft, op)
    outputs = [draft.followed(returnable(draft, output)) for output in call.on(draft.builder)]
    named = {f"output {i}": output for i, output in enumerate(outputs)}
    check_agreement(draft, named, TOLERANCES.get(op, EXACT), repr(call))


@pytest.mark.parametrize("op", VALID)
@given(data=st.data())
def test_a_node_holds_only_values_that_never_change(op: str, data: st.DataObject) -> None:
    draft = Draft(data, ONNXRUNTIME)
    for output in valid_call(draft, op).on(draft.builder):
        assert output.node is not None
        hash((*output.node.operands.values(), *output.node.attributes.values(), *output.node.outputs))


@settings(max_examples=5 * EXAMPLES)
@given(data=st.data())
def test_backends_agree_on_graphs_of_many_operators(data: st.DataObject) -> None:
    draft = Draft(data, ONNXRUNTIME)
    calls = []
    for _ in range(draft.integer(2, 8)):
        calls.append(valid_call(draft, draft.pick(LOCAL)))
        draft.pool += calls[-1].on(draft.builder)
    outputs = {f"output {i}": operand for i, operand in enumerate(draft.pool)}
    last = f"output {len(outputs) - 1}"
    check_agreement(draft, {name: outputs[name] for name in {*draft.some_of([*outputs]), last}}, EXACT, repr(calls))


@settings(max_examples=10 * EXAMPLES)
@given(data=st.data())
def test_graphs_of_any_operators_run(data: st.DataObject) -> None:
    """Whatever a backend may fuse; what comes out is compared where operators are alone, since errors add up."""
    draft = Draft(data, ONNXRUNTIME)
    for _ in range(draft.integer(2, 6)):
        draft.pool += valid_call(draft, draft.pick([*VALID])).on(draft.builder)
    outputs = {f"output {i}": operand for i, operand in enumerate(returnable(draft, o) for o in draft.pool)}
    last = f"output {len(outputs) - 1}"
    graph = draft.builder.build({name: outputs[name] for name in {*draft.some_of([*outputs]), last}})
    check_shapes(graph, draft)


@pytest.mark.parametrize("op", VALID)
@given(data=st.data())
def test_a_wrong_call_is_refused(op: str, data: st.DataObject) -> None:
    draft = Draft(data, ONNXRUNTIME)
    call = wrong_call(draft, valid_call(draft, op))
    with pytest.raises(ValidationError, match=rf"^(\[.*\] )?{op}: "):
        call.on(draft.builder)
    x = draft.builder.input("afterwards", [1], "float32")
    assert [node.op for node in draft.builder.build({"y": draft.builder.relu(x)}).nodes] == ["relu"]


def is_small(call: Call) -> bool:
    """Whether to run it: sizes near 2**32 are valid, but fill the memory."""
    arguments = [*call.args, *call.options.values()]
    numbers = [n for a in arguments for n in (a if isinstance(a, list) else [a]) if isinstance(n, int)]
    return all(abs(n) <= 100 for n in numbers)


@pytest.mark.parametrize("op", VALID)
@given(data=st.data())
def test_a_hostile_call_is_refused_or_runs(op: str, data: st.DataObject) -> None:
    draft = Draft(data, ONNXRUNTIME)
    call = hostile_call(draft, op)
    try:
        outputs = call.on(draft.builder)
    except ValidationError:
        return
    if not is_small(call):
        return
    graph = draft.builder.build({f"output {i}": returnable(draft, o) for i, o in enumerate(outputs)})
    try:
        check_shapes(graph, draft)
    except NotSupportedError as error:
        if not re.search(MEANINGLESS.get(op, "(?!)"), str(error)):
            raise
