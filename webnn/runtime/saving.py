"""The file formats that `graph.save` can write.

The formats stand above the runtime and register themselves here, by name, so that the libraries they need are imported
when a file is written and not before.
"""

from __future__ import annotations

from typing import Any, Final

from webnn.forking import import_whole

__all__ = ["SAVERS", "registered"]

SAVERS: Final[dict[str, str]] = {
    ".onnx": "webnn.backends.onnx.export:save_onnx",
    ".mlpackage": "webnn.backends.coreml.export:save_coreml",
}
"""File suffix to the function, as `module:name`, that writes a `Graph` to such a path.

It returns the names that the file has for some inputs and outputs, or None where it has all of them as they are.
"""


def registered(name: str) -> Any:
    """The function that `module:name` stands for."""
    module, _, attribute = name.partition(":")
    return getattr(import_whole(module), attribute)
