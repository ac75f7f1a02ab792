"""The programs in `docs/scaling.md`, by the heading that they stand under."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

__all__ = ["PAGE", "recipe"]

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"


def recipe(heading: str) -> dict[str, Any]:
    """The names that the first program under `### heading` defines.

    Raises:
        LookupError: there is no such program.
    """
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^### {heading}\n.*?^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if found is None or "\n### " in text[found.start() + 4 : found.start(1)]:
        raise LookupError(f"{PAGE.name} has no program under {heading!r}")
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(found.group(1), f"{PAGE.name}, {heading}", "exec"), names)
    return names
