"""`webnn devices`."""

from __future__ import annotations

import click

from webnn.backends.registry import available_backends, preference
from webnn.cli import options
from webnn.cli.output import print_json, table

__all__ = ["command"]


@click.command("devices")
@options.as_json
def command(as_json: bool) -> int:
    """List the backends, with the reason for each that this machine cannot use."""
    known = available_backends()
    preferred = next((name for name in preference() if any(i.name == name and i.available for i in known)), None)
    rows = [
        {
            "name": info.name,
            "available": info.available,
            "device_type": info.device_type,
            "preferred": info.name == preferred,
            "reason": info.reason,
        }
        for info in known
    ]
    if as_json:
        print_json(rows)
        return 0
    cells = []
    for row in rows:
        state = "preferred" if row["preferred"] else "yes" if row["available"] else "no"
        cells.append([row["name"], row["device_type"] or "", state, row["reason"]])
    table(["backend", "device", "available", "why not"], cells)
    return 0
