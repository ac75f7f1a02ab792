"""`webnn completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from webnn.cli import options
from webnn.cli.output import print_json

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.as_json
@click.pass_context
def command(context: click.Context, shell: str, as_json: bool) -> int:
    """Print the script that completes commands, options, files, backends and targets.

    \b
    bash:  eval "$(webnn completion bash)"                                   in ~/.bashrc
    zsh:   eval "$(webnn completion zsh)"                                    in ~/.zshrc
    fish:  webnn completion fish > ~/.config/fish/completions/webnn.fish
    """  # noqa: D301 (click reads the character that \b stands for)
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, "webnn", "_WEBNN_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
    return 0
