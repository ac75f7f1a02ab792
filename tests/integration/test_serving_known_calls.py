"""Calls whose JSON is known from an earlier one, and is not parsed again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("orjson")
pytest.importorskip("prometheus_client")
pytest.importorskip("uvicorn")


from tests.connections import ROW
from tests.serving import tensor
from webnn.serving.calls import KEPT, Calls
from webnn.serving.protocol import Port, Refused

X = {"x": Port("x", "FP32", np.dtype("float32"), (1, 3), batched=True)}
Y = {"y": Port("y", "FP32", np.dtype("float32"), (1, 3), batched=True)}


def binary(items: int, **more: Any) -> tuple[bytes, bytes]:
    """The JSON of a request in bytes, and its length as the header has it."""
    x = {"name": "x", "shape": [items, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12 * items}}
    document = json.dumps({"inputs": [x], "parameters": {"binary_data_output": True}, **more}).encode()
    return document, b"%d" % len(document)


def calls() -> Calls:
    return Calls("model", "1", X, Y, 8)


def test_a_call_whose_json_is_known_has_its_own_tensors_and_the_same_answer() -> None:
    known = calls()
    for items in (1, 2):
        document, length = binary(items)
        answers = []
        for _ in range(3):
            x = np.random.default_rng().random((items, 3), np.float32)
            call = known.read(document + x.tobytes(), length)
            np.testing.assert_array_equal(call.inputs["x"], x)
            assert call.items == items
            headers, body = known.answer(call, [{"y": x}])
            assert isinstance(body, bytes)
            assert body.endswith(x.tobytes())
            answers.append((headers, body[: -x.nbytes]))
        assert answers[0] == answers[1] == answers[2]
    assert len(known._known) == 2


def test_a_call_whose_json_is_known_is_checked_like_any_other() -> None:
    known = calls()
    document, length = binary(1)
    known.read(document + bytes(12), length)
    for body, header, wrong in (
        (document + bytes(16), length, "4 bytes follow the JSON"),
        (document + bytes(8), length, "12 bytes are announced, and 8 follow"),
        (document + bytes(12), b"9999", "is 9999, but the body has"),
        (document + bytes(12), b"+10", "must be a number of bytes"),
    ):
        with pytest.raises(Refused, match=wrong.replace("+", r"\+")):
            known.read(body, header)


def test_calls_with_names_and_numbers_in_json_are_not_kept_and_the_others_are_bounded() -> None:
    known = calls()
    document, length = binary(1, id="one")
    for _ in range(2):
        assert known.read(document + bytes(12), length).id == "one"
    in_json = json.dumps({"inputs": [tensor("x", [ROW])]}).encode()
    for _ in range(2):
        call = known.read(in_json, b"%d" % len(in_json))
        assert call.inputs["x"].tolist() == [ROW]
        assert known.answer(call, [{"y": call.inputs["x"]}])[0][0] == (b"content-type", b"application/json")
    assert not known._known
    for number in range(3 * KEPT):
        document, length = binary(1, more=number)
        known.read(document + bytes(12), length)
    assert 0 < len(known._known) <= KEPT
