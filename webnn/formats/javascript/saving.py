"""From a graph to a JavaScript module with its types, and the weights beside it."""

from __future__ import annotations

from pathlib import Path

from webnn.backends.files import written_at_once
from webnn.formats.javascript.declarations import TYPES, declarations_text
from webnn.formats.javascript.module import module_text, resource
from webnn.formats.webnn_text.document import Document
from webnn.formats.webnn_text.saving import encoded, save_document
from webnn.graph import ir

__all__ = ["save_js"]


def save_js(graph: ir.Graph, path: Path) -> None:
    """Write `graph` as a module: `app.js`, its types `app.d.ts` and `webnn.d.ts`, and `app.safetensors`.

    Raises:
        ValidationError: a name cannot be encoded.
        NotSupportedError: the operators that stand for a composite would take too much memory.
        OSError: a file cannot be written.
    """
    outputs = graph.output_descriptors
    declarations = b""

    def form(document: Document) -> str:
        nonlocal declarations
        declarations = encoded(declarations_text(document, outputs))
        weights = path.with_suffix(".safetensors").name if document.mark is not None else ""
        return module_text(document, outputs, weights=weights)

    save_document(graph, path, form)
    for target, content in (
        (path.with_suffix(".d.ts"), declarations),
        (path.with_name(TYPES), encoded(resource(TYPES))),
    ):
        with written_at_once(target) as file:
            file.write(content)
