"""Programs to read and to start from. Each is one file and runs as a script: `python examples/read_text.py`."""
