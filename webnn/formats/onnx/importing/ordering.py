"""The nodes of a graph that its outputs need, in topological order.

No function here recurses, since hostile graphs are deep.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from webnn.backends.onnx.messages import GraphProto, NodeProto
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


def names_read(node: NodeProto) -> list[str]:
    """The names that a node and its subgraphs read from outside the node.

    A subgraph may have a value of the same name as one outside of it, even as a result of the node itself: optimum's
    decoders with a cache give the branches of their `If` and the model the same outputs.
    """
    names = [name for name in node.input if name]
    graphs = [(a.g, frozenset[str](), 0) for a in node.attribute if a.HasField("g")]
    while graphs:
        graph, around, depth = graphs.pop()
        if depth > MAX_DEPTH:
            raise DataError(f"graphs are nested more than {MAX_DEPTH} deep")
        local = around.union(_names_defined(graph))
        names += [info.name for info in graph.output if info.name not in local]
        for inner in graph.node:
            names += [name for name in inner.input if name and name not in local]
            graphs += [(a.g, local, depth + 1) for a in inner.attribute if a.HasField("g")]
    return names


def _names_defined(graph: GraphProto) -> Iterator[str]:
    """The inputs, the weights and the results of a graph's nodes."""
    yield from (info.name for info in graph.input)
    yield from (weights.name for weights in graph.initializer)
    yield from (weights.values.name for weights in graph.sparse_initializer)
    for node in graph.node:
        yield from node.output


def needed_nodes(
    producers: Mapping[str, NodeProto], wanted: Iterable[str], read: set[str] | None = None
) -> list[NodeProto]:
    """The nodes that `wanted` depends on, each after those that it reads. `read` is filled with the names they read."""
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
                names = names_read(node)
                if read is not None:
                    read.update(names)
                before[id(node)] = [producers[name] for name in names if name in producers]
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
