"""`webnn trace`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from webnn.backends.files import written_at_once
from webnn.cli import options
from webnn.cli.data import Array, inputs_from
from webnn.cli.models import Source
from webnn.cli.output import amount, console, counted, heading, print_json, progress, size, table, text
from webnn.cli.tracing import summary
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph
from webnn.runtime.ml import ML
from webnn.view.page import trace_page
from webnn.view.trace import trace_drawing

__all__ = ["command"]

COLD = "Trace the compilation and the first run, too. By default, one run before the trace warms up."


@click.command("trace")
@options.model
@click.option("--runs", default=20, type=click.IntRange(1), show_default=True, help="How many runs to trace.")
@click.option("--depth", default=4, type=click.IntRange(1), show_default=True, help="Runs under way at once.")
@click.option("--lanes", default=1, type=click.IntRange(1), show_default=True, help="Worker threads of the context.")
@options.threads
@click.option("--cold", is_flag=True, help=COLD)
@options.some_inputs
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the trace goes, for https://ui.perfetto.dev.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a self-contained page that shows the trace.",
)
@options.backend
@options.as_json
def command(
    *,
    source: Source,
    runs: int,
    depth: int,
    lanes: int,
    threads: int,
    cold: bool,
    inputs: Sequence[str],
    seed: int,
    output: Path | None,
    html: Path | None,
    backend: str | None,
    as_json: bool,
) -> int:
    """Trace runs of MODEL: when each was queued, where it ran and what it waited for.

    The runs are those of context.stream: several are under way at once. With one at a time (--depth 1), each is
    awaited before the next one is queued.
    """

    def ready(context: MLContext) -> tuple[MLGraph, dict[str, Array]]:
        graph = options.read(source, context)
        graph.label = source.path.stem
        return graph, inputs_from(inputs, graph.inputs, graph.unread_inputs, fill=True, seed=seed)

    with ML().create_context(backend=backend, threads=threads, lanes=lanes) as context:
        trace = context.trace()
        if cold:
            with trace:
                graph, feeds = ready(context)
                _run(context, graph, feeds, runs, depth)
        else:
            graph, feeds = ready(context)
            context.compute(graph, feeds)
            with trace:
                _run(context, graph, feeds, runs, depth)
        data = {"model": str(source.path), "backend": context.backend, "depth": depth, **summary(trace.events)}
    if output is not None:
        trace.save(output)
    if html is not None:
        content = trace_page(trace_drawing(trace.events, source.path.name, data)).encode(errors="replace")
        with written_at_once(html, durable=False) as file:
            file.write(content)
    data["files"] = [str(path) for path in (output, html) if path is not None]
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0


def _run(context: MLContext, graph: MLGraph, feeds: Mapping[str, Array], runs: int, depth: int) -> None:
    with progress("running", runs) as advance:
        for _ in context.stream(graph, (feeds for _ in range(runs)), depth=depth):
            advance(1)


def _print(data: Mapping[str, Any]) -> None:
    heading(f"{data['model']} on {data['backend']}")
    rows = []
    for graph in data["graphs"]:
        for key, what in (("queued_ms", "queued"), ("run_ms", "ran"), ("whole_ms", "from call to end")):
            rows.append([what, *(f"{graph[key][name]:.4g} ms" for name in ("median", "p90", "p99"))])
    columns = ["", "median", "90 %", "99 %"]
    table(columns, rows, right=columns[1:])
    heading("where the time went")
    table(["", "share"], [[what, f"{100 * share:.1f} %"] for what, share in data["shares"].items()], right=["share"])
    heading("threads")
    rows = [
        [
            each["name"],
            f"{100 * each['busy']:.0f} %",
            ", ".join(f"{kind} {ms:.4g} ms" for kind, ms in each["kinds_ms"].items()),
        ]
        for each in data["threads"]
    ]
    table(["thread", "busy", "with"], rows, right=["busy"])
    outcomes = ", ".join(f"{amount(many)} {outcome}" for outcome, many in data["tasks"].items())
    buffers = counted(data["buffers"]["reused"], "output buffer")
    note = f"{data['milliseconds']:.4g} ms; runs: {outcomes}; {size(data['bytes_copied'])} copied; {buffers} reused"
    console().print(f"[dim]{text(note)}[/dim]")
    for path in data["files"]:
        console().print(f"wrote {text(path)}")
