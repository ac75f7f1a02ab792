"""The commands of `webnn`, as the console script calls them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from webnn.cli.program import main

__all__ = ["answer"]


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """What a command says in JSON."""
    assert main([*words, "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)
