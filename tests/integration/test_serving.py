"""`webnn serve` as a process, asked by the clients that people use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.trace_format import problems

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
triton = pytest.importorskip("tritonclient.http")
triton_aio = pytest.importorskip("tritonclient.http.aio")
InferenceServerException = pytest.importorskip("tritonclient.utils").InferenceServerException

ROOT: Final = Path(__file__).resolve().parents[2]
WEIGHT: Final = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)
X: Final = np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32)


def layer(path: Path, factor: float = 1.0) -> Path:
    """A model with an open number of items: `y = factor * relu(x @ weight)`."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph(nodes, "layer", [x], [y], [numpy_helper.from_array(factor * WEIGHT, "w")])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def half(path: Path) -> Path:
    """A model in float16 for one shape: `y = x + x`."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT16, [2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "half", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


@contextmanager
def serving(*words: str | Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server's address, `HOST:PORT`, and its process, which is killed at the end if it has not ended by then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "webnn", "serve", *map(str, words), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        text = ""
        for line in process.stdout:
            text += line
            if line == "}\n":
                break
        else:
            pytest.fail(process.communicate()[1])
        yield json.loads(text)["address"].removeprefix("http://"), process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    layer(folder / "layer" / "1" / "model.onnx")
    layer(folder / "layer" / "2" / "model.onnx", 2.0)
    half(folder / "half.onnx")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(folder) as (address, _):
        yield address


def inputs(http: Any, values: np.ndarray[Any, Any], *, binary: bool, datatype: str = "FP32") -> list[Any]:
    tensor = http.InferInput("x", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return [tensor]


EXPECTED: Final = np.maximum(X @ WEIGHT, 0)


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
def test_the_triton_client(address: str, binary: bool) -> None:
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("layer")
        assert client.is_model_ready("layer", "1")
        assert not client.is_model_ready("layer", "3")
        assert client.get_server_metadata()["name"] == "webnn"
        assert client.get_model_metadata("layer")["versions"] == ["1", "2"]
        index = {(row["name"], row["version"]): row["state"] for row in client.get_model_repository_index()}
        assert index == {("half", "1"): "READY", ("layer", "1"): "READY", ("layer", "2"): "READY"}
        wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
        for version, factor in (("1", 1), ("2", 2), ("", 2)):
            result = client.infer(
                "layer", inputs(triton, X, binary=binary), version, outputs=wanted, request_id="a", timeout=5_000_000
            )
            np.testing.assert_allclose(result.as_numpy("y"), factor * EXPECTED, rtol=1e-5, atol=1e-5)
            assert result.get_response()["id"] == "a"
        halves = np.array([0.1, -3], np.float16)
        result = client.infer("half", inputs(triton, halves, binary=True, datatype="FP16"), outputs=wanted)
        assert result.as_numpy("y").tolist() == (halves + halves).tolist()


def test_the_triton_client_sees_errors_with_our_words(address: str) -> None:
    with triton.InferenceServerClient(address) as client:
        with pytest.raises(InferenceServerException, match="there is no model named 'other'"):
            client.infer("other", inputs(triton, X, binary=True))
        with pytest.raises(InferenceServerException, match=r"the shape must be \[-1, 16\], got \[3, 15\]"):
            client.infer("layer", inputs(triton, X[:, :15].copy(), binary=True))
        with pytest.raises(InferenceServerException, match="no request loads or unloads one"):
            client.load_model("layer")
        texts = np.array([b"a", b"b"], np.object_)
        with pytest.raises(InferenceServerException, match="WebNN has no strings"):
            client.infer("half", inputs(triton, texts, binary=True, datatype="BYTES"))
        bits = np.array([1, 2], ml_dtypes.bfloat16)
        with pytest.raises(InferenceServerException, match="WebNN has no bfloat16"):
            client.infer("half", inputs(triton, bits, binary=True, datatype="BF16"))


def test_headers_that_the_triton_client_has_kept_do_no_harm(address: str) -> None:
    """The client changes the dictionary that it is given, and sends the length of one request with the next one."""
    headers: dict[str, str] = {}
    with triton.InferenceServerClient(address) as client:
        client.infer("layer", inputs(triton, X, binary=True), headers=headers)
        assert client.get_model_metadata("layer", headers=headers)["name"] == "layer"
        headers["Inference-Header-Content-Length"] = "7"
        with pytest.raises(InferenceServerException, match="not valid JSON"):
            client.infer("layer", inputs(triton, X, binary=False), headers=headers)


@pytest.mark.asyncio
@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
async def test_the_asyncio_client_of_triton(address: str, binary: bool) -> None:
    async with triton_aio.InferenceServerClient(address) as client:
        assert await client.is_server_ready()
        assert (await client.get_model_metadata("layer"))["platform"] == "webnn"
        wanted = [triton_aio.InferRequestedOutput("y", binary_data=binary)]
        result = await client.infer("layer", inputs(triton_aio, X, binary=binary), "1", outputs=wanted)
        np.testing.assert_allclose(result.as_numpy("y"), EXPECTED, rtol=1e-5, atol=1e-5)
        with pytest.raises(InferenceServerException, match="there is no model named 'other'"):
            await client.infer("other", inputs(triton_aio, X, binary=binary))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_exit_code_0(folder: Path, number: signal.Signals) -> None:
    with serving(folder / "half.onnx") as (address, process):
        with triton.InferenceServerClient(address) as client:
            assert client.is_server_ready()
            process.send_signal(number)
            assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("seconds", ["0.2", "100"], ids=["written while it serves", "written at the end"])
def test_a_trace_of_the_first_seconds_of_work_is_written(folder: Path, tmp_path: Path, seconds: str) -> None:
    path = tmp_path / "trace.json"
    with serving(folder / "half.onnx", "--trace", path, "--trace-seconds", seconds) as (address, process):
        with triton.InferenceServerClient(address) as client:
            values = np.array([0.1, -3], np.float16)
            for _ in range(3):
                client.infer("half", inputs(triton, values, binary=True, datatype="FP16"))
            if seconds == "0.2":
                until = time.monotonic() + 30
                while not (path.exists() and path.read_text().endswith("}")):
                    assert time.monotonic() < until, "no trace was written"
                    time.sleep(0.01)
                assert client.is_server_ready()
        process.terminate()
        assert process.wait(20) == 0
    trace = json.loads(path.read_text())
    assert problems(trace) == []
    assert sum(event["ph"] == "X" and "half/1" in str(event) for event in trace["traceEvents"]) >= 3


def test_a_size_is_for_the_models_that_have_the_dimension(folder: Path) -> None:
    with serving(folder, "--shape", "batch=3") as (address, _):
        shapes = {}
        for name in ("layer", "half"):
            with urllib.request.urlopen(f"http://{address}/v2/models/{name}") as answer:
                shapes[name] = json.load(answer)["inputs"][0]["shape"]
    assert shapes == {"layer": [3, 16], "half": [2]}


def test_a_port_that_is_taken_is_an_error(folder: Path, address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "webnn", "serve", str(folder / "half.onnx"), "--port", address.rpartition(":")[2]],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr == f"webnn: {address}: Address already in use\n"
