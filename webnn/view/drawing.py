"""The data of a page, as one value for JSON: boxes with their details, edges, and their places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from webnn.graph.builder import MLGraphBuilder
from webnn.graph.costs import multiply_adds
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators
from webnn.graph.statistics import statistics
from webnn.view.layout import layout

__all__ = ["drawing"]

CHARACTER: Final = 7.4
"""The width of one character in a box."""
WIDEST: Final = 34
"""Characters that a box shows of a long name."""
FEW: Final = 16
"""Constants of up to so many elements are listed in full."""
BINS: Final = 24
TIMES: Final = "\N{MULTIPLICATION SIGN}"

_FAMILIES: Final[Mapping[str, str]] = {
    op: base.__module__.rpartition(".")[2]
    for base in MLGraphBuilder.__mro__
    if issubclass(base, Operators)
    for op in vars(base)
}
"""Operator -> its family, which is its colour."""


def drawing(graph: Graph, title: str, advance: Callable[[int], object] = lambda _: None) -> dict[str, Any]:
    """The page's data.

    Args:
        graph: the graph to draw.
        title: its name.
        advance: called for each constant looked at, and once for finding the places.
    """
    boxes: list[dict[str, Any]] = []
    sources: list[list[int]] = []
    box_of: dict[int, int] = {}
    constants: dict[int, int] = {}
    told: list[dict[str, Any]] = []
    for name, operand in graph.inputs.items():
        box_of[id(operand)] = len(boxes)
        boxes.append({"kind": "input", "op": "input", "label": name, "outputs": [_described(operand)]})
        sources.append([])
    for node in graph.nodes:
        for operand in node.inputs():
            if operand.constant is not None and id(operand) not in constants:
                constants[id(operand)] = len(told)
                told.append(_constant(operand))
                advance(1)
        read = [box_of[id(operand)] for operand in node.inputs() if id(operand) in box_of]
        for operand in node.outputs:
            box_of[id(operand)] = len(boxes)
        boxes.append(_box(node, box_of, constants))
        sources.append(list(dict.fromkeys(read)))
    for name, operand in graph.outputs.items():
        boxes.append(
            {
                "kind": "output",
                "op": "output",
                "label": name,
                "operands": [{"name": "value", "from": box_of[id(operand)], **_described(operand)}],
            }
        )
        sources.append([box_of[id(operand)]])
    for box in boxes:
        box["lines"] = _lines(box)
    widths = [max(len(line) for line in box["lines"]) * CHARACTER + 26 for box in boxes]
    placed = layout(widths, sources)
    advance(1)
    for i, box in enumerate(boxes):
        box.update(x=placed.x[i], y=placed.y[i], w=round(widths[i], 1), trunk=placed.trunks[i], reads=sources[i])
    return {
        "title": title,
        "boxes": boxes,
        "constants": told,
        "width": placed.width,
        "height": placed.height,
        "parameters": sum(constant.descriptor.element_count for constant in graph.constants),
        "multiply_adds": sum(map(multiply_adds, graph.nodes)),
    }


def _described(operand: MLOperand) -> dict[str, Any]:
    return {"type": operand.data_type, "shape": list(operand.shape)}


def _box(node: Node, box_of: Mapping[int, int], constants: Mapping[int, int]) -> dict[str, Any]:
    operands = []
    for name, given in node.operands.items():
        for i, operand in enumerate([given] if isinstance(given, MLOperand) else given):
            called = name if isinstance(given, MLOperand) else f"{name}[{i}]"
            source = (
                {"constant": constants[id(operand)]} if operand.constant is not None else {"from": box_of[id(operand)]}
            )
            if operand.node is not None and len(operand.node.outputs) > 1:
                source["output"] = next(i for i, output in enumerate(operand.node.outputs) if output is operand)
            operands.append({"name": called, **source, **_described(operand)})
    return {
        "kind": "operator",
        "op": node.op,
        "family": _FAMILIES.get(node.op, ""),
        "label": node.label,
        "operands": operands,
        "attributes": {name: _told(value) for name, value in node.attributes.items()},
        "outputs": [_described(output) for output in node.outputs],
        "multiply_adds": multiply_adds(node),
    }


def _told(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _constant(operand: MLOperand) -> dict[str, Any]:
    """The details of a constant: its few elements, or statistics of its many."""
    array = operand.constant
    assert array is not None
    told = {**_described(operand), "bytes": operand.descriptor.byte_length}
    if array.size <= FEW:
        return {**told, "values": [str(value) for value in array.reshape(-1).tolist()]}
    return {**told, "statistics": statistics(array, BINS)}


def _lines(box: Mapping[str, Any]) -> list[str]:
    """The text in a box: its operator or name, and the shapes of its outputs."""
    described = box["outputs"] if "outputs" in box else box["operands"]
    first = box["label"] if box["kind"] != "operator" else box["op"]
    shapes = ", ".join(_shape(one["shape"]) for one in described[:2]) + ", …" * (len(described) > 2)
    if box["kind"] != "operator":
        shapes = f"{described[0]['type']} {shapes}"
    return [line if len(line) <= WIDEST else line[: WIDEST - 1] + "…" for line in (first, shapes)]


def _shape(sizes: Sequence[int]) -> str:
    return TIMES.join(map(str, sizes)) or "scalar"
