"""SafeTensors files: mapped, checked, written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import webnn
from webnn.errors import DataError, ValidationError
from webnn.formats.safetensors import DTYPES, load_safetensors, save_safetensors
from webnn.memory.mapped import place_in_file


def file_of(path: Path, header: object, data: bytes = b"", *, pad: int = 0) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * pad
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def row(dtype: str, shape: list[Any], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_survives_a_round_trip(tmp_path: Path, name: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(DTYPES[name])
    arrays = {"a": array, "scalar": np.asarray(array[0, 1]), "none": array[:0]}
    save_safetensors(tmp_path / "x.safetensors", arrays)
    loaded = load_safetensors(tmp_path / "x.safetensors")
    assert set(loaded) == set(arrays)
    for key, expected in arrays.items():
        assert loaded[key].dtype == expected.dtype
        np.testing.assert_array_equal(loaded[key], expected, strict=True)


def test_what_it_writes_is_read_by_the_library_of_the_format(tmp_path: Path) -> None:
    numpy_side = pytest.importorskip("safetensors.numpy", reason="the package safetensors is not installed")
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "a": np.arange(5, dtype=np.int8),
        "b": np.ones((2, 3), np.float32),
        "c": np.zeros((), np.float64),
    }
    save_safetensors(tmp_path / "ours.safetensors", arrays, {"note": "ä"})
    theirs = numpy_side.load_file(tmp_path / "ours.safetensors")
    numpy_side.save_file(arrays, tmp_path / "theirs.safetensors")
    ours = load_safetensors(tmp_path / "theirs.safetensors")
    for name, array in arrays.items():
        np.testing.assert_array_equal(theirs[name], array, strict=True)
        np.testing.assert_array_equal(ours[name], array, strict=True)
    assert load_safetensors(tmp_path / "ours.safetensors").metadata == {"note": "ä"}


def test_arrays_are_the_mapped_file_and_read_only(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "x.safetensors", {"a": np.ones(100, np.float32), "b": np.ones(3, np.int8)})
    loaded = load_safetensors(tmp_path / "x.safetensors")
    assert loaded["a"] is loaded["a"]
    assert not loaded["a"].flags.owndata
    assert not loaded["a"].flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        loaded["a"][0] = 2


def test_only_an_array_at_an_odd_place_is_copied(tmp_path: Path) -> None:
    header = {"odd": row("F32", [2], 1, 9), "byte": row("U8", [1], 0, 1)}
    pad = -len(json.dumps(header)) % 8
    data = b"\7" + np.array([1.5, -2], "<f4").tobytes()
    loaded = load_safetensors(file_of(tmp_path / "x.safetensors", header, data, pad=pad))
    assert loaded["odd"].flags.owndata
    assert loaded["odd"].flags.aligned
    assert not loaded["odd"].flags.writeable
    assert loaded["odd"].tolist() == [1.5, -2]
    assert not loaded["byte"].flags.owndata


def test_a_constant_is_the_file_itself_without_a_copy(tmp_path: Path) -> None:
    weights = np.arange(64 * 64, dtype=np.float32).reshape(64, 64) / 4096
    save_safetensors(tmp_path / "x.safetensors", {"w": weights})
    loaded = load_safetensors(tmp_path / "x.safetensors")
    with webnn.ML().create_context() as context:
        builder = context.create_graph_builder()
        constant = builder.constant(loaded["w"])
        assert constant.constant is loaded["w"]
        graph = builder.build({"y": builder.matmul(builder.input("x", [1, 64], "float32"), constant)})
        x = np.ones((1, 64), np.float32)
        np.testing.assert_allclose(context.compute(graph, {"x": x})["y"], x @ weights, rtol=1e-6)


def test_bfloat16_is_no_webnn_type_but_converts(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "x.safetensors", {"w": np.array([1.5, -2], ml_dtypes.bfloat16)})
    loaded = load_safetensors(tmp_path / "x.safetensors")["w"]
    with webnn.ML().create_context() as context:
        builder = context.create_graph_builder()
        with pytest.raises(ValidationError, match="bfloat16"):
            builder.constant(loaded)
        assert builder.constant(loaded.astype("float32")).shape == (2,)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ([1], b"", "must be an object, got list"),
        (b'{"a":{}, "a":{}}', b"", "the key 'a' appears twice"),
        (b'{"a', b"", "header:1:2: not JSON"),
        (b"\xff\xfe", b"", "not UTF-8 at byte 0"),
        (b"[" * 100_000, b"", "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", b"", "digits"),
        ({"__metadata__": {"a": 1}}, b"", "object of strings"),
        ({"a": {"dtype": "F32", "shape": []}}, b"", "'a' must have exactly dtype, shape and data_offsets"),
        ({"a": row("F31", [], 0, 4)}, b"1234", "'a': unknown dtype 'F31'"),
        ({"a": row("F32", [-1], 0, 4)}, b"1234", r"'a': shape must be .* got \[-1\]"),
        ({"a": row("F32", [True], 0, 4)}, b"1234", r"'a': shape must be"),
        ({"a": row("F32", [1] * 65, 0, 4)}, b"1234", r"'a': shape must be at most 64"),
        ({"a": row("F32", [1.0], 0, 4)}, b"1234", r"'a': shape must be"),
        ({"a": row("F32", [0, 2**62, 2**62], 0, 0)}, b"", r"'a': shape .* takes 2\*\*63 bytes or more"),
        ({"a": row("F32", [2**62], 0, 4)}, b"1234", r"'a': shape .* takes 2\*\*63 bytes or more"),
        ({"a": row("F32", [1], 4, 0)}, b"1234", r"'a': data_offsets must be a begin and an end, got \[4, 0\]"),
        ({"a": row("F32", [2], 0, 4)}, b"1234", r"'a': F32 \[2\] takes 8 bytes, data_offsets hold 4"),
        ({"a": row("F32", [2], 0, 8)}, b"1234", r"'a' ends at byte \d+, but the file has \d+"),
        ({"a": row("U8", [2], 0, 2), "b": row("U8", [2], 1, 3)}, b"123", r"'b' at byte \d+ overlaps 'a'"),
        (
            {"a": row("U8", [2], 0, 2), "b": row("U8", [2], 3, 5)},
            b"12345",
            "'b' at byte .* a hole of 1 bytes after 'a'",
        ),
        ({"a": row("U8", [2], 0, 2)}, b"12345", r"the arrays end at byte \d+, but the file has \d+"),
    ],
)
def test_a_wrong_header_is_refused_with_the_name_of_what_is_wrong(
    tmp_path: Path, header: object, data: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_safetensors(file_of(tmp_path / "x.safetensors", header, data))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with 8 bytes for the size of its header, this has 0"),
        (b"1234567", "begins with 8 bytes for the size of its header, this has 7"),
        ((9).to_bytes(8, "little") + b"{}", "claims 9 bytes, the file has 10"),
        ((2**63).to_bytes(8, "little") + b"{}", "at most 33554432 are supported"),
    ],
)
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_safetensors(path)


def test_a_type_that_the_format_lacks_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'w' is complex64"):
        save_safetensors(tmp_path / "x.safetensors", {"w": np.ones(2, np.complex64)})
    with pytest.raises(ValidationError, match="'__metadata__' is a reserved name"):
        save_safetensors(tmp_path / "x.safetensors", {"__metadata__": np.ones(2, np.float32)})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_replaced_stays_what_it_was_for_its_readers(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_safetensors(path, {"w": np.full(1000, 1, np.float32)})
    loaded = load_safetensors(path)
    save_safetensors(path, {"w": np.full(10, 2, np.float32)})
    assert loaded["w"].sum() == 1000
    assert load_safetensors(path)["w"].sum() == 20


def index_of(folder: Path, names: object) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))
    return path


def test_an_index_gives_the_arrays_of_all_its_files(tmp_path: Path) -> None:
    for i in (1, 2):
        arrays = {f"w{i}": np.full(3, i, np.float32), "unnamed": np.zeros(1, np.float32)}
        save_safetensors(tmp_path / f"m-{i}.safetensors", arrays, {f"part{i}": "yes"})
    loaded = load_safetensors(index_of(tmp_path, {"w2": "m-2.safetensors", "w1": "m-1.safetensors"}))
    assert {name: array.tolist() for name, array in loaded.items()} == {"w2": [2, 2, 2], "w1": [1, 1, 1]}
    assert loaded.metadata == {"part1": "yes", "part2": "yes"}
    assert place_in_file(loaded["w2"]) is not None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (None, "an index of SafeTensors files must have the object weight_map"),
        ({"w": "../m.safetensors"}, r"'w' is in '../m\.safetensors'; expected a \.safetensors file beside the index"),
        ({"w": ["m.safetensors"]}, r"'w' is in \['m\.safetensors'\]; expected a \.safetensors file"),
        ({"w": "m.index.json"}, r"expected a \.safetensors file beside the index"),
        ({"v": "m.safetensors"}, r"'v' is missing from 'm\.safetensors'"),
    ],
)
def test_a_wrong_index_is_refused(tmp_path: Path, names: object, message: str) -> None:
    save_safetensors(tmp_path / "m.safetensors", {"w": np.ones(3, np.float32)})
    with pytest.raises(DataError, match=rf"model\.safetensors\.index\.json: {message}|{message}"):
        load_safetensors(index_of(tmp_path, names))


@pytest.mark.parametrize("tensors", ["x.safetensors", {"a": [1.0]}])
def test_only_arrays_by_name_are_written(tmp_path: Path, tensors: Any) -> None:
    with pytest.raises(
        ValidationError, match=r"save_safetensors\(path, tensors\): tensors must be arrays by name, got"
    ):
        save_safetensors(tmp_path / "x.safetensors", tensors)
