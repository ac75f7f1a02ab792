"""The server's answers, asked for without a network."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("orjson")

from tests.serving import Answer, affine, application, ask, infer, tensor
from webnn.errors import ValidationError
from webnn.runtime.context import MLContext
from webnn.runtime.ml import ML
from webnn.serving.application import Application
from webnn.serving.repository import Served

pytestmark = pytest.mark.asyncio

X = tensor("x", [[1.0, 2.0, 3.0]])
Z = tensor("z", [[0.5, 0.5, 0.5]])
INFER = "/v2/models/affine/infer"


@pytest.fixture
def context() -> Iterator[MLContext]:
    with ML().create_context(backend="arrays", max_batch=8) as context:
        yield context


@pytest.fixture
def app(context: MLContext) -> Application:
    return application(affine(context), affine(context, version="10"), affine(context, version="9"))


async def test_the_metadata_of_the_server_and_of_a_model(app: Application) -> None:
    server = (await ask(app, "/v2")).json
    assert server == {"name": "webnn", "version": "0", "extensions": ["binary_tensor_data", "model_repository"]}
    model = (await ask(app, "/v2/models/affine")).json
    assert model == {
        "name": "affine",
        "versions": ["1", "9", "10"],
        "platform": "webnn",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "z", "datatype": "FP32", "shape": [-1, 3]},
        ],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }
    assert (await ask(app, "/v2/models/affine/versions/9")).json == model


async def test_health_and_the_index_tell_of_a_server_that_stops(app: Application) -> None:
    ready = ("/v2/health/ready", "/v2/models/affine/ready", "/v2/models/affine/versions/1/ready")
    assert [(await ask(app, path)).status for path in ready] == [200, 200, 200]
    rows = (await ask(app, "/v2/repository/index", b"")).json
    assert [(row["name"], row["version"], row["state"]) for row in rows] == [
        ("affine", "1", "READY"),
        ("affine", "9", "READY"),
        ("affine", "10", "READY"),
    ]
    app.draining = True
    assert [(await ask(app, path)).error for path in ready] == ["the server is shutting down"] * 3
    assert (await ask(app, "/v2/health/live")).status == 200
    assert {row["state"] for row in (await ask(app, "/v2/repository/index", b"")).json} == {"UNAVAILABLE"}


async def test_a_request_in_json(app: Application) -> None:
    answer = await infer(app, X, Z, id="seven")
    assert answer.status == 200
    assert answer.json == {
        "model_name": "affine",
        "model_version": "10",
        "id": "seven",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [2.5, 4.5, 6.5]}],
    }


async def test_numbers_may_be_flat_and_their_inputs_in_any_order(app: Application) -> None:
    flat = {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]}
    answer = await infer(app, tensor("z", [[0.0] * 3] * 2), flat)
    assert answer.json["outputs"][0]["shape"] == [2, 3]
    assert answer.json["outputs"][0]["data"] == [2, 4, 6, 8, 10, 12]


async def test_bytes_in_and_out(app: Application) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = [
        {"name": "z", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}},
        tensor("x", x.tolist()),
    ]
    outputs = [{"name": "y", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": tensors, "outputs": outputs}).encode()
    answer = await ask(
        app, INFER, head + np.ones((2, 3), np.float32).tobytes(), {"Inference-Header-Content-Length": str(len(head))}
    )
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 24}
    np.testing.assert_array_equal(np.frombuffer(answer.body[length:], np.float32).reshape(2, 3), 2 * x + 1)


async def test_a_body_that_is_nothing_but_the_bytes_of_the_only_input(context: MLContext) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.input("x", [1, 2], "int32") + 1})
    app = application(Served("next", "1", graph, batched=True))
    body = np.arange(6, dtype=np.int32).tobytes()
    answer = await ask(app, "/v2/models/next/infer", body, {"Inference-Header-Content-Length": "0"})
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:length])["outputs"][0]["shape"] == [3, 2]
    assert np.frombuffer(answer.body[length:], np.int32).tolist() == [1, 2, 3, 4, 5, 6]


async def test_a_request_names_the_outputs_that_it_wants(context: MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [1, 1], "float32")
    app = application(Served("two", "1", builder.build({"a": builder.neg(x), "b": builder.abs(x)})))
    listed = (await infer(app, tensor("x", [[-2.0]]), model="two", outputs=[{"name": "b"}])).json["outputs"]
    assert [(each["name"], each["data"]) for each in listed] == [("b", [2.0])]
    listed = (await infer(app, tensor("x", [[-2.0]]), model="two")).json["outputs"]
    assert [each["name"] for each in listed] == ["a", "b"]


async def test_numbers_that_json_lacks_go_both_ways(app: Application) -> None:
    answer = await infer(app, tensor("x", [[math.nan, math.inf, 1.0]]), Z)
    assert answer.body.count(b"NaN") == 1
    assert answer.body.count(b"Infinity") == 1
    values = answer.json["outputs"][0]["data"]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, 2.5]


@pytest.mark.parametrize(
    ("datatype", "dtype", "values"),
    [
        ("FP16", "float16", [65504, -1.5]),
        ("INT8", "int8", [-128, 127]),
        ("UINT8", "uint8", [0, 255]),
        ("INT32", "int32", [-(2**31), 2**31 - 1]),
        ("UINT32", "uint32", [0, 2**32 - 1]),
        ("INT64", "int64", [-(2**63), 2**63 - 1]),
        ("UINT64", "uint64", [1, 2**64 - 1]),
    ],
)
async def test_each_data_type_keeps_its_values(context: MLContext, datatype: str, dtype: Any, values: Any) -> None:
    app = same(context, 2, dtype)
    outputs = (await infer(app, tensor("x", values, datatype), model="same")).json["outputs"]
    assert outputs == [{"name": "y", "datatype": datatype, "shape": [2], "data": values}]


def same(context: MLContext, elements: int, of_model: Any) -> Application:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.identity(builder.input("x", [elements], of_model))})
    return application(Served("same", "1", graph))


@pytest.mark.parametrize("count", [1, 20_000])  # the JSON of a long one is read in steps
@pytest.mark.parametrize(
    ("datatype", "of_model", "values", "sent"),
    [
        ("BOOL", "uint8", [True, False], np.array([1, 0], np.uint8)),
        ("INT16", "int32", [-(2**15), 2**15 - 1], np.array([-(2**15), 2**15 - 1], "<i2")),
        ("UINT16", "int32", [0, 2**16 - 1], np.array([0, 2**16 - 1], "<u2")),
        ("BF16", "float32", [1.5, -2.5], np.array([0x3FC0, 0xC020], "<u2")),
    ],
)
async def test_types_that_webnn_lacks_are_taken_where_the_model_has_a_wider_one(
    context: MLContext, datatype: str, of_model: Any, values: Any, *, sent: Any, count: int
) -> None:
    app = same(context, 2 * count, of_model)
    answer = await infer(app, tensor("x", values * count, datatype), model="same")
    assert answer.json["outputs"][0]["data"] == values * count
    if datatype.endswith("INT16"):
        beyond = await infer(app, tensor("x", [values[1] + 1, 0] * count, datatype), model="same")
        assert f"{values[1] + 1} is out of the range of {datatype}" in beyond.error

    content = sent.tobytes() * count

    async def answer_to(size: int) -> Answer:
        given = {"name": "x", "shape": [2 * count], "datatype": datatype, "parameters": {"binary_data_size": size}}
        head = json.dumps({"inputs": [given]}).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        return await ask(app, "/v2/models/same/infer", head + content, length)

    for _ in range(2):  # the second time, the JSON is known
        assert (await answer_to(len(content))).json["outputs"][0]["data"] == values * count
    wrong = await answer_to(len(content) + 2)
    assert f"{datatype} [{2 * count}] takes {len(content)} bytes, got {len(content) + 2}" in wrong.error


async def test_the_deepest_nesting_is_that_of_the_shape(context: MLContext) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.neg(builder.input("x", [1, 2, 2, 1], "float32"))})
    app = application(Served("deep", "1", graph))
    nested = [[[[1.0], [2.0]], [[3.0], [4.0]]]]
    assert (await infer(app, tensor("x", nested), model="deep")).json["outputs"][0]["data"] == [-1, -2, -3, -4]
    for wrong in ([[[[1.0, 2.0]], [[3.0], [4.0]]]], [[[1.0, 2.0], [3.0, 4.0]]], [[[[1.0], [2.0]], [[3.0], 4.0]]]):
        given = {"name": "x", "shape": [1, 2, 2, 1], "datatype": "FP32", "data": wrong}
        assert "nested as its shape" in (await infer(app, given, model="deep")).error


def changed(**changes: Any) -> dict[str, Any]:
    return {**X, **changes}


REFUSALS: list[tuple[Any, str]] = [
    ([X], "the request lacks the input 'z'"),
    ([X, Z, X], "input 'x' is given twice"),
    ([X, tensor("w", [[1.0]])], "the model has no input named 'w'; it has 'x', 'z'"),
    ([X, 5], "each input must be a JSON object, got 5"),
    ([X, {}], "the model has no input named null"),
    ([changed(datatype="FP64"), Z], "the model takes FP32, got 'FP64'; WebNN has no float64: send FP32"),
    ([changed(datatype="BYTES"), Z], "the model takes FP32, got 'BYTES'; WebNN has no strings: send numbers"),
    ([changed(datatype="INT32"), Z], "the model takes FP32, got 'INT32'"),
    ([changed(datatype=["FP32"]), Z], "the model takes FP32, got a list of 1"),
    ([changed(shape=[1, 4]), Z], r"the shape must be [-1, 3], got [1, 4]"),
    ([changed(shape=[3]), Z], r"the shape must be [-1, 3], got [3]"),
    ([changed(shape=[0, 3]), Z], r"the shape [0, 3] has no items, at least 1 is needed"),
    ([changed(shape=[-1, 3]), Z], r"the shape must be [-1, 3], got [-1, 3]"),
    ([changed(shape=[True, 3]), Z], r"the shape must be [-1, 3], got a list of 2"),
    ([changed(shape=[1.0, 3]), Z], r"the shape must be [-1, 3], got [1.0, 3]"),
    ([changed(shape=[10**9, 3]), Z], "1000000000 items, at most 256 are taken at once"),
    ([changed(shape=None), Z], r"the shape must be [-1, 3], got null"),
    ([changed(shape=[2, 3]), Z], "shape [2, 3]"),
    ([tensor("x", [[1.0] * 3] * 2), Z], "input 'z' has 1 items, and an input before it has 2"),
    ([changed(data=[1.0, 2.0]), Z], "shape [1, 3] takes 3 numbers, got 2"),
    ([changed(data=[1.0, None, 2.0]), Z], "FP32 takes numbers, got null"),
    ([changed(data=[1.0, "2.0", 3.0]), Z], "FP32 takes numbers, got '2.0'"),
    ([changed(data=[1.0, [2.0], 3.0]), Z], "FP32 takes numbers, got [2.0]"),
    ([changed(data=[1.0, {}, 3.0]), Z], "FP32 takes numbers, got an object"),
    ([changed(data=[1.0, 1e39, 3.0]), Z], "1e+39 is out of the range of FP32, -3.4028235e+38 to 3.4028235e+38"),
    ([changed(data="AAAA"), Z], "\"data\" must be a list of numbers, got 'AAAA'"),
    ([{"name": "x", "shape": [1, 3], "datatype": "FP32"}, Z], "has neither"),
    ([changed(parameters={"binary_data_size": 12}), Z], "has both"),
    ([changed(parameters=3), Z], '"parameters" must be a JSON object, got 3'),
    ([changed(parameters={"shared_memory_region": "a"}), Z], "tensors in shared memory are not supported"),
]


@pytest.mark.parametrize(("inputs", "message"), REFUSALS)
async def test_tensors_that_do_not_fit_are_refused(app: Application, inputs: Any, message: str) -> None:
    answer = await infer(app, *inputs)
    assert answer.status == 400
    assert message in answer.error


@pytest.mark.parametrize(
    ("datatype", "values", "message"),
    [
        ("INT8", [1, 128], "128 is out of the range of INT8, -128 to 127"),
        ("INT64", [1, 2**63], f"{2**63} is out of the range of INT64"),
        ("UINT64", [1, -1], "-1 is out of the range of UINT64, 0 to 18446744073709551615"),
        ("UINT8", [1, -1], "-1 is out of the range of UINT8"),
        ("INT32", [1, 1.5], "INT32 takes integers, got 1.5"),
        ("FP16", [1, 65536], "65536.0 is out of the range of FP16, -65504 to 65504"),
    ],
)
async def test_numbers_out_of_range_are_refused(
    context: MLContext, datatype: str, values: list[Any], message: str
) -> None:
    dtype: Any = {"FP16": "float16"}.get(datatype, datatype.lower())
    builder = context.create_graph_builder()
    app = application(Served("same", "1", builder.build({"y": builder.identity(builder.input("x", [2], dtype))})))
    answer = await infer(app, tensor("x", values, datatype), model="same")
    assert answer.status == 400
    assert message in answer.error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the request is not valid JSON"),
        (b"[1, 2", "the request is not valid JSON"),
        (b"[" * 5000, "the request is not valid JSON: "),
        (b"[" * 60_000 + b"NaN", "it is nested too deeply"),
        (b"\xff\xfe", "the request is not valid JSON"),
        (b"NaN,", "the request is not valid JSON"),
        (b"3", "the request must be a JSON object, got 3"),
        (b"null", "the request must be a JSON object, got null"),
        (b"{}", '"inputs" must be a list of tensors, got null'),
        (b'{"inputs": {"x": 1}}', '"inputs" must be a list of tensors, got an object'),
        (b'{"inputs": [1' + b"0" * 5000 + b"]}", "the request is not valid JSON"),
    ],
)
async def test_bodies_that_are_no_request_are_refused(app: Application, body: bytes, message: str) -> None:
    answer = await ask(app, INFER, body)
    assert answer.status == 400
    assert message in answer.error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"id": 3}, '"id" must be a text, got 3'),
        ({"parameters": [1]}, '"parameters" must be a JSON object, got [1]'),
        ({"parameters": {"timeout": -1}}, "'timeout' must be a number of microseconds, got -1"),
        ({"parameters": {"sequence_id": 4}}, "sequences are not supported"),
        ({"parameters": {"binary_data_output": "yes"}}, "must be true or false, got 'yes'"),
        ({"outputs": {}}, '"outputs" must be a list, got an object'),
        ({"outputs": [{"name": "nope"}]}, "the model has no output named 'nope'; it has 'y'"),
        ({"outputs": [{"name": "y"}, {"name": "y"}]}, "output 'y' is wanted twice"),
        ({"outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classes are not computed here"),
    ],
)
async def test_what_else_a_request_says_is_checked(app: Application, more: Any, message: str) -> None:
    answer = await infer(app, X, Z, **more)
    assert answer.status == 400
    assert message in answer.error


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ("999999", "is 999999, but the body has"),
        ("-1", "must be a number of bytes, got '-1'"),
        ("1_0", "must be a number of bytes"),
        ("9" * 5000, "must be a number of bytes"),
        ("\xb2", "must be a number of bytes"),
        ("5", "the request is not valid JSON"),
        ("0", "a body without JSON is for models of one input; this one has 2"),
    ],
)
async def test_a_header_length_of_another_request_is_refused(app: Application, length: str, message: str) -> None:
    body = json.dumps({"inputs": [X, Z]}).encode()
    answer = await ask(app, INFER, body, {"Inference-Header-Content-Length": length})
    assert answer.status == 400
    assert message in answer.error


@pytest.mark.parametrize(
    ("size", "follow", "message"),
    [
        (12, 12, ""),
        (12, 8, "12 bytes are announced, and 8 follow the JSON"),
        (12, 13, "1 bytes follow the JSON and the binary tensors that it announces"),
        (8, 8, "takes 12 bytes, got 8"),
        (10**30, 8, "takes 12 bytes, got 1"),
        (-12, 8, "takes 12 bytes, got -12"),
        ("12", 12, "takes 12 bytes, got '12'"),
    ],
)
async def test_lengths_of_binary_tensors_are_checked(app: Application, size: Any, follow: int, message: str) -> None:
    x = {"name": "x", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [x, Z]}).encode()
    answer = await ask(app, INFER, head + bytes(follow), {"Inference-Header-Content-Length": str(len(head))})
    assert answer.status == (400 if message else 200)
    if message:
        assert message in answer.error


async def test_a_stale_header_length_is_ignored_where_there_is_no_body(app: Application) -> None:
    assert (await ask(app, "/v2/models/affine", headers={"Inference-Header-Content-Length": "77"})).status == 200


@pytest.mark.parametrize(
    ("path", "method", "status", "message"),
    [
        ("/v2/models/other/infer", "POST", 404, "there is no model named 'other'"),
        ("/v2/models/other", "GET", 404, "there is no model named 'other'"),
        ("/v2/models/affine/versions/2", "GET", 404, "has no version '2'; it has 1, 9, 10"),
        ("/v2/models/affine/versions/../infer", "POST", 404, "has no version '..'"),
        ("/v2/models/../../etc/passwd", "GET", 404, "there is nothing at this path"),
        ("/v2/models//etc/passwd/infer", "POST", 404, "there is nothing at this path"),
        ("/v2/repository/models/affine/load", "POST", 400, "no request loads or unloads one"),
        ("/v2/models/affine/infer", "GET", 405, "this path does not take GET, but POST"),
        ("/v2/models/affine", "DELETE", 405, "this path does not take DELETE, but GET"),
        ("/nope", "PATCH", 404, "there is nothing at this path; GET /openapi.json lists the paths"),
        ("/v2/", "GET", 404, "there is nothing at this path"),
    ],
)
async def test_paths_that_lead_nowhere(app: Application, path: str, method: str, status: int, message: str) -> None:
    answer = await ask(app, path, b"{}", method=method)
    assert answer.status == status
    assert message in answer.error


async def test_a_body_that_comes_in_parts_or_is_too_large(app: Application) -> None:
    body = json.dumps({"inputs": [X, Z]}).encode()
    assert (await ask(app, INFER, body, parts=5)).status == 200
    padded = body + b" " * (app.inferences[0].max_body - len(body))
    assert (await ask(app, INFER, padded, parts=5)).status == 200
    for headers in ({}, {"content-length": "1"}):  # a length that is not true comes from no server, but costs nothing
        answer = await ask(app, INFER, padded + b" ", headers, parts=5)
        assert answer.status == 413
        assert f"the body is larger than {app.inferences[0].max_body} bytes" in answer.error
    assert app.shared.memory.bodies == 0


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_that_says_that_it_is_not_compressed_is_taken(app: Application, coding: str) -> None:
    body = json.dumps({"inputs": [X, Z]}).encode()
    assert (await ask(app, INFER, body, {"Content-Encoding": coding})).status == 200


async def test_a_compressed_body_is_refused(app: Application) -> None:
    answer = await ask(app, INFER, b"x", {"Content-Encoding": "gzip"})
    assert (answer.status, answer.error) == (
        415,
        "compressed requests are not supported: send it without Content-Encoding",
    )


async def test_the_only_transfer_coding_is_chunked(app: Application) -> None:
    answer = await ask(app, INFER, b"x", {"Transfer-Encoding": "gzip, chunked"})
    assert (answer.status, answer.error) == (501, "the only transfer coding is chunked, got 'gzip, chunked'")


async def test_models_of_one_name_and_version_are_refused(context: MLContext) -> None:
    with pytest.raises(ValidationError, match="two models are named 'affine', version 1"):
        application(affine(context), affine(context))


async def test_a_model_whose_items_depend_on_each_other_has_no_open_dimension(context: MLContext) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.softmax(builder.input("x", [1, 2], "float32"), axis=0)})
    with pytest.raises(ValidationError, match="mixed: items depend on each other: softmax"):
        Served("mixed", "1", graph, batched=True)
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.neg(builder.input("x", [2, 2], "float32"))})
    with pytest.raises(ValidationError, match=r"'x' must be of one item, got shape \[2, 2\]"):
        Served("pair", "1", graph, batched=True)


async def test_the_rest_is_answered_at_once_when_the_server_stops_for_good(app: Application) -> None:
    waiting = asyncio.create_task(infer(app, X, Z))
    await asyncio.sleep(0)
    assert len(app.shared.exchanges) == 1  # its run is on a lane, since the cost of the graph is not known yet
    app.shared.stop()
    answer = await waiting
    assert (answer.status, answer.error) == (503, "the server is shutting down")
    assert answer.headers["retry-after"] == "1"
    assert not app.shared.exchanges


@pytest.mark.asyncio
async def test_one_request_that_is_not_for_a_run_begins_in_each_turn_of_the_event_loop(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = 0

    async def others(*_: Any) -> None:
        nonlocal begun
        begun += 1

    monkeypatch.setattr(app, "_others", others)
    asking = asyncio.gather(*(app({"type": "http", "method": "GET", "path": "/v2"}, *[None] * 2) for _ in range(5)))  # type: ignore[arg-type]
    before = 0
    while not asking.done():
        await asyncio.sleep(0)
        assert begun - before <= 1
        before = begun
    assert begun == 5
