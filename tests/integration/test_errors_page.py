"""The gallery of errors shows the messages as they are, and every slip in it is followed by a call that works."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
FLAGS = doctest.ELLIPSIS


def slips(page: str) -> dict[str, str]:
    """The examples of the page by the heading above them."""
    sections = re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    return {title: "\n".join(re.findall(r"^```pycon\n(.*?)^```$", text, re.M | re.S)) for title, text in sections}


def failures(examples: str, names: dict[str, Any]) -> int:
    test = doctest.DocTestParser().get_doctest(examples, names, "errors.md", None, None)
    failed = doctest.DocTestRunner(optionflags=FLAGS).run(test, clear_globs=False).failed
    names.update(test.globs)  # the next example goes on with them
    return failed


def test_the_messages_are_those_on_the_page_and_the_calls_after_them_work() -> None:
    setup = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for block in setup:
        exec(block, names)  # the page's own program
    failed = [title for title, examples in slips(PAGE).items() if failures(examples, names)]
    names["context"].destroy()
    assert failed == []


def test_the_page_shows_many_slips_each_with_its_message() -> None:
    shown = {title: examples for title, examples in slips(PAGE).items() if "Traceback" in examples}
    assert set(shown) == set(slips(PAGE))
    assert len(shown) >= 25
    words = ["write", "use", "take", "make", "pass", "await", "expected", "build", "chosen"]
    phrases = ["must be", "create it", "convert it", "read it", "read graph", "graph has", "the call is"]
    hints = re.compile(rf"\b({'|'.join(words + phrases)})\b")  # what to write, or what was expected
    messages = [line for text in shown.values() for line in text.splitlines() if re.match(r"[\w.]*Error: ", line)]
    assert [line for line in messages if not hints.search(line)] == ["ValueError: assignment destination is read-only"]


def test_a_message_that_has_changed_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures(">>> 1 / 0\nTraceback (most recent call last):\nZeroDivisionError: never\n", {}) == 1
    assert failures(">>> 1 + 1\nTraceback (most recent call last):\nZeroDivisionError: never\n", {}) == 1
    capsys.readouterr()
