"""From the ONNX nodes of a session, and the providers that they were assigned to, to the operators of a graph.

A lowering numbers its ONNX nodes (`conv2d#12`), and onnxruntime tells the names of those that it has assigned. Before
that, it fuses some, and puts the standard's definition in the place of others, whose nodes have no names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from webnn.backends.onnx.model import Model, Part
from webnn.graph.ir import Node
from webnn.graph.placement import OperatorPlacement, Realization

__all__ = ["assigned_nodes", "placements"]


def assigned_nodes(session: Any) -> list[tuple[str, str]]:
    """The name and the provider of each node of `session`, which has recorded them (`sessions.ASSIGNMENT`)."""
    return [
        (node.name, part.ep_name) for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()
    ]


def placements(
    model: Model, assigned: Iterable[tuple[str, str]], precision: Mapping[str, str] | None = None
) -> list[OperatorPlacement]:
    """Where each operator of a graph runs.

    Args:
        model: the graph as it was lowered for the session.
        assigned: the ONNX nodes of the session and their providers, as `assigned_nodes` gives them.
        precision: the data types in which the provider computes others; for instance `{"float32": "bfloat16"}`.
    """
    providers: dict[int, str] = {}
    names: dict[str, None] = {}
    for name, provider in assigned:
        names[provider] = None
        number = name.rpartition("#")[2]
        if number.isdecimal():
            providers[int(number)] = provider
    everywhere = tuple(names) if len(names) == 1 else ()
    nodes: dict[tuple[str, str], list[Node]] = {}
    for node in model.graph.nodes:
        nodes.setdefault((node.label, node.op), []).append(node)
    parts: dict[tuple[str, str], list[Part]] = {}
    for part in model.parts():
        parts.setdefault((part.node.label, part.node.op), []).append(part)
    rows = []
    for (label, op), group in nodes.items():
        theirs = parts.get((label, op), [])
        found = dict.fromkeys(providers[part.number] for part in theirs if part.number in providers)
        types = dict.fromkeys(
            (precision or {}).get(part.data_type, part.data_type) for part in theirs if part.data_type
        )
        rows.append(
            OperatorPlacement(
                label,
                op,
                len(group),
                tuple(found) or (everywhere if theirs else ()),
                tuple(types),
                _realization(group, theirs),
                tuple(dict.fromkeys(part.op_type for part in theirs)),
            )
        )
    return rows


def _realization(nodes: Sequence[Node], parts: Sequence[Part]) -> Realization:
    if not parts:
        return "removed"
    own = {operand.data_type for node in nodes for operand in (*node.inputs(), *node.outputs)}
    if any(part.data_type not in own and part.data_type not in ("", "bool") for part in parts):
        return "emulated"
    return "native" if len(parts) <= len(nodes) else "composed"
