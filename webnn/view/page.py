"""One self-contained HTML file: markup, style, script and data; nothing in it is loaded from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from webnn.formats.json_text import finite

__all__ = ["page"]


def page(drawing: Mapping[str, Any], kind: str = "page") -> str:
    """The page for the data that `webnn.view.drawing` made, or another kind of page: "trace"."""
    folder = files("webnn.view")
    # Only "<" could end a script element; JSON can escape it.
    data = json.dumps(finite(drawing), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "TITLE": escape(str(drawing["title"])),
        "STYLE": "".join(folder.joinpath(f"{name}.css").read_text(encoding="utf-8") for name in ("common", kind)),
        "SCRIPT": folder.joinpath(f"{kind}.js").read_text(encoding="utf-8"),
        "DATA": data,
    }
    markup = folder.joinpath(f"{kind}.html").read_text(encoding="utf-8")
    return re.sub("%([A-Z]+)%", lambda place: parts[place[1]], markup)
