"""`webnn view`."""

from __future__ import annotations

import shutil
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from webnn.backends.base import Backend
from webnn.backends.files import written_at_once
from webnn.backends.registry import backend_named, preferred_backend
from webnn.browsers.devtools import Page
from webnn.cli import options
from webnn.cli.models import Source, blueprint, outline_of
from webnn.cli.output import console, counted, print_json, progress, size, text
from webnn.errors import NotSupportedError
from webnn.graph.ir import Graph
from webnn.targets.checking import check
from webnn.targets.fitting import fit
from webnn.targets.target import Target, target_named
from webnn.view.differences import differences
from webnn.view.drawing import compared, drawing, page_data
from webnn.view.page import graph_page
from webnn.view.profiling import profile

__all__ = ["command"]

PAGES: Final = (".html", ".svg")
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome", "microsoft-edge")
"""The programs that are looked for where an SVG file is asked for and no browser is named."""


@click.command("view")
@options.model
@click.argument("other", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the page; default: MODEL with .html, in the current folder. A .svg file has only the drawing.",
)
@options.targets
@click.option("--fit", "fits", is_flag=True, help="Draw MODEL beside the form of it that the --target builds.")
@click.option("--profile", "measures", is_flag=True, help="Measure the time of each operator, run by itself.")
@options.backend
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser of this desktop.")
@click.option("--browser", metavar="PATH", help="The Chromium that draws a .svg file; default: one on the PATH.")
@options.as_json
def command(
    *,
    source: Source,
    other: Path | None,
    output: Path | None,
    targets: Sequence[str],
    fits: bool,
    measures: bool,
    backend: str | None,
    opens: bool,
    browser: str | None,
    as_json: bool,
) -> int:
    """Draw MODEL as one HTML page, which needs neither the model nor a network.

    On the page, click a box to see everything about it, press / to search, and + or - on a block to unfold or fold it.
    With OTHER, a second model, the page shows both side by side and marks the operators that differ. Each takes the
    sizes, constants and outputs for those that it has.

    If the second argument ends in .html or .svg, it is the name of the page, as with -o.

    With --target, operators that the target refuses are marked with the reason. The times of --profile are those of
    each operator alone, on one thread.
    """
    if other is not None and other.suffix.lower() in PAGES:
        if output is not None:
            raise click.BadParameter(f"the page is {other} or {output}, not both", param_hint="--output")
        other, output = None, other
    if other is not None and not other.is_file():
        raise click.BadParameter(f"file {str(other)!r} does not exist", param_hint="OTHER")
    chosen = _targets(targets)
    if fits and (other is not None or len(chosen) != 1):
        raise click.BadParameter("give one --target to fit the model to, and no other model", param_hint="--fit")
    model = source.path
    page = output if output is not None else Path(f"{model.stem}.html")
    is_svg = page.suffix.lower() == ".svg"
    program = _browser(browser) if is_svg else None
    graphs: list[tuple[str, Graph, dict[str, str]]] = []
    for each in options.sources([model] if other is None else [model, other], source):
        name = each.path.name if not graphs or each.path.name != model.name else str(each.path)
        graphs.append((name, options.read(each, blueprint()), _about(each.path)))
    if fits:
        with progress(f"fitting {model.name} to {chosen[0].name}"):
            graphs.append((f"fitted to {chosen[0].name}", fit(graphs[0][1], chosen[0], verify=False).graph, {}))
    device = (backend_named(backend) if backend is not None else preferred_backend()) if measures else None
    drawn = [_drawn(name, graph, about, chosen, device) for name, graph, about in graphs]
    if len(graphs) > 1:
        compared(drawn[0], drawn[1], differences(graphs[0][1], graphs[1][1]))
    content = graph_page(page_data(" and ".join(name for name, _, _ in graphs), drawn))
    if program is not None:
        with progress(f"drawing {page.name}"):
            content = _svg(content, program)
    encoded = content.encode(errors="replace")  # a file name may not be valid Unicode
    with written_at_once(page, durable=False) as file:
        file.write(encoded)
    if opens:
        webbrowser.open(page.resolve().as_uri())
    counts = [len(graph.nodes) for _, graph, _ in graphs]
    refused = {target["name"]: len({found["box"] for found in target["problems"]}) for target in drawn[0]["targets"]}
    data: dict[str, Any] = {"model": str(model), "page": str(page), "bytes": len(encoded), "nodes": counts[0]}
    if refused:
        data["refused"] = refused
    if len(counts) > 1:
        data["other_nodes"] = counts[1]
        data["differ"] = sum("differs" in box for each in drawn for box in each["boxes"])
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0


def _targets(names: Sequence[str]) -> list[Target]:
    try:
        return [target_named(name) for name in names]
    except NotSupportedError as error:
        raise click.BadParameter(str(error), param_hint="--target") from None


def _about(model: Path) -> dict[str, str]:
    """What the file says about itself."""
    outline = outline_of(model)
    return {"file": model.name, "size": size(model.stat().st_size), **(outline.about if outline is not None else {})}


def _drawn(
    name: str, graph: Graph, about: dict[str, str], targets: Sequence[Target], device: Backend | None
) -> dict[str, Any]:
    """The data of one graph, with times if there is a device to measure them on."""
    milliseconds = None
    if device is not None:
        with progress(f"measuring {name}", len(graph.nodes)) as advance:
            times = profile(graph, device, advance)
        milliseconds = times.operators
        about = {**about, "one run": f"{times.whole:.3g} ms on {device.name}, one thread"}
    verdicts = [check(graph, target) for target in targets]
    with progress(f"drawing {name}", len(graph.constants)) as advance:
        return drawing(graph, name, about=about, verdicts=verdicts, milliseconds=milliseconds, advance=advance)


def _browser(named: str | None) -> str:
    for name in [named] if named is not None else BROWSERS:
        if (program := shutil.which(name)) is not None:
            return program
    what = f"{named!r} is not a program" if named is not None else f"none of {', '.join(BROWSERS)} is on the PATH"
    raise NotSupportedError(
        f"an SVG file is drawn by a Chromium, and {what}: give --browser PATH, or write a .html page"
    )


def _svg(page: str, program: str) -> str:
    """The drawing of a page, as the page itself saves it."""
    with TemporaryDirectory(prefix="webnn-view-") as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8", errors="replace")
        with Page(program) as opened:
            opened.open(file.as_uri())
            drawn: str = opened.value("exportedSvg(panes[0])")
    return drawn


def _print(data: dict[str, Any]) -> None:
    counts = [data[key] for key in ("nodes", "other_nodes") if key in data]
    nodes = " and ".join(counted(count, "node") for count in counts)
    console().print(f"{text(data['page'])}: {nodes}, {size(data['bytes'])}")
    for name, count in data.get("refused", {}).items():
        console().print(text(f"{name} refuses {count}" if count else f"{name} builds it"))
    if "differ" in data:
        console().print(f"{counted(data['differ'], 'node')} of both differ")
