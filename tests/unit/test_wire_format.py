"""Models are parsed without their weights, and are otherwise what the parser makes of the whole file."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, ModelProto, helper, numpy_helper

from webnn.errors import DataError
from webnn.formats.onnx.file import wire_format
from webnn.formats.onnx.file.wire_format import PLACE, without_weights


def model_of(*attributes: AttributeProto) -> ModelProto:
    node = helper.make_node("Any", ["x"], ["y"])
    node.attribute.extend(attributes)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def parsed(data: bytes) -> ModelProto:
    model = ModelProto()
    model.ParseFromString(without_weights(memoryview(data)))
    return model


def test_long_lists_of_numbers_stay_as_they_are() -> None:
    random = np.random.default_rng(0)
    integers = [0, -1, 1, 127, 128, 2**63 - 1, -(2**63), *random.integers(-(2**40), 2**40, 5000).tolist()]
    floats = [0.0, -1.5, float("inf"), *random.standard_normal(5000).tolist()]
    model = model_of(
        helper.make_attribute("integers", integers),
        helper.make_attribute("floats", floats),
        helper.make_attribute("texts", ["LEAF", "BRANCH_LEQ"] * 1000),
    )
    assert parsed(model.SerializeToString()) == model


@pytest.mark.parametrize("count", [1, 7, 8, 9, 500])
def test_lists_whose_numbers_take_turns_stay_as_they_are(count: int) -> None:
    """A message may have its fields in any order, and repeated ones in pieces."""
    random = np.random.default_rng(count)
    pieces = []
    for _ in range(2000 // count):
        integers = (random.integers(0, 2, count) << random.integers(0, 62, count)).tolist()
        pieces += [{"ints": integers}, {"floats": random.standard_normal(count).tolist()}, {"strings": [b"@=@="]}]
    inner = b"".join(AttributeProto(**piece).SerializeToString() for piece in pieces)
    assert parsed(file_of(inner)).graph.node[0].attribute[0] == AttributeProto.FromString(inner)


def test_numbers_that_alternate_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at many at once pays for many only: a file of such numbers took ten times as long."""
    looks = list[int]()
    after_numbers = wire_format._after_numbers

    def counted(data: memoryview, position: int, end: int) -> int:
        looks.append(position)
        return after_numbers(data, position, end)

    monkeypatch.setattr(wire_format, "_after_numbers", counted)
    pair = AttributeProto(ints=[1]).SerializeToString() + AttributeProto(floats=[0.5]).SerializeToString()
    parsed(file_of(pair * 1000))
    assert 0 < len(looks) < 2000 / 8


def test_a_tensor_behind_a_list_of_numbers_is_left_in_the_file() -> None:
    weights = numpy_helper.from_array(np.arange(1000, dtype=np.float32), "w")
    attribute = AttributeProto(name="both", ints=range(1000), floats=[0.5] * 1000, type=AttributeProto.TENSOR)
    tensor = AttributeProto(t=weights).SerializeToString()
    # A message may have its fields in any order: here the tensor comes last.
    found = parsed(file_of(attribute.SerializeToString() + tensor)).graph.node[0].attribute[0]
    assert list(found.ints) == list(range(1000))
    assert list(found.floats) == [0.5] * 1000
    assert not found.t.raw_data
    assert [entry.key for entry in found.t.external_data] == [PLACE]


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_a_list_that_is_cut_off_is_no_model(cut: int) -> None:
    data = model_of(helper.make_attribute("integers", [2**40] * 1000)).graph.SerializeToString()
    attribute = data[: data.index(b"\x40" + _size(2**40)) + 7 * 500 - cut]
    with pytest.raises(DecodeError):
        parsed(bytes([7 << 3 | 2]) + _size(len(data)) + attribute)


def file_of(attribute: bytes) -> bytes:
    """A model of a node with one attribute."""
    node = bytes([5 << 3 | 2]) + _size(len(attribute)) + attribute
    graph = bytes([1 << 3 | 2]) + _size(len(node)) + node
    return bytes([7 << 3 | 2]) + _size(len(graph)) + graph


def _size(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])


def test_numbers_and_strings_of_an_attribute_do_not_count_as_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ensemble of five million nodes has as many strings in one attribute."""
    monkeypatch.setattr(wire_format, "_MAX_FIELDS", 100)
    model = model_of(
        helper.make_attribute("integers", list(range(3000))),
        helper.make_attribute("texts", ["LEAF", "", "BRANCH_LEQ", "J" * 127] * 1000),
    )
    assert parsed(model.SerializeToString()) == model
    graphs = model_of(helper.make_attribute("graphs", [helper.make_graph([], "", [], [])] * 1000))
    with pytest.raises(DataError, match="one attribute has more than 100 fields"):
        parsed(graphs.SerializeToString())


def test_a_string_that_is_cut_off_is_reported() -> None:
    inner = AttributeProto(strings=[b"text"] * 1000).SerializeToString()
    with pytest.raises(DecodeError, match="announces 4 bytes, only 2 follow"):
        parsed(file_of(inner[:-2]))
