"""`webnn serve`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from webnn.cli import options
from webnn.cli.model_folders import Found, find_models
from webnn.cli.models import Source, load_model, outline_of
from webnn.cli.output import console, print_json, progress, table, text
from webnn.errors import NotSupportedError, ValidationError
from webnn.graph.arguments import printable
from webnn.runtime.context import MLContext
from webnn.runtime.ml import ML

if TYPE_CHECKING:
    from webnn.serving.repository import Served

__all__ = ["command"]

NEEDS: Final = ("starlette", "uvicorn", "httptools", "orjson", "prometheus_client")
"""The modules of the extra `serve`."""


@click.command("serve")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@options.shapes
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 for all.")
@click.option("--port", default=8000, type=click.IntRange(0, 65535), show_default=True, help="0 for any free one.")
@click.option("--max-queue", default=256, type=click.IntRange(1), show_default=True, help="Items of a model under way.")
@click.option(
    "--timeout", default=10.0, type=click.FloatRange(0, min_open=True), show_default=True, help="Seconds for an answer."
)
@click.option(
    "--max-body", default=64.0, type=click.FloatRange(0, min_open=True), show_default=True, help="MB of a request."
)
@click.option(
    "--max-batch", default=32, type=click.IntRange(1), show_default=True, help="Items in a run; 1: no batches."
)
@options.backend
@options.as_json
def command(
    *,
    models: Sequence[str],
    shapes: Sequence[str],
    host: str,
    port: int,
    max_queue: int,
    timeout: float,
    max_body: float,
    max_batch: int,
    backend: str | None,
    as_json: bool,
) -> int:
    """Serve models over HTTP, by the Open Inference Protocol v2.

    MODEL is a file, a folder of versions (NAME/1/model.onnx, NAME/2/model.onnx), or a folder of either; NAME=PATH gives
    it another name. The port opens when all models are compiled and have run once. SIGTERM or Ctrl-C ends the server
    when everything that it has accepted is answered.
    """
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise NotSupportedError(f"serve needs {' and '.join(missing)}: pip install 'webnn-runtime[serve]'")
    found = find_models(models)
    # Here, since no other command needs them.
    application = import_module("webnn.serving.application")
    inference = import_module("webnn.serving.inference")
    server = import_module("webnn.serving.server")
    limits = inference.Limits(max_queue=max_queue, timeout=timeout, max_body=int(max_body * 1e6))
    with ML().create_context(backend=backend, max_batch=max_batch) as context:
        served = [_served(each, shapes, context) for each in found]
        with server.listen(host, port) as listener:
            app = application.Application(served, version=import_module("webnn").__version__, limits=limits)
            address = "http://{}:{}".format(*listener.getsockname()[:2])
            server.Server(app, lambda: _print(address, served, as_json)).run([listener])
    return 0


def _served(found: Found, shapes: Sequence[str], context: MLContext) -> Served:
    """The model, compiled, after one run. An open leading dimension that all inputs share is that of the items."""
    repository = import_module("webnn.serving.repository")
    source = options.source_of(found.path, shapes, ())
    items = _item_shapes(source)
    with progress(f"reading {found.path.name}"):
        graph = load_model(source if items is None else Source(found.path, {**source.shapes, **items}), context)
    graph.label = f"{found.name}/{found.version}"
    with progress(f"compiling {found.path.name}"):
        feeds = {name: np.zeros(each.shape, each.dtype) for name, each in graph.inputs.items()}
        context.compute(graph, feeds)
    served: Served
    try:
        served = repository.Served(found.name, found.version, graph, batched=items is not None)
    except ValidationError as error:
        click.echo(f"webnn: {printable(str(error))}; each request has one item", err=True)
        served = repository.Served(found.name, found.version, graph)
    return served


def _item_shapes(source: Source) -> dict[str, Sequence[int]] | None:
    """The shape of one item for each input, if all have the same open leading dimension and no other one."""
    outline = outline_of(source.path)
    if outline is None or not outline.inputs:
        return None
    found: dict[str, Sequence[int]] = {}
    leading = set()
    for value in outline.inputs:
        if not value.shape or value.name in source.shapes:
            return None
        first, *rest = value.shape
        sizes = [source.shapes.get(size, size) if isinstance(size, str) else size for size in rest]
        if not isinstance(first, str) or first in source.shapes or not all(isinstance(size, int) for size in sizes):
            return None
        leading.add(first)
        found[value.name] = [1, *(int(size) for size in sizes if isinstance(size, int))]
    return found if len(leading) == 1 else None


def _print(address: str, served: Sequence[Served], as_json: bool) -> None:
    """Say where the models are served."""
    rows: list[dict[str, Any]] = [
        {
            "name": each.name,
            "version": each.version,
            "inputs": [port.metadata() for port in each.inputs.values()],
            "outputs": [port.metadata() for port in each.outputs.values()],
        }
        for each in served
    ]
    if as_json:
        print_json({"address": address, "models": rows})
    else:
        listed = [
            [row["name"], row["version"], *(_ports(row[ports]) for ports in ("inputs", "outputs"))] for row in rows
        ]
        table(["model", "version", "inputs", "outputs"], listed)
        console().print(f"serving on {text(address)}")


def _ports(ports: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{port['name']} {port['datatype']} {port['shape']}" for port in ports)
