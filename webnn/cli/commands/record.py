"""`webnn record`."""

from __future__ import annotations

import platform
from pathlib import Path

import click

from webnn.backends.files import written_at_once
from webnn.browsers.chromium import Chromium
from webnn.browsers.recording import record_of, record_text, steps
from webnn.cli import options
from webnn.cli.output import console, counted, print_json, progress, text
from webnn.errors import OperationError
from webnn.targets.target import MEMBERS

__all__ = ["command"]


@click.command("record")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@options.browser
@click.option("--description", help="The target in words. Default: the browser's version and this system.")
@click.option("--force", is_flag=True, help="Replace TARGET if it exists.")
@options.as_json
def command(*, target: Path, browser: str, description: str | None, force: bool, as_json: bool) -> int:
    """Record what a browser supports in the file TARGET, for `webnn check --target TARGET`.

    The record has the limits that the browser reports, and the known rules and notes that apply to it. To find these,
    an example of each is built and run in the browser.
    """
    if target.suffix != ".json":
        raise click.BadParameter(f"expected a file that ends with .json, got {target}", param_hint="TARGET")
    if target.exists() and not force:
        raise OperationError(f"{target} exists: --force replaces it")
    with Chromium(browser) as chromium, progress(f"trying {chromium.version}", steps()) as advance:
        words = description or f"{chromium.version} on {platform.system()}"
        record = record_of(chromium, words, advance)
    with written_at_once(target) as file:
        file.write(record_text(record).encode())
    names = ("rules", "allowances", "notes")
    if as_json:
        print_json({"target": str(target), **{key: record[key] for key in ("version", *names)}})
    else:
        operators = sum(
            isinstance(row, dict) and name not in MEMBERS for name, row in record["opSupportLimits"].items()
        )
        found = ", ".join(counted(len(record[name]), name.removesuffix("s")) for name in names)
        console().print(f"wrote {text(target)}: {text(record['version'])}, {counted(operators, 'operator')}, {found}")
    return 0
