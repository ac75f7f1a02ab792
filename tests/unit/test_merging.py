"""Merging graphs: which links go together, and that the merged graph computes what they compute one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.graph.ir import Graph
from webnn.graph.merging import Link, groups, merged, needed

WEIGHT = np.arange(9, dtype=np.float32).reshape(3, 3) / 4


def dense(weight: np.ndarray[Any, Any] = WEIGHT, label: str = "dense") -> Graph:
    """`y = x @ weight`."""
    builder = direct_builder()
    x = builder.input("x", [1, 3], "float32")
    return builder.build({"y": builder.matmul(x, builder.constant(weight), label=label)})


def join() -> Graph:
    """`sum = a + b`, `product = a * b`, with `b` the first input of the graph."""
    builder = direct_builder()
    b, a = builder.input("b", [1, 3], "float32"), builder.input("a", [1, 3], "float32")
    return builder.build({"sum": builder.add(a, b), "product": builder.mul(a, b)})


def chain(graph: Graph, count: int) -> list[Link]:
    return [Link(graph, (i,), (i + 1,)) for i in range(count)]


def singly(links: list[Link], values: Mapping[int, np.ndarray[Any, Any]]) -> dict[int, np.ndarray[Any, Any]]:
    """The values of the links, run one after another."""
    known = dict(values)
    for link in links:
        feeds = {name: known[number] for name, number in zip(link.graph.inputs, link.inputs, strict=True)}
        results = run_graph(link.graph, feeds, ArraysBackend())
        known.update(zip(link.outputs, results.values(), strict=True))
    return known


def test_a_merged_chain_computes_what_its_links_compute() -> None:
    links = chain(dense(), 4)
    x = np.array([[1, 2, -3]], np.float32)
    whole = merged(links, {2, 4})
    assert (whole.inputs, whole.outputs) == ((0,), (2, 4))
    results = run_graph(whole.graph, {"input0": x}, ArraysBackend())
    expected = singly(links, {0: x})
    np.testing.assert_array_equal(results["output0"], expected[2])
    np.testing.assert_array_equal(results["output1"], expected[4])


def test_links_with_several_inputs_and_outputs_are_connected_by_number_and_not_by_name() -> None:
    links = [Link(join(), (7, 3), (10, 11)), Link(join(), (11, 7), (12, 13)), Link(dense(), (12,), (14,))]
    values = {7: np.array([[1, 2, 3]], np.float32), 3: np.array([[5, -6, 7]], np.float32)}
    whole = merged(links, {10, 13, 14})
    feeds = {name: values[number] for name, number in zip(whole.graph.inputs, whole.inputs, strict=True)}
    results = run_graph(whole.graph, feeds, ArraysBackend())
    expected = singly(links, values)
    for number, array in zip(whole.outputs, results.values(), strict=True):
        np.testing.assert_array_equal(array, expected[number])


def test_the_weights_of_a_graph_that_is_run_many_times_are_one_constant() -> None:
    assert len(merged(chain(dense(), 20), {20}).graph.constants) == 1


def test_two_graphs_that_were_given_the_same_large_array_share_it() -> None:
    builder = direct_builder()
    big = np.zeros((200, 200), np.float32)
    x = builder.input("x", [1, 200], "float32")
    first = builder.build({"y": builder.matmul(x, builder.constant(big))})
    builder = direct_builder()
    x = builder.input("x", [1, 200], "float32")
    second = builder.build({"y": builder.relu(builder.matmul(x, builder.constant(big)))})
    whole = merged([Link(first, (0,), (1,)), Link(second, (1,), (2,))], {2})
    assert len(whole.graph.constants) == 1


def test_different_weights_stay_different_constants() -> None:
    whole = merged([Link(dense(), (0,), (1,)), Link(dense(WEIGHT + 1), (1,), (2,))], {2})
    assert len(whole.graph.constants) == 2


def test_nodes_keep_their_labels() -> None:
    whole = merged([Link(dense(label="first"), (0,), (1,)), Link(dense(label="second"), (1,), (2,))], {2})
    assert [node.label for node in whole.graph.nodes] == ["first", "second"]


def test_what_only_dropped_values_need_is_left_out_with_its_inputs() -> None:
    links = [Link(dense(), (0,), (2,)), Link(join(), (0, 1), (3, 4))]
    whole = merged(links, {2})
    assert (len(whole.graph.nodes), whole.inputs) == (1, (0,))


def test_equal_programs_give_equal_graphs() -> None:
    first = merged(chain(dense(), 3), {1, 3})
    again = dense()
    shifted = [Link(again, (i + 50,), (i + 51,)) for i in range(3)]
    assert merged(shifted, {51, 53}).graph.structure_hash == first.graph.structure_hash
    assert merged(chain(dense(), 3), {3}).graph.structure_hash != first.graph.structure_hash


def test_all_operands_of_a_merged_graph_have_one_owner_so_that_passes_can_build_on_them() -> None:
    graph = merged([Link(dense(), (0,), (1,)), Link(dense(WEIGHT + 1), (1,), (2,))], {2}).graph
    owners = {operand.owner for node in graph.nodes for operand in (*node.inputs(), *node.outputs)}
    assert len(owners) == 1


def test_a_link_is_needed_if_something_kept_depends_on_it() -> None:
    graph = dense()
    a, b, c = Link(graph, (0,), (1,)), Link(graph, (1,), (2,)), Link(graph, (0,), (3,))
    assert needed([a, b, c], {2}) == [a, b]
    assert needed([a, b, c], {1, 3}) == [a, c]


def test_neighbours_with_common_values_are_grouped() -> None:
    graph = dense()
    links = [*chain(graph, 3), Link(graph, (9,), (10,)), Link(graph, (10,), (11,)), Link(graph, (3,), (4,))]
    assert groups(links, [True] * 6) == [[0, 1, 2, 5], [3, 4]]


def test_readers_of_one_input_are_grouped() -> None:
    graph = dense()
    assert groups([Link(graph, (0,), (1,)), Link(graph, (0,), (2,))], [True, True]) == [[0, 1]]


def test_a_link_that_is_not_fusable_parts_the_others() -> None:
    assert groups(chain(dense(), 5), [True, True, False, True, True]) == [[0, 1], [2], [3, 4]]


@pytest.mark.parametrize(("limit", "expected"), [(2, [[0, 1], [2, 3], [4]]), (1, [[0], [1], [2], [3], [4]])])
def test_a_group_has_a_limited_number_of_nodes(limit: int, expected: list[list[int]]) -> None:
    assert groups(chain(dense(), 5), [True] * 5, max_nodes=limit) == expected


def test_a_group_has_a_limited_size_of_constants_in_which_shared_ones_count_once() -> None:
    same = dense()
    assert groups(chain(same, 5), [True] * 5, max_bytes=WEIGHT.nbytes) == [[0, 1, 2, 3, 4]]
    links = [Link(dense(WEIGHT + i), (i,), (i + 1,)) for i in range(5)]
    assert groups(links, [True] * 5, max_bytes=2 * WEIGHT.nbytes) == [[0, 1], [2, 3], [4]]
