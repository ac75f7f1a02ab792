"""`webnn info`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import click

from webnn.cli import options
from webnn.cli.models import Source, blueprint, outline_of
from webnn.cli.output import amount, console, counted, heading, print_json, shape_text, size, table, text
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError, Problem
from webnn.formats.outline import OpenDimensionsError, Outline, ValueOutline, is_name
from webnn.graph.costs import multiply_adds
from webnn.graph.ir import Graph
from webnn.targets.checking import problems
from webnn.targets.target import target_named, target_names

__all__ = ["command", "summary"]


@click.command("info")
@options.model
@options.as_json
def command(*, source: Source, as_json: bool) -> int:
    """Show the inputs, outputs, weights and cost of MODEL, and where it builds.

    Multiply-adds count convolutions, matrix products and recurrent networks; other operators cost little beside them.
    If inputs have open dimensions, or nodes need the value of an input while the graph is built, only the contents of
    the file are shown, with the --shape and --constant options that are needed for the rest. Operators in branches,
    loop bodies and functions are counted, too.
    """
    try:
        graph = options.read(source, blueprint())
    except (OpenDimensionsError, OnnxNotSupportedError) as error:
        outline = outline_of(source.path)
        problems = error.problems if isinstance(error, OnnxNotSupportedError) else ()
        if outline is None or not all(problem.inputs for problem in problems):
            raise
        data = {"model": str(source.path), **_outlined(outline, source, problems)}
    else:
        data = {"model": str(source.path), **summary(graph)}
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0


def _outlined(outline: Outline, source: Source, problems: Sequence[Problem]) -> dict[str, Any]:
    """The data of `webnn info` for a model with open dimensions, or whose nodes need values of inputs."""
    inputs = [_sized(value, source) for value in outline.inputs if value.name not in source.constants]
    needed: dict[str, str] = {}
    for row in inputs:
        unsized = [size for size in (["?"] if row["shape"] is None else row["shape"]) if isinstance(size, str)]
        if all(map(is_name, unsized)):
            needed |= dict.fromkeys(unsized, "SIZE")
        else:
            needed[row["name"]] = "SIZE,..."
    return {
        "inputs": inputs,
        "outputs": [_sized(value, source) for value in outline.outputs],
        "nodes": sum(outline.operators.values()),
        "operators": [
            {"operator": operator, "count": count} for operator, count in Counter(outline.operators).most_common()
        ],
        "constants": outline.constants,
        "parameters": outline.parameters,
        "open": [options.shape_option(name, sizes) for name, sizes in needed.items()],
        "values": [options.constant_option(name) for name in dict.fromkeys(n for p in problems for n in p.inputs)],
        "values_needed": [f"{problem.node} ({problem.op_type}): {problem.reason}" for problem in problems],
    }


def _sized(value: ValueOutline, source: Source) -> dict[str, Any]:
    """A row of the inputs or outputs, with the sizes that are given."""
    shape: Any = source.shapes.get(value.name, value.shape)
    sizes = [shape] if isinstance(shape, int) else shape and [source.shapes.get(size, size) for size in shape]
    return {"name": value.name, "data_type": value.data_type, "shape": sizes}


def summary(graph: Graph) -> dict[str, Any]:
    """The data of `webnn info` for a graph."""
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
    is_graph = "support" in data
    heading(data["model"])
    weights = f"{amount(data['parameters'])} in {counted(data['constants'], 'constant')}"
    if is_graph:
        weights += f", {size(data['constant_bytes'])}"
    rows = [["nodes", data["nodes"]], ["parameters", weights]]
    if is_graph:
        rows.append(["multiply-adds", amount(data["multiply_adds"])])
    table(["", ""], rows)
    heading("inputs and outputs")
    rows = [
        [
            kind.removesuffix("s"),
            row["name"],
            row["data_type"],
            "" if row["shape"] is None else shape_text(row["shape"]),
        ]
        for kind in ("inputs", "outputs")
        for row in data[kind]
    ]
    table(["", "name", "data type", "shape"], rows)
    if is_graph:
        _print_costs(data)
        _print_support(data)
    else:
        heading("operators of the file")
        rows = [[row["operator"], row["count"]] for row in data["operators"]]
        table(["operator", "count"], rows, right=["count"])
        if data["open"]:
            heading("cost and support depend on the sizes")
            console().print(text(f"give {' '.join(data['open'])}"))
        if data["values"]:
            heading("nodes need values of inputs while the graph is built")
            for line in data["values_needed"]:
                console().print(text(line))
            console().print(text(f"give {' '.join(data['values'])}"))


def _print_costs(data: dict[str, Any]) -> None:
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


def _print_support(data: dict[str, Any]) -> None:
    heading("support")
    rows = [
        [
            row["target"],
            "yes" if row["builds"] else "no",
            f"{counted(row['problems'], 'problem')}: {row['first']}" if row["first"] else "",
        ]
        for row in data["support"]
    ]
    table(["target", "builds", "why not (all: webnn check)"], rows)
