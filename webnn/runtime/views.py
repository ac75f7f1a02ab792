"""`View`: the page that `MLGraph.view` gives."""

from __future__ import annotations

import os
import webbrowser
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from webnn.backends.files import written_at_once

__all__ = ["View"]

HEIGHT: Final = 560
"""Of a page in a notebook, in pixels."""


@dataclass(frozen=True, slots=True, repr=False)
class View:
    """A graph as a page that needs nothing else. In a notebook it shows itself.

    Attributes:
        title: the title of the page.
        html: the page.
    """

    title: str
    html: str = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, which appears whole."""
        target = Path(path)
        with written_at_once(target, durable=False) as file:
            file.write(self.html.encode(errors="replace"))  # names may not be valid Unicode
        return target

    def open(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Show the page in the browser of this desktop, from the file `path`. Default: a new temporary file."""
        file = self.save(Path(mkdtemp(prefix="webnn-view-")) / "graph.html" if path is None else path)
        webbrowser.open(file.resolve().as_uri())
        return file

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {HEIGHT}px; border: 1px solid #8884; border-radius: 6px"
        name = escape(f"graph {self.title}")
        return f'<iframe srcdoc="{escape(self.html)}" title="{name}" style="{style}" loading="lazy"></iframe>'

    def __repr__(self) -> str:
        return f"<View of {self.title}, {len(self.html)} characters of HTML>"
