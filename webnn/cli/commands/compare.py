"""`webnn compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import numpy as np

from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.registry import available_backends, backend_named
from webnn.browsers.chromium import Chromium
from webnn.browsers.modules import BrowserGraph, BrowserSide, RefusedError
from webnn.cli import options
from webnn.cli.data import Array, inputs_from
from webnn.cli.models import Source, blueprint
from webnn.cli.output import console, heading, print_json, progress, shape_text, table, text
from webnn.errors import OperationError
from webnn.graph.composites.composite import expanded
from webnn.graph.dtypes import data_type_of
from webnn.graph.ir import Graph, Node
from webnn.graph.naming import snake
from webnn.runtime.suspects import TOLERANCES, Difference, Side, difference, first_wrong

__all__ = ["command"]


@click.command("compare")
@options.model
@options.browser
@options.some_inputs
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    help="How far floats may be apart, relative to the largest element of an output. Default: 0.001, float16 0.02.",
)
@click.option("--bisect", is_flag=True, help="Find the first operator whose result differs.")
@options.as_json
def command(
    *,
    source: Source,
    browser: str,
    inputs: Sequence[str],
    seed: int,
    tolerance: float | None,
    bisect: bool,
    as_json: bool,
) -> int:
    """Build and run MODEL in a browser, and compare its outputs with those of the backends of this machine.

    The answer is no if the browser refuses the model, or if an output differs by more than the tolerance. Inputs
    without an --input are random.
    """
    graph = expanded(options.read(source, blueprint()))
    feeds = inputs_from(inputs, graph.input_descriptors, graph.unread_inputs, fill=True, seed=seed)
    names = [row.name for row in available_backends() if row.available and row.name != "null"]
    sides = {name: Side(backend_named(name), CompileOptions()) for name in names}
    data: dict[str, Any] = {"model": str(source.path)}
    with Chromium(browser) as chromium:
        data["browser"] = chromium.version
        try:
            with progress(f"running in {chromium.version}"), BrowserGraph(chromium, graph) as built:
                data["building_ms"] = built.milliseconds
                theirs = built.run(feeds)
        except RefusedError as error:
            refused = {"operator": snake(error.operator), "label": error.label, "answer": error.answer}
            data["refused"] = {**refused, "message": str(error)}
        except OperationError as error:
            data["failed"] = str(error)
        else:
            data["outputs"] = []
            for name, side in sides.items():
                with progress(f"running on {name}"):
                    ours = dict(zip(graph.outputs, side.compiled(graph, Cancellation())(feeds), strict=True))
                data["outputs"] += [_compared(output, theirs[output], ours[output], name, tolerance) for output in ours]
            if bisect and not all(row["agrees"] for row in data["outputs"]):
                reference = next(row["backend"] for row in data["outputs"] if not row["agrees"])
                suspect = BrowserSide(chromium)
                with progress(f"looking for the operator, beside {reference}"):
                    found = first_wrong(
                        graph, feeds, suspect, sides[reference], tolerance=tolerance, cancellation=Cancellation()
                    )
                data["first_wrong"] = _found(graph, found, reference)
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0 if all(row["agrees"] for row in data.get("outputs", [{"agrees": False}])) else 1


def _compared(name: str, theirs: Array, ours: Array, backend: str, tolerance: float | None) -> dict[str, Any]:
    """How far an output of the browser is from that of a backend."""
    error = difference(theirs, ours)
    data_type = data_type_of(ours.dtype)
    allowed = TOLERANCES[data_type] if tolerance is None else tolerance
    place = _furthest(theirs, ours)
    return {
        "output": name,
        "data_type": data_type,
        "shape": list(ours.shape),
        "backend": backend,
        "error": error,
        "tolerance": allowed,
        "agrees": error <= allowed,
        "at": list(place),
        "browser": theirs[place].item(),
        "here": ours[place].item(),
    }


def _furthest(theirs: Array, ours: Array) -> tuple[int, ...]:
    """The place where two arrays are furthest apart."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(theirs.astype(np.float64) - ours.astype(np.float64))
    same = (theirs == ours) | (np.isnan(theirs.astype(np.float64)) & np.isnan(ours.astype(np.float64)))
    apart = np.where(same, 0, np.where(np.isnan(apart), np.inf, apart))
    return tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))


def _found(graph: Graph, found: tuple[Node, Difference] | None, reference: str) -> dict[str, Any] | None:
    if found is None:
        return None
    node, off = found
    return {
        "node": graph.nodes.index(node),
        "operator": node.op,
        "label": node.label,
        "backend": reference,
        "error": off.error,
        "tolerance": off.tolerance,
    }


def _print(data: Mapping[str, Any]) -> None:
    heading(f"{data['model']} in {data['browser']}")
    for problem in ("refused", "failed"):
        if problem in data:
            message = data[problem]["message"] if problem == "refused" else data[problem]
            console().print(f"[red]{problem}[/red]: {text(message)}")
            if problem == "refused":
                console().print("[dim]webnn check lists all that a browser refuses, and its --fix replaces it[/dim]")
            return
    rows = [
        [
            row["output"],
            row["data_type"],
            shape_text(row["shape"]),
            row["backend"],
            "yes" if row["agrees"] else "no",
            f"{row['error']:.3g}",
            f"{row['tolerance']:g}",
            str(row["at"]) if row["error"] else "",
            f"{row['browser']:.6g}" if row["error"] else "",
            f"{row['here']:.6g}" if row["error"] else "",
        ]
        for row in data["outputs"]
    ]
    columns = ["output", "data type", "shape", "beside", "agrees", "difference", "tolerance", "largest at"]
    table([*columns, "browser", "here"], rows, right=["difference", "tolerance", "browser", "here"])
    if any(row["here"] != row["here"] for row in data["outputs"]):
        console().print("[dim]NaN with these inputs: --input NAME=VALUE gives those that the model is made for[/dim]")
    if "first_wrong" not in data:
        return
    found = data["first_wrong"]
    if found is None:
        console().print("the parts of the graph agree when they are built by themselves")
        return
    where = (
        f"[{found['label']}] {found['operator']}" if found["label"] else f"{found['operator']} (node {found['node']})"
    )
    console().print(
        text(f"first operator that differs: {where}, by {found['error']:.3g} beside {found['backend']};")
        + f" {found['tolerance']:g} is allowed"
    )
