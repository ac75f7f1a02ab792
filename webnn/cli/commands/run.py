"""`webnn run`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import click
import numpy as np

from webnn.cli import options
from webnn.cli.data import Array, check_outputs, inputs_from, write_outputs
from webnn.cli.models import Source
from webnn.cli.output import console, heading, print_json, progress, shape_text, table, text
from webnn.graph.statistics import statistics
from webnn.runtime.ml import ML

__all__ = ["command"]

PRINTED: Final = 6
"""Elements of an output that a table shows."""
IN_JSON: Final = 10_000
"""Elements of an output that are part of the JSON; of a larger one only the statistics are."""


@click.command("run")
@options.model
@options.inputs
@click.option("--random", "fill", is_flag=True, help="Use random values for all inputs without a value.")
@click.option(
    "--output", "outputs", multiple=True, metavar="NAME=FILE.npy", help="Where to save an output; or FILE.npz for all."
)
@options.backend
@options.as_json
def command(
    *,
    source: Source,
    inputs: Sequence[str],
    fill: bool,
    seed: int,
    outputs: Sequence[str],
    backend: str | None,
    as_json: bool,
) -> int:
    """Run MODEL once, and print or save its outputs.

    Random floats are normally distributed; random integers are 0 to 9.
    """
    with ML().create_context(backend=backend) as context:
        graph = options.read(source, context)
        feeds = inputs_from(inputs, graph.inputs, graph.unread_inputs, fill=fill, seed=seed)
        check_outputs(outputs, graph.outputs)
        with progress(f"running on {context.backend}"):
            started = time.perf_counter()
            results = context.compute(graph, feeds)
            seconds = time.perf_counter() - started
        written = write_outputs(outputs, results)
        data = {
            "model": str(source.path),
            "backend": context.backend,
            "seconds": seconds,
            "outputs": [{"name": name, **_told(array)} for name, array in results.items()],
            "files": [str(path) for path in written],
        }
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0


def _told(array: Array) -> dict[str, Any]:
    described = {"data_type": array.dtype.name, "shape": list(array.shape), **statistics(array)}
    return {**described, "values": array.tolist() if array.size <= IN_JSON else None, "first": _first(array)}


def _first(array: Array) -> list[Any]:
    first: list[Any] = array.reshape(-1)[:PRINTED].tolist()
    return first


def _print(data: dict[str, Any]) -> None:
    heading(f"{data['model']} on {data['backend']}")
    rows = []
    for row in data["outputs"]:
        values = ", ".join(f"{value:.6g}" for value in row["first"])
        more = ", …" if np.prod(row["shape"], dtype=int) > PRINTED else ""
        figures = [f"{row[key]:.6g}" if key in row else "" for key in ("min", "max", "mean")]
        rows.append([row["name"], row["data_type"], shape_text(row["shape"]), *figures, values + more])
    columns = ["output", "data type", "shape", "min", "max", "mean", "values"]
    table(columns, rows, right=["min", "max", "mean"])
    for row in data["outputs"]:
        if row["not_finite"]:
            bad = "1 element is" if row["not_finite"] == 1 else f"{row['not_finite']} elements are"
            console().print(f"[yellow]{text(row['name'])}: {bad} not finite[/yellow]")
    for path in data["files"]:
        console().print(f"wrote {text(path)}")
