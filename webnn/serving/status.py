"""The status of a server: as JSON, and as a page that shows it and sends a request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from webnn.serving.inference import Inference

__all__ = ["FILES", "POLICY", "example", "status"]

_FOLDER: Final = Path(__file__).parent / "page"
FILES: Final[Mapping[str, tuple[str, bytes]]] = {
    path: (kind, (_FOLDER / name).read_bytes())
    for path, name, kind in (
        ("/", "page.html", "text/html"),
        ("/page.css", "page.css", "text/css"),
        ("/page.js", "page.js", "text/javascript"),
    )
}
"""By path, the content types and contents of the page's files, which are read once."""

POLICY: Final = "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The content security policy of the page."""

MOST: Final = 4096
"""Elements of an input up to which the page has an example of a request."""


def example(inference: Inference) -> dict[str, Any] | None:
    """A request with zeros; None where it would be too long to look at."""
    ports = inference.served.inputs.values()
    if sum(port.elements for port in ports) > MOST:
        return None
    return {
        "inputs": [
            {"name": port.name, "shape": port.shape, "datatype": port.datatype, "data": [0] * port.elements}
            for port in ports
        ]
    }


def status(inference: Inference) -> dict[str, Any]:
    """The figures of one version of a model."""
    figures, served, admission = inference.requests, inference.served, inference.admission
    return {
        **served.metadata([served.version]),
        "path": f"/v2/models/{served.name}/versions/{served.version}/infer",
        "requests": {str(code): many for code, many in sorted(figures.by_status.items())},
        "items": figures.items,
        "median": figures.percentile(50),
        "p99": figures.percentile(99),
        "queue": admission.items,
        "max_queue": admission.most,
    }
