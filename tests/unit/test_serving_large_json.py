"""Long JSON is read and written a little at a time, as it would be at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("orjson")

from webnn.serving import large_answers, large_requests
from webnn.serving.large_answers import answer_in_parts
from webnn.serving.large_requests import BESIDE, LONG, call_in_steps
from webnn.serving.protocol import DATATYPES, Port, Refused
from webnn.serving.tensors import Call, answer, call_of
from webnn.serving.turns import at_once, in_turns

DTYPES = {DATATYPES[name]: np.dtype(name) for name in DATATYPES}


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    """Short arrays count as long, and the pieces are short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_requests, "LONG", 40)
        patch.setattr(large_requests, "PIECE", 256)
        patch.setattr(large_requests, "_WINDOW", 100)
        patch.setattr(large_answers, "NUMBERS", 7)
        yield


def outcome(call: Any) -> Any:
    """What a call has, or the status of its refusal."""
    try:
        read = call()
    except Refused as refused:
        return refused.status
    return read.id, read.items, {name: (x.dtype, x.shape, x.tobytes()) for name, x in read.inputs.items()}


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, dict[str, Port]]:
    """A request, right or wrong, and the inputs of its model."""
    datatype = draw(st.sampled_from(sorted(DTYPES)))
    dtype = DTYPES[datatype]
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    batched = draw(st.booleans())
    port = Port("x", datatype, dtype, (1, *shape[1:]) if batched else tuple(shape), batched)
    random = np.random.default_rng(draw(st.integers(0, 99)))
    values = np.abs(random.standard_normal(shape) * 50).astype(dtype)
    data = (values if draw(st.booleans()) else values.reshape(-1)).tolist()
    if draw(st.booleans()):  # something else somewhere
        at = data
        while isinstance(at[0], list) and draw(st.booleans()):
            at = at[draw(st.integers(0, len(at) - 1))]
        odd: Any = st.sampled_from(
            [None, True, "a", {}, [], [1], 1.5, 300, -1, 2**70, [1, 2], float("nan"), 1e39, 1e400]
        )
        at[draw(st.integers(0, len(at) - 1))] = draw(odd)
    entries = [
        {"name": "x", "datatype": datatype, "shape": shape, "data": data, "note": 'a "[1, 2]\\'},
        {"name": "z", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]},
    ]
    document = {"id": 'é[1,"2]', "inputs": draw(st.permutations(entries))}
    text = json.dumps(document, indent=draw(st.sampled_from([None, 1])), ensure_ascii=False)
    if draw(st.booleans()):
        i = draw(st.integers(0, len(text) - 1))
        text = text[:i] + draw(st.sampled_from(["", *',[]1 "}{'])) + text[i + 1 :]
    return text.encode(), {"x": port, "z": Port("z", "FP32", np.dtype(np.float32), (3,), False)}


@given(documents())
def test_a_request_is_read_as_at_once(given: tuple[bytes, dict[str, Port]]) -> None:
    text, inputs = given
    for body in (text, bytearray(text)):
        in_steps = outcome(lambda body=body: at_once(call_in_steps(body, len(body), inputs, {}, 8)))
        assert in_steps == outcome(lambda: call_of(text, None, inputs, {}, 8))


def floats(*shape: int) -> dict[str, Port]:
    return {"x": Port("x", "FP32", np.dtype(np.float32), shape, False)}


def asking(data: str, *shape: int) -> bytes:
    return f'{{"inputs": [{{"name": "x", "datatype": "FP32", "shape": {list(shape)}, "data": {data}}}]}}'.encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 5000, "with something else than numbers"),
        (b'{"inputs": [' + b"{}," * BESIDE + b"{}]}", f"more than {BESIDE} bytes beside arrays of numbers"),
        (b'{"id": "' + b"\\" * 2 * BESIDE + b'"}', f"more than {BESIDE} bytes beside arrays of numbers"),
        (b" " * (BESIDE + 1), f"more than {BESIDE} bytes beside arrays of numbers"),
        (b'{"id": [' + b"1," * LONG + b'1], "inputs": []}', "that is not the data of an input"),
        (asking("[" + "1," * LONG + "]", LONG), "the request is not valid JSON"),
        (asking("[" + "1," * 90 + "1]", 90), r"shape \[90\] takes 90 numbers, got more"),
        (asking("[" + "1," * 90 + "1]", 92), r"shape \[92\] takes 92 numbers, got 91"),
        (asking("[1" + " " * 9 * LONG + ", 2]", 2), "lacks a number"),
        (asking("[" + "[1,2]," * 44 + "[1],2]", 45, 2), r"must be flat, or nested as its shape \[45, 2\]"),
        (asking("[" + "1," * 89 + "[1]]", 90), r"must be flat, or nested as its shape \[90\]"),
        (asking("[[" + "1," * 89 + "1]", 90), r"must be flat, or nested as its shape \[90\]"),
        (asking("[" + "1 1," * 44 + "1 1]", 90), "the request is not valid JSON"),
        (asking("[" + "[1][1]," * 44 + "[1][1]]", 90, 1), "the request is not valid JSON"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_array_of_numbers_is_refused(body: bytes, message: str) -> None:
    shape = json.loads(body[body.index(b"[", 40) : body.index(b"]") + 1]) if b'"shape"' in body else [1]
    with pytest.raises(Refused, match=message):
        at_once(call_in_steps(body, len(body), floats(*shape), {}, 8))


def test_what_follows_the_json_is_not_read() -> None:
    text = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}]}'
    with pytest.raises(Refused, match="9 bytes follow"):
        at_once(call_in_steps(text + b'[[["{{{}]' + bytes(8), len(text), floats(2), {}, 8))


@given(st.integers(1, 3), st.sampled_from(sorted(DTYPES)), st.booleans(), st.booleans(), st.sampled_from([None, "é"]))
def test_an_answer_is_written_as_at_once(items: int, datatype: str, finite: bool, binary: bool, name: str) -> None:
    dtype = DTYPES[datatype]
    y, z = Port("y", datatype, dtype, (1, 5, 3), True), Port("z", "FP32", np.dtype(np.float32), (1, 2), True)
    random = np.random.default_rng(items)
    results = [
        {"y": (random.random(y.shape) * 9).astype(dtype), "z": random.random(z.shape, "f4")} for _ in range(items)
    ]
    if not finite:
        results[-1]["z"][0, 1] = np.nan
    call = Call(name, {}, items, [(y, binary), (z, False)], None)
    headers, parts = at_once(answer_in_parts("model", "2", call, results))
    joined = {port: np.concatenate([each[port] for each in results]) for port in ("y", "z")}
    expected_headers, expected = answer("model", "2", call, joined)
    assert not isinstance(parts, bytes)
    body = b"".join(parts)
    assert headers == [(key, dict(headers)[key]) for key, _ in expected_headers]
    assert dict(headers)[b"content-length"] == b"%d" % len(body)
    binaries = sum(each["y"].nbytes for each in results) if binary else 0
    assert body[len(body) - binaries :] == expected[len(expected) - binaries :]
    document, other = (json.loads(text[: len(text) - binaries]) for text in (body, expected))
    for output, same in zip(document["outputs"], other["outputs"], strict=True):
        if "data" in output:  # a NaN among numbers makes them longer, and no other numbers
            numbers, same_numbers = (np.array(each.pop("data"), np.float32) for each in (output, same))
            np.testing.assert_array_equal(numbers, same_numbers)
    assert document == other


@pytest.mark.asyncio
async def test_long_work_takes_turns_with_the_event_loop_and_with_other_work() -> None:
    order: list[str] = []

    def work(name: str) -> Any:
        for _ in range(3):
            order.append(name)
            until = asyncio.get_running_loop().time() + 0.001  # longer than a turn
            while asyncio.get_running_loop().time() < until:
                pass
            yield
        return name

    async def other() -> None:
        while len(order) < 8:
            order.append("other")
            await asyncio.sleep(0)

    lock = asyncio.Lock()
    first, second, _ = await asyncio.gather(in_turns(work("a"), lock), in_turns(work("b"), lock), other())
    assert (first, second) == ("a", "b")
    assert [each for each in order if each != "other"] == ["a", "b"] * 3
    assert all("other" in order[i : i + 3] for i in range(5))
