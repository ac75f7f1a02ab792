"""How Sphinx makes the site of these pages: `make docs`.

The pages in `docs/` are Markdown, which can be read in the repository, too. The reference and a page for each operator
are made from the docstrings and the limits tables while the site is built (`docs/generate_reference.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

import webnn  # noqa: E402
from docs import generate_reference  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "webnn"
author = "the webnn authors"
copyright = "the webnn authors, Apache-2.0"
version = release = webnn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.intersphinx", "sphinx_copybutton"]
exclude_patterns = ["generate_*.py", "benchmarks/*.json"]
root_doc = "index"
html_theme = "furo"
html_title = f"webnn {release}"
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

myst_enable_extensions = ["colon_fence", "fieldlist"]
myst_heading_anchors = 4

maximum_signature_line_length = 88
default_role = "code"  # docstrings set names in single backticks
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
nitpicky = False
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1)"]
linkcheck_timeout = 20
linkcheck_retries = 2
intersphinx_mapping: dict[str, tuple[str, None]] = {}  # the site builds without a network


def _add_pages_of_operators(app: Sphinx, page: str, source: list[str]) -> None:
    """End the table of operators with the pages of each. In the repository the page does without them."""
    if page == "operators":
        source[0] += "\n" + generate_reference.toctree_of_operators()


def _hide_signature(_app: Sphinx, what: str, name: str, *_: object) -> tuple[str, None] | None:
    """No arguments for classes whose objects come from calls of others: their constructors are not public."""
    if what in ("class", "exception") and name.removeprefix("webnn.") not in generate_reference.CONSTRUCTED:
        return "", None
    return None


def setup(app: Sphinx) -> None:
    """Write the generated pages, before the sources are looked for."""
    generate_reference.write(DOCS)
    app.connect("source-read", _add_pages_of_operators)
    app.connect("autodoc-process-signature", _hide_signature)
