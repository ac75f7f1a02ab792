"""One module per command, with the name of the command; `webnn.cli.program` looks for its `command`."""
