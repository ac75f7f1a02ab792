"""One self-contained HTML file: markup, style, scripts and data; nothing in it is loaded from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from webnn.formats.json_text import finite

__all__ = ["graph_page", "trace_page"]

COMMON_SCRIPTS: Final = ("dom.js", "dragging.js")
GRAPH_SCRIPTS: Final = ("model", "layout", "pane", "panel", "export", "main")
"""After the common ones, in the order in which they are loaded; each uses those before it."""


def graph_page(data: Mapping[str, Any]) -> str:
    """The page for the data that `webnn.view.drawing.page_data` made."""
    library = [f"/*\n{_read('dagre/LICENSE')}*/\n{_read('dagre/dagre.min.js')}"]
    scripts = [*map(_read, COMMON_SCRIPTS), *(_read(f"graph/{name}.js") for name in GRAPH_SCRIPTS)]
    return _page("graph/page.html", ["common.css", "graph/page.css"], [*library, *scripts], data)


def trace_page(data: Mapping[str, Any]) -> str:
    """The page for the data that `webnn.view.trace.trace_drawing` made."""
    return _page("trace.html", ["common.css", "trace.css"], [*map(_read, COMMON_SCRIPTS), _read("trace.js")], data)


def _page(markup: str, styles: Sequence[str], scripts: Sequence[str], data: Mapping[str, Any]) -> str:
    parts = {
        "TITLE": escape(str(data["title"])),
        "STYLE": "".join(map(_read, styles)),
        "SCRIPT": "\n".join(f"<script>\n{script.rstrip()}\n</script>" for script in scripts),
        # Only "<" could end a script element; JSON can escape it.
        "DATA": json.dumps(finite(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return re.sub("%([A-Z]+)%", lambda place: parts[place[1]], _read(markup))


def _read(name: str) -> str:
    # A page has no source maps beside it.
    text = files("webnn.view").joinpath(*name.split("/")).read_text(encoding="utf-8")
    return re.sub(r"^//# sourceMappingURL=.*\n?", "", text, flags=re.MULTILINE)
