"""`webnn view`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from webnn.backends.files import written_at_once
from webnn.cli import options
from webnn.cli.models import blueprint
from webnn.cli.output import console, counted, print_json, progress, size, text
from webnn.view.drawing import drawing
from webnn.view.page import page

__all__ = ["command"]


@click.command("view")
@options.model
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the page goes; default: MODEL with .html, in the current folder.",
)
@options.as_json
def command(*, model: Path, shapes: Sequence[str], constants: Sequence[str], output: Path | None, as_json: bool) -> int:
    """Draw MODEL as one HTML page, which needs nothing else: not the model, no network.

    Drag and scroll to move and zoom; / searches; a click tells everything about a node.
    """
    target = output if output is not None else Path(f"{model.stem}.html")
    graph = options.read(model, shapes, constants, blueprint())
    with progress("drawing", len(graph.constants) + 1) as advance:
        drawn = drawing(graph, model.name, advance)
    content = page(drawn).encode(errors="replace")  # a file name may not be valid Unicode
    with written_at_once(target, durable=False) as file:
        file.write(content)
    if as_json:
        print_json({"model": str(model), "page": str(target), "bytes": len(content), "nodes": len(graph.nodes)})
    else:
        console().print(f"{text(target)}: {counted(len(graph.nodes), 'node')}, {size(len(content))}")
    return 0
