"""Models in and out: other formats become graphs, and graphs other formats.

Stands on the runtime; nothing below knows it. Importing it loads none of the libraries that the formats need.
"""

from webnn.formats.onnx import import_onnx, load_onnx
from webnn.formats.safetensors import load_safetensors, save_safetensors
from webnn.formats.saved_graphs import SavedGraphs
from webnn.formats.webnn_text import import_webnn, load_webnn
from webnn.runtime.saving import SAVERS, STORES

__all__ = ["import_onnx", "import_webnn", "load_onnx", "load_safetensors", "load_webnn", "save_safetensors"]

SAVERS.update({f".{form}": f"webnn.formats.webnn_text.saving:save_{form}" for form in ("webnn", "json")})
STORES["graphs"] = SavedGraphs
