"""Checks of a package that need no run: what a reader of the file relies on."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np

from tests.coreml.interpreter.blobs import ALIGNMENT
from tests.coreml.interpreter.datatypes import DTYPES, ValueType
from tests.coreml.interpreter.machine import MAX_RANK
from tests.coreml.interpreter.package import Package, value_type
from tests.coreml.interpreter.signatures import ProgramError
from tests.coreml.messages import FeatureTypes_pb2

__all__ = ["problems"]

SPECIFICATIONS: Final = {"CoreML7": 8, "CoreML8": 9, "CoreML9": 10}
"""The specification version that has an opset."""

FEATURES: Final = {"FLOAT16": "fp16", "FLOAT32": "fp32", "INT32": "int32", "INT8": "int8"}
IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_@]*")
_INLINE_BYTES: Final = 1 << 16
"""A weight of this size belongs in the blob file: messages end at 2 GB."""


def problems(package: Package, dtypes: Collection[str] = tuple(DTYPES)) -> list[str]:
    """What is wrong with the package; `dtypes` are the data types that its values may have."""
    found: list[str] = []
    for check in (_manifest, _versions, _interface, _names, _types, _blobs):
        try:
            found += check(package)
        except ProgramError as error:
            found.append(str(error))
    unwanted = {type.dtype for _, type in _values(package)} - set(dtypes)
    return found + [f"a value is {dtype}, which was not asked for" for dtype in sorted(unwanted)]


def _values(package: Package) -> Iterator[tuple[str, ValueType]]:
    for message in package.function.inputs:
        yield message.name, value_type(message.type)
    for operation in package.block.operations:
        for output in operation.outputs:
            yield output.name, value_type(output.type)


def _constants(package: Package) -> Iterator[tuple[str, Any]]:
    """Every constant, wherever an operation has it, with the name of the operation's output."""
    for operation in package.block.operations:
        for value in operation.attributes.values():
            yield operation.outputs[0].name, value
        for argument in operation.inputs.values():
            for binding in argument.arguments:
                if binding.WhichOneof("binding") == "value":
                    yield operation.outputs[0].name, binding.value


def _manifest(package: Package) -> Iterator[str]:
    data = package.path / "Data"
    if package.manifest.get("fileFormatVersion") != "1.0.0":
        yield f"the manifest has the format version {package.manifest.get('fileFormatVersion')}"
    listed = [data / entry["path"] for entry in package.manifest["itemInfoEntries"].values()]
    for path in listed:
        if not path.exists():
            yield f"the manifest names {path.relative_to(data)}, which does not exist"
    for path in sorted(data.rglob("*")):
        if path.is_file() and not any(path == entry or entry in path.parents for entry in listed):
            yield f"{path.relative_to(data)} is not in the manifest"


def _versions(package: Package) -> Iterator[str]:
    opset, version = package.function.opset, package.spec.specificationVersion
    if SPECIFICATIONS.get(opset) != version:
        yield f"the specification version {version} does not have the opset {opset}"


def _interface(package: Package) -> Iterator[str]:
    """The description that programs see, against the function that is run."""
    types = dict(_values(package))
    sides = (
        ("input", package.spec.description.input, [message.name for message in package.function.inputs]),
        ("output", package.spec.description.output, list(package.block.outputs)),
    )
    for side, features, names in sides:
        if [feature.name for feature in features] != names:
            yield f"the {side}s are described as {[feature.name for feature in features]}, the function has {names}"
        if len(set(names)) != len(names):
            yield f"an {side} is there twice: {names}"
        for feature in features:
            described = _feature_type(feature)
            if described != types.get(feature.name):
                yield f"the {side} {feature.name} is described as {described}, it is {types.get(feature.name)}"
            if not described.shape:
                yield f"the {side} {feature.name} is a scalar, which Core ML refuses"
    both = set(package.block.outputs) & {message.name for message in package.function.inputs}
    for name in sorted(both):
        yield f"the output {name} is an input"


def _feature_type(feature: Any) -> ValueType:
    if feature.type.WhichOneof("Type") != "multiArrayType":
        raise ProgramError(f"{feature.name} is described as {feature.type.WhichOneof('Type')}")
    array = feature.type.multiArrayType
    name = FeatureTypes_pb2.ArrayFeatureType.ArrayDataType.Name(array.dataType)
    return ValueType(FEATURES.get(name, name), tuple(array.shape))


def _names(package: Package) -> Iterator[str]:
    for name, count in Counter(name for name, _ in _values(package)).items():
        if count > 1:
            yield f"{count} values have the name {name}"
        if not IDENTIFIER.fullmatch(name):
            yield f"the name {name!r} is no identifier"


def _types(package: Package) -> Iterator[str]:
    for name, type in _values(package):
        if len(type.shape) > MAX_RANK:
            yield f"{name} has the rank {len(type.shape)}"
        if 0 in type.shape:
            yield f"{name} has no elements: {type}"


def _blobs(package: Package) -> Iterator[str]:
    """Each record of a blob file is used, is where it may be, and is not there twice with one shape."""
    used: dict[str, dict[int, ValueType]] = {}
    for label, value in _constants(package):
        type = value_type(value.type)
        size = int(np.prod(type.shape, dtype=np.int64)) * DTYPES[type.dtype].itemsize
        if value.WhichOneof("value") == "blobFileValue":
            used.setdefault(value.blobFileValue.fileName, {})[value.blobFileValue.offset] = type
        elif size > _INLINE_BYTES and type.dtype != "string":
            yield f"{label} has {size} bytes in the message"
    for name, places in used.items():
        blob = package.blob_file(name)
        if blob.count != len(places):
            yield f"{name} has {blob.count} records, {len(places)} are used"
        spans = [(0, ALIGNMENT, "the header")]
        contents: dict[tuple[ValueType, bytes], int] = {}
        for offset, type in places.items():
            content = (type, blob.array(offset, type).tobytes())
            if contents.setdefault(content, offset) != offset:
                yield f"{name} has the same {type} at {contents[content]} and at {offset}"
            record = blob.record(offset)
            spans.append((offset, offset + ALIGNMENT, f"the metadata at {offset}"))
            spans.append((record.offset, record.offset + record.size, f"the data at {record.offset}"))
        spans.sort()
        for (_, end, first), (start, _, second) in itertools.pairwise(spans):
            if start < end:
                yield f"{name}: {second} overlaps {first}"
