"""`webnn info`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from webnn.cli import options
from webnn.cli.costs import multiply_adds
from webnn.cli.models import blueprint
from webnn.cli.output import amount, heading, print_json, shape_text, size, table
from webnn.cli.target import problems, target_named, target_names
from webnn.graph.ir import Graph

__all__ = ["command", "summary"]


@click.command("info")
@options.model
@options.as_json
def command(*, model: Path, shapes: Sequence[str], constants: Sequence[str], as_json: bool) -> int:
    """What MODEL takes, gives, holds and costs, and where it would build.

    Multiply-adds count convolution, matrices and recurrent networks; the rest is little beside them.
    """
    graph = options.read(model, shapes, constants, blueprint())
    data = {"model": str(model), **summary(graph)}
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0


def summary(graph: Graph) -> dict[str, Any]:
    """All that `webnn info` says about a graph."""
    costs: dict[str, int] = defaultdict(int)
    for node in graph.nodes:
        costs[node.op] += multiply_adds(node)
    counts = Counter(node.op for node in graph.nodes)
    described = {
        kind: [{"name": name, "data_type": d.data_type, "shape": list(d.shape)} for name, d in descriptors.items()]
        for kind, descriptors in (("inputs", graph.input_descriptors), ("outputs", graph.output_descriptors))
    }
    support = []
    for name in target_names():
        target = target_named(name)
        found = list(problems(graph, target))
        support.append(
            {
                "target": name,
                "description": target.description,
                "builds": not found,
                "problems": len(found),
                "first": found[0].message(name) if found else None,
            }
        )
    return {
        **described,
        "nodes": len(graph.nodes),
        "operators": [
            {"operator": op, "count": count, "multiply_adds": costs[op]} for op, count in counts.most_common()
        ],
        "constants": len(graph.constants),
        "parameters": sum(constant.descriptor.element_count for constant in graph.constants),
        "constant_bytes": graph.constant_bytes,
        "multiply_adds": sum(costs.values()),
        "structure_hash": graph.structure_hash,
        "support": support,
    }


def _print(data: dict[str, Any]) -> None:
    heading(data["model"])
    weights = f"{amount(data['parameters'])} in {data['constants']} constants, {size(data['constant_bytes'])}"
    rows = [["nodes", data["nodes"]], ["parameters", weights], ["multiply-adds", amount(data["multiply_adds"])]]
    table(["", ""], rows)
    heading("inputs and outputs")
    rows = [
        [kind.removesuffix("s"), row["name"], row["data_type"], shape_text(row["shape"])]
        for kind in ("inputs", "outputs")
        for row in data[kind]
    ]
    table(["", "name", "data type", "shape"], rows)
    heading("operators")
    total = max(1, data["multiply_adds"])
    rows = [
        [
            row["operator"],
            row["count"],
            amount(row["multiply_adds"]) if row["multiply_adds"] else "",
            f"{row['multiply_adds'] / total:.1%}" if row["multiply_adds"] else "",
        ]
        for row in data["operators"]
    ]
    table(["operator", "count", "multiply-adds", "share"], rows, right=["count", "multiply-adds", "share"])
    heading("where it would build")
    rows = [
        [
            row["target"],
            "yes" if row["builds"] else "no",
            f"{row['problems']} problems: {row['first']}" if row["first"] else "",
        ]
        for row in data["support"]
    ]
    table(["target", "builds", "why not (all: webnn check)"], rows)
