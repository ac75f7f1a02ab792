"""`webnn check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from webnn.cli import options
from webnn.cli.data import inputs_from
from webnn.cli.models import Source, blueprint, check_writable, save_model
from webnn.cli.output import console, counted, heading, print_json, progress, table, text
from webnn.errors import NotSupportedError, OperationError
from webnn.graph.ir import Graph
from webnn.targets.checking import Note, Verdict, check
from webnn.targets.fitting import Fit, fit
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
@click.option(
    "--fix",
    "output",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the model in a form that the target builds, in the format of OUT's suffix.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@options.some_inputs
@options.as_json
def command(
    *,
    source: Source,
    targets: Sequence[str],
    everything: bool,
    output: Path | None,
    force: bool,
    inputs: Sequence[str],
    seed: int,
    as_json: bool,
) -> int:
    """Check whether MODEL builds on targets; if not, list the nodes, the reasons and the nearest alternatives.

    A target is a browser whose limits were recorded (the default: all of these), a backend of this machine, or a file
    that `webnn record` wrote for your own browser.

    With --fix, which needs exactly one --target, each operator that the target refuses is replaced by others: computed
    in another data type or with fewer dimensions, with explicit padding, or decomposed. The result and the original are
    then run on the given inputs, or on random ones, and compared.

    The exit code is 0 if MODEL builds on all targets, else 1. With --fix, it is 0 if the result builds and has the same
    outputs.
    """
    try:
        chosen = [target_named(name) for name in targets or recorded_targets()]
    except NotSupportedError as error:
        raise click.BadParameter(str(error), param_hint="--target") from None
    if output is not None:
        if len(chosen) != 1:
            names = ", ".join(target.name for target in chosen)
            raise click.BadParameter(f"give one --target to fit the model to, not {names}", param_hint="--fix")
        check_writable(output)
        if output.exists() and not force:
            raise OperationError(f"{output} exists: --force replaces it")
    elif inputs:
        raise click.BadParameter("inputs are for the comparison after --fix", param_hint="--input")
    graph = options.read(source, blueprint())
    if output is not None:
        feeds = (
            inputs_from(inputs, graph.input_descriptors, graph.unread_inputs, fill=True, seed=seed) if inputs else None
        )
        with progress(f"fitting {source.path.name} to {chosen[0].name}"):
            fitted = fit(graph, chosen[0], inputs=feeds)
            save_model(fitted.graph, output)
        return _report(source.path, fitted, output, as_json)
    verdicts = [check(graph, target) for target in chosen]
    builds = all(verdict.builds for verdict in verdicts)
    if as_json:
        print_json({"model": str(source.path), "builds": builds, "targets": list(map(_as_data, verdicts))})
    else:
        for verdict in verdicts:
            _print(verdict, everything)
        if not builds:
            console().print(
                "[dim]--fix OUT, with one --target, writes the model with other operators in their place[/dim]"
            )
    return 0 if builds else 1


def _report(model: Path, result: Fit[Graph], output: Path, as_json: bool) -> int:
    """Say what was replaced; the exit code."""
    if as_json:
        differences = [{**asdict(one), "equal": one.equal} for one in result.differences]
        print_json(
            {
                "model": str(model),
                "output": str(output),
                "builds": result.builds,
                "equal": result.equal,
                "before": _as_data(result.before),
                "after": _as_data(result.after),
                "changes": [asdict(change) for change in result.changes],
                "differences": differences,
            }
        )
    else:
        _print_fit(result, output)
    return 0 if result.builds and result.equal else 1


def _print_fit(result: Fit[Graph], output: Path) -> None:
    heading(f"{result.after.target} ({result.after.description})")
    if not result.changes:
        console().print("[green]yes[/green], nothing had to be replaced" if result.builds else "[red]no[/red]")
    else:
        alike = Counter((one.operator, one.reason, one.done) for one in result.changes)
        rows = [[operator, count, reason, done] for (operator, reason, done), count in alike.items()]
        table(["operator", "count", "problem", "replaced"], rows, right=["count"])
    for problem in result.after.problems:
        console().print(f"[red]left[/red]: {text(problem.message(result.after.target))}")
    for difference in result.differences:
        console().print(text(str(difference)))
    console().print(f"wrote {text(output)}, {counted(result.after.nodes, 'node')} for {result.before.nodes}")


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
