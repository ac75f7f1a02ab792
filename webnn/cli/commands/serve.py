"""`webnn serve`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from webnn.cli import options
from webnn.cli.model_folders import find_models
from webnn.cli.models import Source
from webnn.cli.output import console, print_json, progress, table, text
from webnn.errors import NotSupportedError
from webnn.graph.arguments import printable

if TYPE_CHECKING:
    from webnn.serving.repository import Served

__all__ = ["command"]

NEEDS: Final = ("starlette", "uvicorn", "httptools", "orjson", "prometheus_client")
"""The modules of the extra `serve`."""
SECONDS: Final = click.FloatRange(0, min_open=True)


@click.command("serve")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@options.shapes
@options.only
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port", default=8000, type=click.IntRange(0, 65535), show_default=True, help="The port; 0 for any free one."
)
@click.option(
    "--max-queue",
    default=256,
    type=click.IntRange(1),
    show_default=True,
    help="Items per model under way; more get 503.",
)
@click.option(
    "--timeout", default=10.0, type=SECONDS, show_default=True, help="Seconds per request; slower ones get 504."
)
@click.option("--max-body", default=64.0, type=SECONDS, show_default=True, help="MB per request; more gets 413.")
@click.option(
    "--max-batch",
    default=32,
    type=click.IntRange(1),
    show_default=True,
    help="The most items in one run; 1 for no batches.",
)
@options.threads
@click.option(
    "--access-log", type=click.Path(dir_okay=False), help="Write a line for each request; - for standard output."
)
@click.option(
    "--trace",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a trace of the first seconds, for https://ui.perfetto.dev.",
)
@click.option("--trace-seconds", default=10.0, type=SECONDS, show_default=True, help="How many seconds to trace.")
@options.backend
@options.as_json
def command(
    *,
    models: Sequence[str],
    shapes: Sequence[str],
    only: Sequence[str],
    host: str,
    port: int,
    max_queue: int,
    timeout: float,
    max_body: float,
    max_batch: int,
    threads: int,
    access_log: str | None,
    trace: Path | None,
    trace_seconds: float,
    backend: str | None,
    as_json: bool,
) -> int:
    """Serve models over HTTP, with the Open Inference Protocol v2.

    MODEL is a file, a folder of versions (NAME/1/model.onnx, NAME/2/model.onnx), or a folder of either; NAME=PATH gives
    it another name. A --shape is for the models that have such an input or dimension, an --only for those with such an
    output. The server is ready once all models are compiled and have run. After SIGTERM or Ctrl-C it answers all
    requests that it has accepted, and then ends.
    """
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise NotSupportedError(f"serve needs {' and '.join(missing)}: pip install 'webnn-runtime[serve]'")
    files = find_models(models)
    given = Source(Path(), options.sizes_of(shapes), outputs=only)
    sources = options.sources([file.path for file in files], given)
    found = [(file.name, file.version, source) for file, source in zip(files, sources, strict=True)]
    # Here, since no other command needs them.
    running, inference = import_module("webnn.serving.running"), import_module("webnn.serving.inference")
    limits = inference.Limits(max_queue=max_queue, timeout=timeout, max_body=int(max_body * 1e6))
    running.run(
        found,
        running.Options(host, port, limits, max_batch, backend, threads, access_log, trace, trace_seconds),
        version=import_module("webnn").__version__,
        loading=_loading,
        warn=lambda message: click.echo(f"webnn: {printable(message)}", err=True),
        started=lambda address, served: _print(address, served, as_json),
    )
    return 0


@contextmanager
def _loading(model: Path) -> Iterator[None]:
    with progress(f"loading {model.name}"), options.explained(model):
        yield


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
