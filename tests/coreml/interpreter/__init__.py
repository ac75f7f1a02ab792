"""An interpreter of saved `.mlpackage` folders, which knows nothing of the lowering that made them.

It reads the manifest, the protobuf message and the blob file, and computes the ML Program with NumPy as the
documentation of each operator says (the docstrings in `coremltools.converters.mil.mil.ops.defs` of coremltools 9). It
uses coremltools for the protobuf classes alone. Two rules make it a judge:

- Types and shapes are held against the documentation, and each result against the type that the program declares.
- Where the documentation does not say what happens, such as at an index out of range or a tie between two pixels, it
  raises `UndocumentedError` instead of choosing. A model must not depend on it.

Floats are computed in float64 and rounded to their data type after each operator: it tells what a model means, not how
a device rounds.
"""

from tests.coreml.interpreter.machine import run
from tests.coreml.interpreter.package import Package, read_package
from tests.coreml.interpreter.signatures import ProgramError, UndocumentedError

__all__ = ["Package", "ProgramError", "UndocumentedError", "read_package", "run"]
