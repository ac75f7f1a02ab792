"""Rebuilding a graph with some of its nodes replaced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.errors import ValidationError
from webnn.graph.builder import declare_inputs, keep_open_dimensions
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, readers, renamed, rewritten


def doubled(node: Node) -> Sequence[MLOperand]:
    return [Replacement(node).add(node.output, node.output)]


def negated(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op == "neg"]


def a_graph() -> Graph:
    """-(-x), split in two, and the difference of the halves."""
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    y = builder.neg(builder.neg(x, label="stem"))
    first, second = builder.split(y, 2)
    return builder.build({"y": y, "difference": builder.sub(first, second)})


def test_what_reads_a_replaced_node_reads_its_replacement() -> None:
    before = a_graph()
    after = rewritten(before, negated(before), doubled)
    assert [node.op for node in after.nodes] == ["neg", "add", "neg", "add", "split", "sub"]
    for graph, factor in ((before, 1), (after, 4)):
        result = run_graph(graph, {"x": np.array([3, 1])}, ArraysBackend())
        assert (result["y"].tolist(), result["difference"].tolist()) == ([3 * factor, factor], [2 * factor])


def test_the_graph_that_is_rewritten_stays_as_it_is() -> None:
    graph = a_graph()
    nodes, operands = graph.nodes, [tuple(node.inputs()) for node in graph.nodes]
    rewritten(graph, negated(graph), doubled)
    assert graph.nodes is nodes
    assert [tuple(node.inputs()) for node in graph.nodes] == operands


def test_nodes_that_nothing_replaced_is_read_by_are_shared() -> None:
    graph = a_graph()
    after = rewritten(graph, negated(graph)[1:], doubled)
    assert after.nodes[:2] == graph.nodes[:2]
    assert after.inputs == graph.inputs


@pytest.mark.parametrize("nodes", [0, 2], ids=["no node", "nodes that the rule keeps"])
def test_without_a_replacement_the_graph_is_the_same_object(nodes: int) -> None:
    graph = a_graph()
    assert rewritten(graph, graph.nodes[:nodes], lambda node: None) is graph


def test_replacements_carry_the_label_or_else_the_name_of_the_operator() -> None:
    graph = a_graph()
    after = rewritten(graph, negated(graph), doubled)
    assert [node.where for node in after.nodes if node.op == "add"] == ["[stem] add", "[neg] add"]


def test_a_replacement_of_another_shape_is_refused() -> None:
    graph = a_graph()
    with pytest.raises(AssertionError, match=r"\[stem\] neg: .*\[2\]> became .*\[2, 1\]>"):
        rewritten(graph, negated(graph), lambda node: [Replacement(node).reshape(node.output, [2, 1])])


def test_a_replacement_that_loses_an_input_is_refused() -> None:
    graph = a_graph()
    with pytest.raises(AssertionError, match="must not lose an input"):
        rewritten(graph, negated(graph), lambda node: [Replacement(node).constant(np.zeros(2, np.float32))])


def test_an_operand_that_the_caller_reads_has_no_list_of_readers() -> None:
    graph = a_graph()
    first, second, split, sub = graph.nodes
    assert readers(graph) == {
        graph.inputs["x"]: [first],
        first.output: [second],
        **{half: [sub] for half in split.outputs},
    }


def test_a_constant_of_one_number_is_small_however_large_it_is() -> None:
    node = a_graph().nodes[0]
    small, large = (Replacement(node).full(0.5, shape, "float16") for shape in ([2, 3], [1024, 1024]))
    assert small.constant is not None
    assert small.constant.tolist() == [[0.5] * 3] * 2
    assert large.node is not None
    assert (large.node.op, large.data_type, large.shape) == ("expand", "float16", (1024, 1024))


# Other names.


def test_inputs_and_outputs_take_other_names() -> None:
    before = a_graph()
    after = renamed(before, {"x": "136", "y": "x"})
    assert (list(after.inputs), list(after.outputs)) == (["136"], ["x", "difference"])
    assert [node.label for node in after.nodes] == [node.label for node in before.nodes]
    assert (list(before.inputs), list(before.outputs)) == (["x"], ["y", "difference"])
    results = run_graph(after, {"136": np.array([3, 1])}, ArraysBackend())
    assert (results["x"].tolist(), results["difference"].tolist()) == ([3, 1], [2])
    assert renamed(before, {}) is before


def test_what_a_file_says_of_its_inputs_is_renamed_with_them() -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    declare_inputs(builder, ["x", "mask"])
    keep_open_dimensions(builder, "x", ["batch"])
    graph = renamed(builder.build({"y": builder.relu(x)}), {"x": "picture", "mask": "other"})
    assert dict(graph.open_dimensions) == {"picture": ["batch"]}
    assert graph.unread_inputs == {"other"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"z": "y"}, "names has 'z', .* its inputs are x, its outputs y, difference"),
        ({"y": ""}, r"names\['y'\] must be a non-empty string, got ''"),
        ({"y": "difference"}, "names gives several outputs the name 'difference'"),
    ],
)
def test_names_must_fit_the_graph(names: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        renamed(a_graph(), names)
