"""Models in and out: other formats become graphs, and graphs other formats.

Stands on the runtime; nothing below knows it. Importing it loads none of the libraries that the formats need.
"""

from webnn.formats.onnx import import_onnx, load_onnx

__all__ = ["import_onnx", "load_onnx"]
