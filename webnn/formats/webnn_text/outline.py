"""The outline of a `.webnn` file."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from webnn.formats.outline import Outline, ValueOutline
from webnn.formats.webnn_text.document import Dynamic
from webnn.formats.webnn_text.loading import largest_sizes, read_document

__all__ = ["outline_webnn"]


def outline_webnn(path: Path) -> Outline:
    """The outline of the graph at `path`.

    Raises:
        DataError: the file is not valid.
        OSError: it cannot be read.
    """
    document = read_document(path)
    inputs = [
        ValueOutline(
            document.input_names.get(name, name),
            row.data_type,
            [size.name if isinstance(size, Dynamic) else size for size in row.shape],
        )
        for name, row in document.inputs.items()
    ]
    return Outline(
        inputs=inputs,
        outputs=[ValueOutline(name) for name in document.outputs],
        operators=Counter(node.op for node in document.nodes if node.op),
        constants=len(document.constants),
        parameters=sum(math.prod(constant.shape) for constant in document.constants.values()),
        largest=largest_sizes(document),
        about={"format": "webnn-graph"},
    )
