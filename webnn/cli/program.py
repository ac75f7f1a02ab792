"""The program itself: its commands, its errors in plain words, its exit codes.

Exit codes: 0, it is so, or it is done; 1, the answer is no, or it failed; 2, the command line is wrong; 130, it was
interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from webnn.cli.output import print_json
from webnn.errors import MLError
from webnn.graph.arguments import printable

__all__ = ["COMMANDS", "main", "program"]

COMMANDS: Final[Mapping[str, str]] = {
    "info": "Show the inputs, outputs, weights and cost of a model, and where it builds.",
    "run": "Run a model once.",
    "bench": "Time a model beside plain onnxruntime on the same file.",
    "trace": "Trace runs of a model: when and where each ran, and what it waited for.",
    "serve": "Serve models over HTTP.",
    "check": "Check whether a model builds in a browser or on a backend.",
    "compare": "Build and run a model in a browser, beside the backends of this machine.",
    "record": "Record a browser as a target for webnn check.",
    "convert": "Write a model in another format.",
    "view": "Draw a model as one HTML page.",
    "devices": "List the backends of this machine.",
    "cache": "List or clear saved and compiled graphs on disk.",
    "completion": "Print the script that completes commands in a shell.",
}
"""Every command in the order of the help; each is the `command` of a module of its name, loaded when it is called."""

NO: Final = 1
MISUSED: Final = 2

TRACEBACK: Final = "WEBNN_TRACEBACK"
"""The environment variable that shows the traceback of an unexpected error."""


class _Program(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"webnn.cli.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = get_close_matches(args[0], COMMANDS)
        if args[0] not in COMMANDS and near and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(near)}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"webnn {import_module('webnn').__version__}")
        ctx.exit()


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 for yes or done, 1 for no or failed, 2 for a wrong command line. Every command takes --json.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def program() -> None:
    """The W3C Web Neural Network API from the command line."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command in `words` (default: the arguments of this process); returns the exit code.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    given = list(sys.argv[1:] if words is None else words)
    as_json = "--json" in given
    try:
        result: Any = program.main(given, prog_name="webnn", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as help:
        help.show()
        return MISUSED
    except click.UsageError as error:
        if as_json:
            return _failed(error.format_message(), "UsageError", MISUSED, as_json=True)
        error.show()
        return MISUSED
    except click.ClickException as error:
        return _failed(error.format_message(), type(error).__name__, NO, as_json=as_json)
    except click.Abort as abort:  # click turns most interrupts into this
        raise KeyboardInterrupt from abort
    except BrokenPipeError:  # the reader of the output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO
    except MLError as error:
        return _failed(str(error), type(error).__name__, NO, as_json=as_json)
    except MemoryError as error:
        return _failed(f"out of memory: {error}", "MemoryError", NO, as_json=as_json)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _failed(reason, type(error).__name__, NO, as_json=as_json)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        kind = type(error).__name__
        message = f"{kind}: {error}\nThis is a defect of webnn. {TRACEBACK}=1 in the environment shows where it is."
        return _failed(message, kind, NO, as_json=as_json)


def _failed(message: str, kind: str, code: int, *, as_json: bool) -> int:
    """Print the error, and return the exit code."""
    if as_json:
        print_json({"error": {"kind": kind, "message": message}})
    else:
        first, *rest = message.splitlines() or [kind]
        print("webnn: " + "\n".join(map(printable, [first, *rest])), file=sys.stderr)
    return code
