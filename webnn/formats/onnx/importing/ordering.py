"""The nodes of a graph that its outputs need, in topological order.

No function here recurses, since hostile graphs are deep.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from webnn.backends.onnx.messages import NodeProto
from webnn.errors import DataError
from webnn.formats.onnx.importing.problems import node_title, shown_name

__all__ = ["MAX_DEPTH", "names_read", "needed_nodes", "producers_of"]

MAX_DEPTH: Final = 24
"""The most levels of nested subgraphs and functions."""


def producers_of(nodes: Iterable[NodeProto]) -> dict[str, NodeProto]:
    """The node that computes each value."""
    producers: dict[str, NodeProto] = {}
    for node in nodes:
        for name in node.output:
            if name:
                if name in producers:
                    raise DataError(
                        f"{node_title(node)} and {node_title(producers[name])} both compute {shown_name(name)}"
                    )
                producers[name] = node
    return producers


def names_read(node: NodeProto) -> Iterator[str]:
    """The names that a node and its subgraphs read, including names that are local to the subgraphs."""
    yield from (name for name in node.input if name)
    graphs = [(a.g, 0) for a in node.attribute if a.HasField("g")]
    while graphs:
        graph, depth = graphs.pop()
        if depth > MAX_DEPTH:
            raise DataError(f"graphs are nested more than {MAX_DEPTH} deep")
        yield from (info.name for info in graph.output)
        for inner in graph.node:
            yield from (name for name in inner.input if name)
            graphs += [(a.g, depth + 1) for a in inner.attribute if a.HasField("g")]


def needed_nodes(producers: Mapping[str, NodeProto], wanted: Iterable[str]) -> list[NodeProto]:
    """The nodes that `wanted` depends on, each after those that it reads."""
    order: list[NodeProto] = []
    # The producers of each visited node. A node that is visited again before these are done is part of a cycle.
    before: dict[int, list[NodeProto]] = {}
    done: set[int] = set()
    for name in wanted:
        stack = [producers[name]] if name in producers else []
        while stack:
            node = stack[-1]
            if id(node) in done:
                stack.pop()
                continue
            is_new = id(node) not in before
            if is_new:
                before[id(node)] = [producers[read] for read in names_read(node) if read in producers]
            missing = [producer for producer in before[id(node)] if id(producer) not in done]
            if not missing:
                stack.pop()
                done.add(id(node))
                order.append(node)
            elif is_new:
                stack.extend(reversed(missing))
            else:
                raise DataError(f"{node_title(node)} depends on its own output")
    return order
