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
from webnn.errors import NotSupportedError
from webnn.targets.checking import Note, Verdict, check
from webnn.targets.target import recorded_targets, target_named

__all__ = ["command"]

SHOWN = 20
"""Problems that are printed for a target unless all are asked for."""
NAMED = 3
"""Operators that are named in a note unless all are asked for."""


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
    verdicts = [check(graph, target) for target in chosen]
    builds = all(verdict.builds for verdict in verdicts)
    if as_json:
        print_json({"model": str(model), "builds": builds, "targets": list(map(_as_data, verdicts))})
    else:
        for verdict in verdicts:
            _print(verdict, everything)
    return 0 if builds else 1


def _as_data(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON."""
    name = verdict.target
    return {
        "target": name,
        "description": verdict.description,
        "builds": verdict.builds,
        "nodes": verdict.nodes,
        "nodes_refused": verdict.nodes_refused,
        "problems": [{"where": p.where, **asdict(p), "message": p.message(name)} for p in verdict.problems],
        "notes": [{"where": n.where, **asdict(n), "message": n.message(name)} for n in verdict.notes],
    }


def _print(verdict: Verdict, everything: bool) -> None:
    found = verdict.problems
    heading(f"{verdict.target} ({verdict.description})")
    if verdict.builds:
        console().print(f"[green]yes[/green], {'all ' if verdict.nodes > 1 else ''}{counted(verdict.nodes, 'node')}")
    else:
        counts = Counter(problem.kind for problem in found)
        summary = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        refused = f"{verdict.nodes_refused} of {counted(verdict.nodes, 'node')} refused"
        console().print(f"[red]no[/red], {refused}; problems: {summary}")
        shown = found if everything else found[:SHOWN]
        alike: dict[tuple[str, ...], list[str]] = {}
        for problem in shown:
            row = (problem.where, problem.given, problem.allowed, problem.proposal)
            alike.setdefault(row, []).append(problem.operand)
        rows = [[where, " ".join(operands), *rest] for (where, *rest), operands in alike.items()]
        table(["node", "operand", "in the model", "the target", "alternative"], rows)
        if len(found) > len(shown):
            console().print(f"... and {len(found) - len(shown)} more: --all")
    _print_notes(verdict, everything)


def _print_notes(verdict: Verdict, everything: bool) -> None:
    """The notes, those with the same words in one line."""
    alike: dict[tuple[str, str], list[Note]] = {}
    for note in verdict.notes:
        alike.setdefault((note.given, note.difference), []).append(note)
    for (given, difference), notes in alike.items():
        named = [note.where for note in (notes if everything else notes[:NAMED])]
        others = f" and {len(notes) - len(named)} more" if len(notes) > len(named) else ""
        subject = f"{', '.join(named)}{others}"
        console().print(f"[dim]note: {text(f'{subject} {given}; the target {difference}: {notes[0].proposal}')}[/dim]")
