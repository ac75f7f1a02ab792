"""`MLGraph.view`: a graph as a page, from Python; and the form that notebooks show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from webnn.errors import ValidationError
from webnn.graph.arguments import described
from webnn.graph.ir import Graph
from webnn.runtime.graph import MLGraph
from webnn.runtime.views import View
from webnn.targets.checking import check, graph_of
from webnn.targets.target import Target
from webnn.view.differences import differences
from webnn.view.drawing import compared, drawing, page_data
from webnn.view.page import graph_page

__all__ = ["notebook_view", "view", "view_of"]

MANY: Final = 3000
"""Notebooks keep what they show: of a graph with more nodes, they are told what it is, and show no page."""


def view(
    graph: MLGraph,
    path: str | os.PathLike[str] | None = None,
    *,
    beside: MLGraph | None = None,
    target: str | Target | Sequence[str | Target] = (),
    open: bool = False,
) -> View:
    """The page of a graph; see `MLGraph.view`."""
    if beside is not None and not isinstance(beside, MLGraph):
        raise ValidationError(f"view: beside must be an MLGraph, got {described(beside)}")
    targets = [target] if isinstance(target, str | Target) else list(target)
    graphs = [graph] if beside is None else [graph, beside]
    names = [each.label for each in graphs]
    if len(set(names)) < len(names):
        names = [f"{name} ({which})" for name, which in zip(names, ("first", "second"), strict=True)]
    made = view_of([(name, graph_of(each)) for name, each in zip(names, graphs, strict=True)], targets)
    if path is not None:
        made.save(path)
    if open:
        made.open(path)
    return made


def view_of(graphs: Sequence[tuple[str, Graph]], targets: Sequence[str | Target] = (), **options: Any) -> View:
    """The page of one graph, or of two beside each other.

    Args:
        graphs: each with its name.
        targets: mark what they refuse.
        **options: of `webnn.view.drawing.drawing`.
    """
    drawn = []
    for name, graph in graphs:
        verdicts = [check(graph, target) for target in targets]
        drawn.append(drawing(graph, name, verdicts=verdicts, **options))
    if len(graphs) > 1:
        compared(drawn[0], drawn[1], differences(graphs[0][1], graphs[1][1]))
    title = " and ".join(name for name, _ in graphs)
    return View(title, graph_page(page_data(title, drawn)))


def notebook_view(graph: MLGraph) -> str | None:
    """The HTML that notebooks show for `graph`. It is small: it has no statistics of the constants."""
    bare = graph_of(graph)
    if len(bare.nodes) > MANY:
        return f"<pre>{escape(repr(graph))}: {len(bare.nodes)} nodes; graph.view() draws them</pre>"
    return view_of([(graph.label, bare)], looks_at_constants=False)._repr_html_()
