"""`webnn check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from webnn.cli import options
from webnn.cli.models import blueprint
from webnn.cli.output import console, counted, heading, print_json, table, text
from webnn.cli.target import Target, problems, recorded_targets, target_named
from webnn.errors import NotSupportedError
from webnn.graph.ir import Graph

__all__ = ["command", "verdict"]

SHOWN = 20
"""Problems that are printed for a target unless all are asked for."""


@click.command("check")
@options.model
@options.targets
@click.option("--all", "everything", is_flag=True, help=f"Print every problem, not only the first {SHOWN}.")
@options.as_json
def command(
    *,
    model: Path,
    shapes: Sequence[str],
    constants: Sequence[str],
    targets: Sequence[str],
    everything: bool,
    as_json: bool,
) -> int:
    """Check whether MODEL builds on targets; if not, list the nodes, the reasons and the nearest alternatives.

    Targets are browsers whose limits were recorded (the default: all of them), this machine's backends, and your own
    browser's: save JSON.stringify(context.opSupportLimits()) to a file.

    Exit code 0 if it builds on all of them, else 1.
    """
    try:
        chosen = [target_named(name) for name in targets or recorded_targets()]
    except NotSupportedError as error:
        raise click.BadParameter(str(error), param_hint="--target") from None
    graph = options.read(model, shapes, constants, blueprint())
    verdicts = [verdict(graph, target) for target in chosen]
    if as_json:
        print_json({"model": str(model), "builds": all(v["builds"] for v in verdicts), "targets": verdicts})
    else:
        for one in verdicts:
            _print(one, everything)
    return 0 if all(v["builds"] for v in verdicts) else 1


def verdict(graph: Graph, target: Target) -> dict[str, Any]:
    """Whether `target` builds `graph`, and every reason against it."""
    found = list(problems(graph, target))
    return {
        "target": target.name,
        "description": target.description,
        "builds": not found,
        "nodes": len(graph.nodes),
        "nodes_refused": len({problem.node for problem in found if problem.node is not None}),
        "problems": [{**asdict(problem), "message": problem.message(target.name)} for problem in found],
        "quirks": list(target.quirks.values()),
    }


def _print(one: dict[str, Any], everything: bool) -> None:
    found = one["problems"]
    heading(f"{one['target']} ({one['description']})")
    if one["builds"]:
        console().print(f"[green]yes[/green], {'all ' if one['nodes'] > 1 else ''}{counted(one['nodes'], 'node')}")
    else:
        counts = Counter(problem["kind"] for problem in found)
        summary = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        refused = f"{one['nodes_refused']} of {counted(one['nodes'], 'node')} refused"
        console().print(f"[red]no[/red], {refused}; problems: {summary}")
        shown = found if everything else found[:SHOWN]
        alike: dict[tuple[str, ...], list[str]] = {}
        for problem in shown:
            row = tuple(problem[key] for key in ("where", "given", "allowed", "help"))
            alike.setdefault(row, []).append(problem["operand"])
        rows = [[where, " ".join(operands), *rest] for (where, *rest), operands in alike.items()]
        table(["node", "operand", "in the model", "the target", "alternative"], rows)
        if len(found) > len(shown):
            console().print(f"... and {len(found) - len(shown)} more: --all")
    for quirk in one["quirks"]:
        console().print(f"[dim]note: {text(quirk)}[/dim]")
