"""One module per command, called as the command is; its `command` is what `webnn.cli.program` looks for."""
