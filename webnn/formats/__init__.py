"""Models in and out: other formats become graphs, and graphs other formats.

Stands on the runtime; nothing below knows it. Importing it loads none of the libraries that the formats need.
"""

from typing import TYPE_CHECKING

from webnn.forking import late_names
from webnn.formats.onnx import import_onnx, load_onnx
from webnn.formats.webnn_text import import_webnn, load_webnn
from webnn.runtime.saved_graphs import GRAPHS, STORES
from webnn.runtime.saving import SAVERS

if TYPE_CHECKING:
    from webnn.formats.safetensors import load_safetensors, save_safetensors
else:
    __getattr__ = late_names(__name__, {"webnn.formats.safetensors": ("load_safetensors", "save_safetensors")})

__all__ = ["import_onnx", "import_webnn", "load_onnx", "load_safetensors", "load_webnn", "save_safetensors"]

SAVERS.update({f".{form}": f"webnn.formats.webnn_text.saving:save_{form}" for form in ("webnn", "json")})
SAVERS[".js"] = "webnn.formats.javascript.saving:save_js"
SAVERS[".html"] = "webnn.formats.javascript.page:save_html"
STORES[GRAPHS] = "webnn.formats.graph_folder:GraphFolder"
