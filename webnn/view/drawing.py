"""The data of a page, as one value for JSON: boxes with their details, what they read, and the blocks around them.

The places of the boxes are not in it: the page lays out what is unfolded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from webnn.graph.builder import MLGraphBuilder
from webnn.graph.costs import multiply_adds
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators
from webnn.graph.statistics import statistics
from webnn.targets.checking import Note, Problem, Verdict
from webnn.view.blocks import blocks_of
from webnn.view.differences import Differences

__all__ = ["compared", "drawing", "page_data"]

FEW: Final = 16
"""Constants of up to so many elements are listed in full."""
BINS: Final = 24

_FAMILIES: Final[Mapping[str, str]] = {
    op: base.__module__.rpartition(".")[2]
    for base in MLGraphBuilder.__mro__
    if issubclass(base, Operators)
    for op in vars(base)
}
"""Operator -> its family, which is its colour."""


def page_data(title: str, graphs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The data of the page that shows one graph, or two beside each other, as `drawing` gives them."""
    operators = {box["op"] for graph in graphs for box in graph["boxes"]}
    families = {op: family for op, family in _FAMILIES.items() if op in operators}
    links = {op: _link(op) for op in families}
    return {"title": title, "graphs": graphs, "families": families, "links": links}


def _link(op: str) -> str:
    """The operator's section of the specification, from the docstring of its method."""
    found = re.search(r"https://www\.w3\.org/TR/webnn/#\S+", getattr(MLGraphBuilder, op).__doc__ or "")
    return found[0] if found is not None else ""


def drawing(
    graph: Graph,
    name: str,
    *,
    about: Mapping[str, str] | None = None,
    verdicts: Sequence[Verdict] = (),
    milliseconds: Sequence[float | None] | None = None,
    looks_at_constants: bool = True,
    advance: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """The data of one graph: inputs, then operators, then outputs.

    Args:
        graph: the graph to draw.
        name: its name.
        about: more about it, such as the format of its file.
        verdicts: the verdicts of targets that it was held against.
        milliseconds: the time of each operator, where it was measured.
        looks_at_constants: whether it has statistics of the constants, which reads all of them.
        advance: called for each constant.
    """
    boxes: list[dict[str, Any]] = []
    table = _Table()
    numbers: dict[int, int] = {}
    constants: dict[int, int] = {}
    told: list[dict[str, Any]] = []
    for label, operand in graph.inputs.items():
        numbers[id(operand)] = len(boxes)
        boxes.append({"op": "input", "label": label, "outs": [table(operand)]})
    inputs = len(boxes)
    for i, node in enumerate(graph.nodes):
        for operand in node.inputs():
            if operand.constant is not None and id(operand) not in constants:
                constants[id(operand)] = len(told)
                told.append(_constant(operand, looks_at_constants))
                advance(1)
        box = _box(node, numbers, constants, table)
        if milliseconds is not None and milliseconds[i] is not None:
            box["time"] = milliseconds[i]
        numbers.update((id(operand), len(boxes)) for operand in node.outputs)
        boxes.append(box)
    for label, operand in graph.outputs.items():
        read = {"name": "value", "from": numbers[id(operand)], **_which(operand), "d": table(operand)}
        boxes.append({"op": "output", "label": label, "ins": [read]})
    return {
        "name": name,
        "about": dict(about or {}),
        "boxes": boxes,
        "blocks": _set_blocks(boxes[inputs : inputs + len(graph.nodes)], inputs),
        "descriptors": table.rows,
        "constants": told,
        "parameters": sum(constant.descriptor.element_count for constant in graph.constants),
        "weights": graph.constant_bytes,
        "targets": [_verdict(verdict, boxes, inputs) for verdict in verdicts],
    }


def compared(first: dict[str, Any], second: dict[str, Any], found: Differences) -> None:
    """Write into the drawings of two graphs which boxes correspond, and which differ."""
    sides = first["boxes"], second["boxes"]
    operators = [[i for i, box in enumerate(side) if box["op"] not in ("input", "output")] for side in sides]
    pairs = [(operators[0][i], operators[1][j]) for i, j in enumerate(found.partner) if j >= 0]
    changed = {operators[0][i] for i in found.changed}
    for kind in ("input", "output"):
        there = {box["label"]: j for j, box in enumerate(sides[1]) if box["op"] == kind}
        for i, box in enumerate(sides[0]):
            if box["op"] == kind and box["label"] in there:
                j = there[box["label"]]
                pairs.append((i, j))
                if _shapes(first, i) != _shapes(second, j):
                    changed.add(i)
    for i, j in pairs:
        sides[0][i]["partner"], sides[1][j]["partner"] = j, i
        if i in changed:
            sides[0][i]["differs"] = sides[1][j]["differs"] = "changed"
    for side in sides:
        for box in side:
            if "partner" not in box:
                box["differs"] = "alone"


def _shapes(drawn: Mapping[str, Any], number: int) -> list[Any]:
    box = drawn["boxes"][number]
    return [drawn["descriptors"][d] for d in box.get("outs") or [read["d"] for read in box["ins"]]]


class _Table:
    """Data types and shapes, each once: a call gives the number of an operand's."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, list[int]]] = []
        self._numbers: dict[object, int] = {}

    def __call__(self, operand: MLOperand) -> int:
        number = self._numbers.setdefault(operand.descriptor.key, len(self.rows))
        if number == len(self.rows):
            self.rows.append((operand.data_type, list(operand.shape)))
        return number


def _box(node: Node, numbers: Mapping[int, int], constants: Mapping[int, int], table: _Table) -> dict[str, Any]:
    operands: list[dict[str, Any]] = []
    for name, given in node.operands.items():
        for i, operand in enumerate([given] if isinstance(given, MLOperand) else given):
            called = name if isinstance(given, MLOperand) else f"{name}[{i}]"
            if operand.constant is not None:
                operands.append({"name": called, "constant": constants[id(operand)], "d": table(operand)})
            else:
                read = {"from": numbers[id(operand)], **_which(operand)}
                operands.append({"name": called, **read, "d": table(operand)})
    box: dict[str, Any] = {"op": node.op, "label": node.label, "ins": operands, "outs": list(map(table, node.outputs))}
    if node.attributes:
        box["attributes"] = {name: _told(value) for name, value in node.attributes.items()}
    if cost := multiply_adds(node):
        box["macs"] = cost
    box["bytes"] = sum(operand.descriptor.byte_length for operand in [*node.inputs(), *node.outputs])
    return box


def _which(operand: MLOperand) -> dict[str, int]:
    """Which output of its node an operand is, if that has several."""
    if operand.node is None or len(operand.node.outputs) == 1:
        return {}
    return {"output": next(i for i, output in enumerate(operand.node.outputs) if output is operand)}


def _told(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _constant(operand: MLOperand, looks: bool) -> dict[str, Any]:
    """The details of a constant: its few elements, or statistics of its many."""
    array = operand.constant
    assert array is not None
    told = {"bytes": operand.descriptor.byte_length}
    if array.size <= FEW:
        return {**told, "values": [str(value) for value in array.reshape(-1).tolist()]}
    return {**told, "statistics": statistics(array, BINS)} if looks else told


def _set_blocks(boxes: Sequence[dict[str, Any]], first: int) -> list[dict[str, Any]]:
    """Write the number of its block into each box of an operator; returns the blocks."""
    sources = [[read["from"] - first for read in box["ins"] if read.get("from", -1) >= first] for box in boxes]
    blocks, block_of = blocks_of([box["op"] for box in boxes], [box["label"] for box in boxes], sources)
    for box, number in zip(boxes, block_of, strict=True):
        if number >= 0:
            box["block"] = number
    return [{"name": each.name, "parent": each.parent, "kind": each.kind, "alike": each.alike} for each in blocks]


def _verdict(verdict: Verdict, boxes: Sequence[Mapping[str, Any]], first: int) -> dict[str, Any]:
    """The verdict of a target, with the numbers of the boxes that it is about."""
    ends = {(box["op"], box["label"]): i for i, box in enumerate(boxes) if box["op"] in ("input", "output")}

    def at(found: Problem | Note) -> int:
        return ends[found.operator, found.label] if found.node is None else first + found.node

    def problems() -> Iterator[dict[str, Any]]:
        for found in verdict.problems:
            yield {"box": at(found), "text": found.reason, "proposal": found.proposal, "answer": found.answer}

    def notes() -> Iterator[dict[str, Any]]:
        for found in verdict.notes:
            yield {
                "box": at(found),
                "text": f"{found.given}; the target {found.difference}",
                "proposal": found.proposal,
            }

    return {
        "name": verdict.target,
        "description": verdict.description,
        "builds": verdict.builds,
        "problems": list(problems()),
        "notes": list(notes()),
    }
