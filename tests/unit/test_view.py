"""What a page shows, before any browser: blocks, differences of two graphs, times, and the data of the boxes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

import webnn
from tests.direct import direct_builder
from webnn.backends.registry import backend_named
from webnn.errors import InvalidStateError, NotSupportedError, ValidationError
from webnn.formats.onnx.outline import outline_onnx
from webnn.graph.ir import Graph
from webnn.graph.operator import OPERATORS
from webnn.targets.checking import check
from webnn.view.blocks import FEWEST, MANY, Block, blocks_of
from webnn.view.differences import differences
from webnn.view.drawing import compared, drawing, page_data
from webnn.view.profiling import profile
from webnn.view.views import notebook_view, view_of

# Blocks.


def members(blocks: Sequence[Block], block_of: Sequence[int], number: int) -> set[int]:
    """All nodes in a block, and in the blocks inside of it."""
    inside = {number}
    for i, block in enumerate(blocks):
        if block.parent in inside:
            inside.add(i)
    return {node for node, block in enumerate(block_of) if block in inside}


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[str], list[str], list[list[int]]]:
    count = draw(st.integers(1, 60))
    operators = draw(st.lists(st.sampled_from(["add", "mul", "relu"]), min_size=count, max_size=count))
    labels = draw(
        st.lists(st.sampled_from(["", "a", "a/b", "a/b/c", "a/d/e", "b.c", "/a/b/c"]), min_size=count, max_size=count)
    )
    sources = [draw(st.lists(st.integers(max(0, i - 8), i - 1), max_size=3)) if i else [] for i in range(count)]
    return operators, labels, sources


@given(networks())
def test_blocks_are_trees_of_a_few_nodes_that_never_read_each_other_in_a_circle(
    network: tuple[list[str], list[str], list[list[int]]],
) -> None:
    operators, labels, sources = network
    blocks, block_of = blocks_of(operators, labels, sources)
    assert len(block_of) == len(operators)
    assert all(-1 <= block.parent < i for i, block in enumerate(blocks))
    for i in range(len(blocks)):
        assert len(members(blocks, block_of, i)) >= FEWEST
    for parent in range(-1, len(blocks)):
        children = [members(blocks, block_of, i) for i, block in enumerate(blocks) if block.parent == parent]
        place = {node: i for i, nodes in enumerate(children) for node in nodes}
        place |= {node: len(children) + node for node, block in enumerate(block_of) if block == parent}
        reads: dict[int, set[int]] = {}
        for node, where in place.items():
            read = {place[source] for source in sources[node] if source in place} - {where}
            reads[where] = reads.get(where, set()) | read
        left = dict(reads)
        while left:
            free = [where for where, read in left.items() if not read & left.keys()]
            assert free, "blocks read each other"
            for where in free:
                del left[where]


def chain(operators: Sequence[str], labels: Sequence[str] = ()) -> tuple[list[Block], list[int]]:
    sources = [[i - 1] if i else [] for i in range(len(operators))]
    return blocks_of(operators, labels or [""] * len(operators), sources)


def test_slashes_in_labels_name_blocks() -> None:
    labels = [f"/encoder/layer.{i}/{name}" for i in range(3) for name in ("MatMul", "Add", "Relu")]
    blocks, block_of = chain(["matmul", "add", "relu"] * 3 + ["exp"], [*labels, "/head"])
    assert [(block.name, block.parent, block.kind) for block in blocks] == [
        ("encoder", -1, "name"),
        ("layer.0", 0, "name"),
        ("layer.1", 0, "name"),
        ("layer.2", 0, "name"),
    ]
    assert block_of == [1, 1, 1, 2, 2, 2, 3, 3, 3, -1]
    assert len({block.alike for block in blocks[1:]}) == 1


def test_nodes_that_one_operator_became_are_a_block() -> None:
    blocks, block_of = chain(["exp", "sub", "mul", "div", "relu"], ["in", *["LayerNorm_0"] * 3, ""])
    assert [block.name for block in blocks] == ["LayerNorm_0"]
    assert block_of == [-1, 0, 0, 0, -1]


def test_a_word_that_nodes_far_apart_share_names_no_block() -> None:
    labels = [f"p2o.{kind}.{i}" for i in range(4) for kind in ("Add", "Mul", "Relu")]
    blocks, _ = chain(["add", "mul", "relu"] * 4, labels)
    assert all(block.kind != "name" for block in blocks)


def test_operators_that_repeat_are_blocks() -> None:
    block = ["conv2d", "clamp", "conv2d", "clamp", "conv2d"]
    blocks, block_of = chain(["exp", *block, *block, "add", *block, "softmax"])
    assert [block.name for block in blocks] == ["block 1 of 3", "block 2 of 3", "block 3 of 3"]
    assert block_of == [-1, *[0] * 5, *[1] * 5, -1, *[2] * 5, -1]


def test_what_repeats_without_being_connected_is_no_block() -> None:
    operators = ["exp", "sin", "cos", "tan"] * 4
    blocks, _ = blocks_of(operators, [""] * 16, [[]] * 16)
    assert blocks == []


def test_no_block_has_more_children_than_a_layout_can_place_at_once() -> None:
    generator = np.random.default_rng(0)
    operators = generator.choice(["add", "mul", "exp", "sin", "relu", "sub", "abs"], 3000).tolist()
    blocks, block_of = chain(operators)
    for parent in range(-1, len(blocks)):
        assert block_of.count(parent) + sum(block.parent == parent for block in blocks) <= MANY


# Two graphs.


def network(act: str = "relu", weight: float = 1.0, more: bool = False) -> Graph:
    builder = direct_builder()
    x = builder.input("x", (2, 2), "float32")
    first = builder.matmul(x, builder.constant(np.full((2, 2), weight, np.float32)), label="dense")
    second = getattr(builder, act)(first, label="act")
    third = builder.neg(second) if more else second
    return builder.build({"y": builder.softmax(builder.add(third, first, label="sum"), 1, label="out")})


def test_a_graph_is_the_same_as_itself() -> None:
    found = differences(network(), network())
    assert (found.partner, found.changed) == ((0, 1, 2, 3), frozenset())


def test_what_stands_behind_an_added_node_is_the_same() -> None:
    found = differences(network(), network(more=True))
    assert (found.partner, found.changed) == ((0, 1, 3, 4), frozenset())


def test_other_constants_are_a_change_of_what_reads_them_alone() -> None:
    found = differences(network(), network(weight=2.0))
    assert (found.partner, found.changed) == ((0, 1, 2, 3), frozenset({0}))


def test_another_operator_has_no_counterpart() -> None:
    assert differences(network(), network(act="tanh")).partner == (0, -1, 2, 3)


def test_the_drawings_of_two_graphs_say_which_boxes_differ() -> None:
    drawn = [drawing(graph, name) for graph, name in ((network(), "a"), (network(act="tanh", weight=2.0), "b"))]
    compared(drawn[0], drawn[1], differences(network(), network(act="tanh", weight=2.0)))
    told = [[box.get("differs") for box in each["boxes"]] for each in drawn]
    assert told == [[None, "changed", "alone", None, None, None]] * 2
    assert drawn[0]["boxes"][3]["partner"] == 3


# Boxes.


def test_a_drawing_has_every_operand_cost_and_constant() -> None:
    (end, dense, act, *_), data = (drawn := drawing(network(), "net"))["boxes"], drawn
    assert end == {"op": "input", "label": "x", "outs": [0]}
    assert dense["ins"] == [{"name": "a", "from": 0, "d": 0}, {"name": "b", "constant": 0, "d": 0}]
    assert (dense["macs"], dense["bytes"]) == (8, 48)
    assert "macs" not in act
    assert data["descriptors"][0] == ("float32", [2, 2])
    assert data["constants"] == [{"bytes": 16, "values": ["1.0"] * 4}]
    assert (data["parameters"], data["weights"]) == (4, 16)


def test_a_node_has_the_same_number_in_check_and_in_a_drawing() -> None:
    builder = direct_builder()
    x = builder.relu(builder.input("x", (2, 2), "float32"))
    graph = builder.build({"y": builder.neg(builder.pad(x, [1, 1], [1, 1], mode="edge"))})
    verdict = check(graph, "chromium-153")
    drawn = drawing(graph, "net", verdicts=[verdict])
    (problem,), (found,) = verdict.problems, drawn["targets"][0]["problems"]
    first = next(i for i, box in enumerate(drawn["boxes"]) if box["op"] != "input")  # the page counts from here
    assert (found["box"] - first, drawn["boxes"][found["box"]]["op"]) == (problem.node, problem.operator) == (1, "pad")


def test_every_operator_has_a_colour_and_a_section_of_the_specification() -> None:
    data = page_data("all", [{"boxes": [{"op": op} for op in OPERATORS]}])
    assert data["families"].keys() == OPERATORS.keys()
    assert [op for op, link in data["links"].items() if not link.startswith("https://www.w3.org/TR/webnn/#")] == []


def test_what_a_target_refuses_is_told_with_its_box() -> None:
    builder = direct_builder()
    x = builder.input("x", (2, 1, 1, 1, 1, 1, 2), "float32")
    graph = builder.build({"y": builder.add(builder.relu(x), x, label="wide")})
    (target,) = drawing(graph, "net", verdicts=[check(graph, "chromium-153")])["targets"]
    assert not target["builds"]
    assert {drawing(graph, "net")["boxes"][found["box"]]["op"] for found in target["problems"]} >= {"add", "relu"}
    assert any("has rank 7" in found["text"] for found in target["problems"])


def test_each_operator_is_timed_and_equal_ones_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webnn.view.profiling.SECONDS", 0.0)
    builder = direct_builder()
    x = builder.input("x", (64, 64), "float32")
    graph = builder.build({"y": builder.matmul(builder.relu(builder.relu(x)), x)})
    found = profile(graph, backend_named("arrays"))
    first, second, product = found.operators
    assert first == second
    assert product is not None
    assert product >= 0
    assert found.whole > 0


def test_operators_that_a_backend_rewrites_are_timed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webnn.view.profiling.SECONDS", 0.0)
    builder = direct_builder()
    x = builder.input("x", (1, 512, 508), "float32")
    graph = builder.build({"y": builder.reduce_sum(builder.pow(x, builder.constant("float32", 2.0)), axes=[2])})
    found = profile(graph, backend_named("onnxruntime"))
    assert all(time is not None and time > 0 for time in found.operators)


# From Python.


@pytest.fixture
def graph() -> Any:
    with webnn.create_context(backend="arrays") as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [2, 3], "float32")
        yield builder.build({"y": builder.pad(x, [0, 1], [0, 1], mode="edge", label="</script><b>border")})


def test_a_graph_writes_its_page(graph: Any, tmp_path: Path) -> None:
    made = graph.view(tmp_path / "page.html", target="chromium-153")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == made.html
    assert 'takes \\"constant\\" and \\"reflection\\"' in made.html
    assert "</script><b>" not in made.html
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:,)\w""", made.html.partition("<script id")[0])
    assert made.html.count("Copyright (c) 2012-2014 Chris Pettitt") == 1


def test_a_graph_stands_beside_another_one(graph: Any) -> None:
    made = graph.view(beside=webnn.fit(graph, "chromium-153").graph)
    data = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', made.html, re.DOTALL)[1])  # type: ignore[index]
    assert [each["name"] for each in data["graphs"]] == ["x -> y (first)", "x -> y (second)"]
    assert any("differs" in box for box in data["graphs"][1]["boxes"])


def test_a_notebook_shows_the_page_in_a_frame_that_needs_nothing_else(graph: Any) -> None:
    shown = graph._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert len(shown) < 200_000
    assert "<script" not in shown
    assert graph.view()._repr_html_().startswith("<iframe")
    graph.destroy()
    assert graph._repr_html_() is None


def test_a_notebook_is_told_of_a_huge_graph_without_its_page(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webnn.view.views.MANY", 0)
    assert "1 nodes; graph.view() draws them" in (notebook_view(graph) or "")


def test_a_page_is_opened_in_the_browser_of_the_desktop(
    graph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    graph.view(tmp_path / "page.html", open=True)
    temporary = graph.view().open()
    assert opened == [(tmp_path / "page.html").as_uri(), temporary.as_uri()]
    temporary.unlink()
    temporary.parent.rmdir()


def test_what_cannot_be_drawn_is_refused(graph: Any) -> None:
    with pytest.raises(ValidationError, match=r"view: beside must be an MLGraph, got str: y\.html"):
        graph.view(beside="y.html")
    with pytest.raises(NotSupportedError, match="unknown target 'netscape'"):
        graph.view(target="netscape")
    graph.destroy()
    with pytest.raises(InvalidStateError, match=r"view: .* was destroyed"):
        graph.view()


def test_the_library_that_is_shipped_is_the_one_that_its_page_names() -> None:
    folder = Path(webnn.__file__).parent / "view" / "dagre"
    digest = sha256((folder / "dagre.min.js").read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text(encoding="utf-8")
    assert view_of([("net", network())]).html.count("Permission is hereby granted") == 1


def test_the_outline_says_where_a_file_comes_from(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "net", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(
        graph, producer_name="trainer", producer_version="2.1", opset_imports=opsets, ir_version=9
    )
    onnx.save(model, tmp_path / "net.onnx")
    told = {"format": "ONNX, IR version 9", "opset": "17", "producer": "trainer 2.1", "graph": "net"}
    assert outline_onnx(tmp_path / "net.onnx").about == told
