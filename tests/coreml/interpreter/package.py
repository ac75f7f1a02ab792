"""A saved package: its manifest, its message, and the constants in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.coreml.interpreter.blobs import BlobFile
from tests.coreml.interpreter.datatypes import DTYPES, NAMES, Array, ValueType
from tests.coreml.interpreter.signatures import ProgramError
from tests.coreml.messages import MIL_pb2, Model_pb2

__all__ = ["OPSETS", "Package", "read_package", "value_type"]

OPSETS: Final = {"CoreML7": 17, "CoreML8": 18, "CoreML9": 26}
"""The version of iOS whose operators an opset has; 14, 15 and 26 are those of macOS."""

_DATA: Final = "Data"
_FIELDS: Final = {"fp32": "floats", "int16": "ints", "uint16": "ints", "int32": "ints", "bool": "bools"}
"""The field of an immediate value; smaller types are bytes."""


@dataclass(slots=True)
class Package:
    """A model as it was read from its folder."""

    path: Path
    manifest: dict[str, Any]
    spec: Any
    blobs: dict[str, BlobFile] = field(default_factory=dict)

    @property
    def function(self) -> Any:
        """The function `main` of the program."""
        functions = self.spec.mlProgram.functions
        if list(functions) != ["main"]:
            raise ProgramError(f"the functions of the program are {sorted(functions)}, not main alone")
        return functions["main"]

    @property
    def block(self) -> Any:
        """The operations of `main`."""
        specializations = self.function.block_specializations
        if list(specializations) != [self.function.opset]:
            raise ProgramError(f"blocks for {sorted(specializations)}, the opset is {self.function.opset}")
        return specializations[self.function.opset]

    @property
    def version(self) -> int:
        """The version of iOS whose operators it uses."""
        if self.function.opset not in OPSETS:
            raise ProgramError(f"the opset is {self.function.opset}, not one of {', '.join(OPSETS)}")
        return OPSETS[self.function.opset]

    def blob_file(self, name: str) -> BlobFile:
        """The blob file that the message calls `name`."""
        if name not in self.blobs:
            prefix = "@model_path/"
            if not name.startswith(prefix):
                raise ProgramError(f"the blob file {name!r} is not below {prefix}")
            weights = self.path / _DATA / "com.apple.CoreML" / name.removeprefix(prefix)
            if not weights.is_file():
                raise ProgramError(f"the blob file {name!r} does not exist")
            self.blobs[name] = BlobFile(weights)
        return self.blobs[name]

    def constant(self, value: Any) -> tuple[ValueType, Array]:
        """The type and the content of a constant in the message."""
        type = value_type(value.type)
        if value.WhichOneof("value") == "blobFileValue":
            place = value.blobFileValue
            return type, self.blob_file(place.fileName).array(place.offset, type)
        if value.immediateValue.WhichOneof("value") != "tensor":
            raise ProgramError(f"a constant is a {value.immediateValue.WhichOneof('value')}, not a tensor")
        return type, _immediate(value.immediateValue.tensor, type)


def _immediate(tensor: Any, type: ValueType) -> Array:
    held = tensor.WhichOneof("value")
    dtype = DTYPES[type.dtype]
    count = int(np.prod(type.shape, dtype=np.int64))
    if type.dtype == "string":
        wanted, values = "strings", list[Any](tensor.strings.values)
    elif type.dtype in _FIELDS:
        wanted = _FIELDS[type.dtype]
        values = list(getattr(tensor, wanted).values)
    else:
        wanted, values = "bytes", np.frombuffer(tensor.bytes.values, dtype).tolist()
    if held != wanted:
        raise ProgramError(f"a constant of type {type} is in the field {held}, not {wanted}")
    if len(values) != count:
        raise ProgramError(f"a constant of type {type} has {len(values)} elements")
    return np.array(values, dtype).reshape(type.shape)


def value_type(message: Any) -> ValueType:
    """The declared type in a message; all sizes must be known."""
    if message.WhichOneof("type") != "tensorType":
        raise ProgramError(f"a value is a {message.WhichOneof('type')}, not a tensor")
    tensor = message.tensorType
    name = MIL_pb2.DataType.Name(tensor.dataType)
    if name not in NAMES:
        raise ProgramError(f"a value has the data type {name}, which no operator takes")
    if tensor.rank != len(tensor.dimensions):
        raise ProgramError(f"a value of rank {tensor.rank} has {len(tensor.dimensions)} dimensions")
    if any(dimension.WhichOneof("dimension") != "constant" for dimension in tensor.dimensions):
        raise ProgramError("a value has dimensions of unknown size")
    return ValueType(NAMES[name], tuple(dimension.constant.size for dimension in tensor.dimensions))


def read_package(path: Path) -> Package:
    """The package at `path`: its manifest names the message."""
    manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
    root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    message = path / _DATA / root["path"]
    if not message.is_file():
        raise ProgramError(f"the manifest names {root['path']}, which does not exist")
    return Package(path, manifest, Model_pb2.Model.FromString(message.read_bytes()))
