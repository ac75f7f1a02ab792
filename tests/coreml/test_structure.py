"""The checks of a package's structure: they pass on sound ones, and each finds what it is there for."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.coreml.interpreter import Package, read_package
from tests.coreml.interpreter.structure import problems
from tests.coreml.programs import mb, saved

X: Final = np.ones((2, 4), np.float32)
WEIGHTS: Final = [np.arange(16, dtype=np.float32).reshape(4, 4) + i for i in range(2)]


def _sound(path: Path) -> Package:
    build = lambda x: mb.matmul(x=mb.matmul(x=x, y=WEIGHTS[0]), y=WEIGHTS[1], name="y")  # noqa: E731
    return saved(path, build, {"x": X})


def _consts(package: Package) -> list[Any]:
    """The values of the constants in the blob file."""
    values = (operation.attributes["val"] for operation in package.block.operations if operation.type == "const")
    return [value for value in values if value.WhichOneof("value") == "blobFileValue"]


def _specification(package: Package) -> None:
    package.spec.specificationVersion = 7


def _output_is_input(package: Package) -> None:
    package.block.outputs[0] = "x"


def _twice(package: Package) -> None:
    package.block.outputs.append("y")


def _feature_type(package: Package) -> None:
    package.spec.description.input[0].type.multiArrayType.dataType = 65552  # FLOAT16


def _feature_shape(package: Package) -> None:
    del package.spec.description.input[0].type.multiArrayType.shape[:]


def _same_name(package: Package) -> None:
    package.block.operations[0].outputs[0].name = "y"


def _no_identifier(package: Package) -> None:
    package.block.operations[0].outputs[0].name = "a/b"


def _rank(package: Package) -> None:
    tensor = package.block.operations[-1].outputs[0].type.tensorType
    while tensor.rank < 6:
        tensor.dimensions.add().constant.size = 1
        tensor.rank += 1


def _empty(package: Package) -> None:
    package.block.operations[-1].outputs[0].type.tensorType.dimensions[0].constant.size = 0


def _half(package: Package) -> None:
    package.block.operations[-1].outputs[0].type.tensorType.dataType = 10  # FLOAT16


def _unaligned(package: Package) -> None:
    _consts(package)[0].blobFileValue.offset = 65


def _unused(package: Package) -> None:
    first, second = _consts(package)
    second.blobFileValue.offset = first.blobFileValue.offset


def _larger(package: Package) -> None:
    _consts(package)[0].type.tensorType.dimensions[0].constant.size = 5


def _missing_file(package: Package) -> None:
    _consts(package)[0].blobFileValue.fileName = "@model_path/weights/other.bin"


def _blob(package: Package, place: int, layout: str, *values: int) -> None:
    path = package.path / "Data/com.apple.CoreML/weights/weight.bin"
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, place, *values)
    path.write_bytes(content)


def _overlap(package: Package) -> None:
    _blob(package, _consts(package)[1].blobFileValue.offset + 16, "<Q", 128)


def _behind_the_end(package: Package) -> None:
    _blob(package, _consts(package)[1].blobFileValue.offset + 16, "<Q", 1 << 20)


def _equal(package: Package) -> None:
    first, second = (place.blobFileValue.offset for place in _consts(package))
    content = package.blob_file("@model_path/weights/weight.bin").content
    package.blobs.clear()
    _blob(package, second + 64, "<64s", content[first + 64 : first + 128])  # type: ignore[arg-type]


def _stray(package: Package) -> None:
    (package.path / "Data" / "notes.txt").write_text("")


def _absent(package: Package) -> None:
    package.manifest["itemInfoEntries"]["x"] = {"path": "com.apple.CoreML/gone"}


BROKEN: Final[dict[str, Callable[[Package], None]]] = {
    "the specification version 7 does not have the opset CoreML7": _specification,
    "the output x is an input": _output_is_input,
    "an output is there twice: ['y', 'y']": _twice,
    "the input x is described as fp16[2, 4], it is fp32[2, 4]": _feature_type,
    "the input x is a scalar, which Core ML refuses": _feature_shape,
    "2 values have the name y": _same_name,
    "the name 'a/b' is no identifier": _no_identifier,
    "y has the rank 6": _rank,
    "y has no elements: fp32[0, 4]": _empty,
    "a value is fp16, which was not asked for": _half,
    "weight.bin: no metadata can be at 65": _unaligned,
    "has 2 records, 1 are used": _unused,
    "has 64 bytes of fp32, declared is fp32[5, 4]": _larger,
    "the blob file '@model_path/weights/other.bin' does not exist": _missing_file,
    "overlaps the data at 128": _overlap,
    "64 bytes at 1048576 are not aligned or not in the file": _behind_the_end,
    "has the same fp32[4, 4] at 64 and at 192": _equal,
    "notes.txt is not in the manifest": _stray,
    "the manifest names com.apple.CoreML/gone, which does not exist": _absent,
}


def test_a_sound_package_has_no_problems(tmp_path: Path) -> None:
    assert problems(_sound(tmp_path / "x.mlpackage"), ["fp32", "bool"]) == []


@pytest.mark.parametrize("message", BROKEN)
def test_each_check_finds_what_it_is_there_for(message: str, tmp_path: Path) -> None:
    package = _sound(tmp_path / "x.mlpackage")
    BROKEN[message](package)
    assert re.search(re.escape(message), "\n".join(problems(package, ["fp32", "bool"])))


def test_a_large_weight_in_the_message_is_found(tmp_path: Path) -> None:
    weight = np.ones((200, 100), np.int32)  # coremltools writes 32-bit integers into the message before iOS 18
    package = saved(tmp_path / "x.mlpackage", lambda x: mb.add(x=x, y=weight), {"x": weight})
    assert any("has 80000 bytes in the message" in problem for problem in problems(package))


def test_blob_files_hold_every_type_that_ios_18_writes(tmp_path: Path) -> None:
    arrays = {dtype: np.arange(20).astype(dtype) for dtype in ("float16", "int32", "int8", "uint8", "int16", "uint16")}

    def build(x: Any) -> Any:
        return [mb.add(x=x, y=mb.cast(x=mb.const(val=array), dtype="fp32")) for array in arrays.values()]

    package = saved(tmp_path / "x.mlpackage", build, {"x": np.ones(20, np.float32)}, "iOS18")
    held = {package.constant(value)[0].dtype: package.constant(value)[1] for value in _consts(package)}
    assert len(held) == len(arrays)
    for array in held.values():
        assert array.tolist() == list(range(20))


def test_the_manifest_of_another_package_is_refused(tmp_path: Path) -> None:
    package = _sound(tmp_path / "x.mlpackage")
    manifest = json.loads((package.path / "Manifest.json").read_text())
    manifest["fileFormatVersion"] = "2.0.0"
    (package.path / "Manifest.json").write_text(json.dumps(manifest))
    assert "the manifest has the format version 2.0.0" in problems(read_package(package.path))
