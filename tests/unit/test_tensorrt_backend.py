"""The TensorRT backend on stand-ins for TensorRT and CUDA: models, engines, caches, cancellation. No device is run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webnn
from tests import nvidia
from tests.conformance import wpt
from tests.conformance.test_wpt_conformance import outputs_of
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.cuda.lending import LentArray
from webnn.backends.cuda.memory import CudaAllocator
from webnn.backends.session_cache import session_cache
from webnn.backends.tensorrt import engines
from webnn.backends.tensorrt.backend import TensorRtBackend
from webnn.backends.tensorrt.engines import STRIPPED_BYTES, Refit, refit_mode
from webnn.errors import NotSupportedError, OperationError, ValidationError
from webnn.graph.ir import Graph
from webnn.memory.allocator import Allocator

CASES = wpt.parameters(wpt.conformance_cases())
EACH = 1 if os.environ.get("WEBNN_ALL_CASES") else 30
"""Of so many conformance cases, one is compiled."""
ROUGH = ("sigmoid float32", "batchNormalization")
"""Cases for which onnxruntime rounds more than they allow, without the passes of its own backend."""


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[nvidia.TensorRt]:
    monkeypatch.setenv("WEBNN_CACHE_DIR", str(tmp_path))
    yield nvidia.install(monkeypatch)
    session_cache.abandon("tensorrt")
    engines._logger.cache_clear()


def _products(context: webnn.MLContext, weights: np.ndarray[Any, Any], **labels: str) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    x = builder.input("x", [2, len(weights)], "float32")
    return builder.build({"y": builder.matmul(x, builder.constant(weights), **labels)})


def _graph(weights: np.ndarray[Any, Any]) -> Graph:
    with webnn.create_context(backend="null") as context:
        return _products(context, weights)._graph


WEIGHTS = [np.random.default_rng(i).random((64, 32), np.float32) for i in range(3)]
ONES = np.ones((2, 64), np.float32)


def test_without_tensorrt_the_reason_says_what_to_install() -> None:
    (info,) = [info for info in webnn.available_backends() if info.name == "tensorrt"]
    assert info.accelerated
    assert info.available or "tensorrt is not installed: pip install tensorrt" in info.reason


def test_an_old_version_is_refused(trt: nvidia.TensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TensorRtBackend.unavailable() is None
    monkeypatch.setattr(engines.tensorrt(), "__version__", "8.6.1")
    assert TensorRtBackend.unavailable() == "tensorrt 8.6.1 is too old: it must be 10 or newer"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device_id": "first"}, "device_id must be the number of a device, got 'first'"),
        ({"device_id": "1"}, "device_id is 1, and CUDA has 1 devices"),
        ({"fp16": "1"}, "the tensorrt backend has device_id, refit, tf32, builder_optimization_level, and no 'fp16'"),
        ({"refit": "yes"}, "refit must be one of 0, 1, got 'yes'"),
    ],
)
def test_a_wrong_option_is_refused(trt: nvidia.TensorRt, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        webnn.create_context(backend="tensorrt", backend_options=options)


# Numbers.


@pytest.mark.parametrize("case", CASES[::EACH])
def test_a_model_has_the_data_types_of_tensorrt_and_gives_the_expected_numbers(
    case: wpt.Case, trt: nvidia.TensorRt
) -> None:
    if case.stale is not None:
        pytest.skip(f"older than the specification: {case.stale}")
    with webnn.create_context(backend="tensorrt") as context:
        try:
            outputs = outputs_of(case, context)
        except (ValidationError, NotSupportedError) as error:  # data types that TensorRT lacks
            pytest.skip(str(error))
        problems = [
            wpt.problem(outputs[name], spec, case.data["tolerance"])
            for name, spec in case.data["expectedOutputs"].items()
        ]
        if any(problems) and case.name.startswith(ROUGH):
            pytest.xfail("the stand-in rounds as onnxruntime does")
        assert not any(problems), problems


def test_the_parser_of_the_stand_in_refuses_other_data_types(
    trt: nvidia.TensorRt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia, "_COMPUTED", set())
    with webnn.create_context(backend="tensorrt") as context:
        graph = _products(context, WEIGHTS[0], label="scores")
        with pytest.raises(OperationError, match=r"tensorrt: .*scores.*: MatMul does not take FLOAT"):
            context.compute(graph, ONES)


def test_bytes_go_in_and_out_by_way_of_floats(trt: nvidia.TensorRt) -> None:
    with webnn.create_context(backend="tensorrt") as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [256], "uint8")
        graph = builder.build({"y": builder.reverse(x), "same": builder.identity(x), "int": builder.cast(x, "int32")})
        given = np.arange(256, dtype=np.uint8)
        results = context.compute(graph, given)
        assert np.array_equal(results["y"], given[::-1])
        assert np.array_equal(results["same"], given)
        assert np.array_equal(results["int"], given)


def test_quantized_weights_become_floats(trt: nvidia.TensorRt) -> None:
    with webnn.create_context(backend="tensorrt") as context, webnn.create_context(backend="arrays") as reference:
        results = []
        for one in (context, reference):
            builder = one.create_graph_builder()
            weights = builder.constant(np.arange(-32, 32, dtype=np.int8).reshape(8, 8))
            scale = builder.constant(np.linspace(0.1, 1, 16, dtype=np.float32).reshape(2, 8))
            zero = builder.constant(np.arange(16, dtype=np.int8).reshape(2, 8))
            x = builder.input("x", [1, 8], "float32")
            graph = builder.build({"y": builder.matmul(x, builder.dequantize_linear(weights, scale, zero))})
            results.append(one.compute(graph, np.ones((1, 8), np.float32))["y"])
        np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda b: b.cast(b.input("x", [4], "int32"), "uint8", label="low"),
            "int32",
            r"\[low\].* TensorRT cannot cast int32 to uint8",
        ),
        (
            lambda b: b.dequantize_linear(
                b.input("x", [4], "uint8"), b.constant(np.ones(1, np.float32)), b.constant(np.ones(1, np.uint8))
            ),
            "uint8",
            "its input, scale and zero point must be constants",
        ),
    ],
)
def test_what_tensorrt_lacks_is_refused_with_the_operator(
    trt: nvidia.TensorRt, make: Any, kind: str, message: str
) -> None:
    with webnn.create_context(backend="tensorrt") as context:
        builder = context.create_graph_builder()
        with pytest.raises(NotSupportedError, match=message):
            context.compute(builder.build({"y": make(builder)}), {"x": np.ones(4, kind)})


def test_data_types_that_nothing_computes_in_are_in_no_row_of_the_limits(trt: nvidia.TensorRt) -> None:
    with webnn.create_context(backend="tensorrt") as context:
        limits = context.op_support_limits()
        assert limits["add"]["a"]["dataTypes"] == ["float32", "float16", "int32", "int64"]
        assert "uint8" in limits["where"]["condition"]["dataTypes"]
        assert {*limits["dequantizeLinear"]["input"]["dataTypes"]} == {"int8", "uint8", "int4", "uint4"}


# Runs.


def test_runs_are_queued_in_order_and_the_state_stays_on_the_device(trt: nvidia.TensorRt) -> None:
    with webnn.create_context(backend="tensorrt") as context:
        assert str(context.device) == "DeviceInfo(type='gpu', name='NVIDIA Stand-in', provider='TensorRT')"
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.input("x", [4], "float32") * 0.5 + 1})
        state = [context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2)]
        context.write_tensor(state[0], np.zeros(4, np.float32))
        for i in range(20):
            context.dispatch(graph, {"x": state[i % 2]}, {"y": state[(i + 1) % 2]})
        np.testing.assert_allclose(context.read_tensor(state[0]).result(), 2.0, rtol=1e-5)
        assert [str(row) for row in graph.explain().operators or ()] == [
            "mul: TensorRT, float32, native",
            "add: TensorRT, float32, native",
        ]
    assert context.memory_info().in_use == 0


def test_a_value_that_is_lent_stays_until_it_is_given_back(
    trt: nvidia.TensorRt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LentArray, "device_type", 1)  # the stand-in's memory is that of the host
    with webnn.create_context(backend="tensorrt") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.input("x", [4], "float32") + 1})
        x, y = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in "xy")
        arrays = []
        for i in range(5):
            context.write_tensor(x, np.full(4, i, np.float32))
            context.dispatch(graph, {"x": x}, {"y": y})
            arrays.append(np.from_dlpack(context.lend_tensor(y).result()))
        context.read_tensor(y).result()  # waits for the device
        assert [array[0] for array in arrays] == [1, 2, 3, 4, 5]
        in_use = context.memory_info().in_use
        del arrays
        context.read_tensor(y).result()
        assert context.memory_info().in_use < in_use


def test_a_backend_that_cannot_lend_says_so(trt: nvidia.TensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CudaAllocator, "lent", Allocator.lent)
    with webnn.create_context(backend="tensorrt") as context:
        tensor = context.create_tensor([4], "float32", readable=True)
        with pytest.raises(NotSupportedError, match="this backend cannot lend the memory of its device"):
            context.lend_tensor(tensor).result()


def test_a_value_on_the_cpu_is_lent_as_an_array() -> None:
    with webnn.create_context(backend="arrays") as context:
        tensor = context.create_tensor(np.arange(4000, dtype=np.float32), readable=True)
        array = np.from_dlpack(context.lend_tensor(tensor).result())
        assert np.array_equal(array, np.arange(4000))
        assert not array.flags.writeable
        hidden = context.create_tensor([4], "float32")
        with pytest.raises(ValidationError, match=r"lend_tensor: .* is not readable: create it with readable=True"):
            context.lend_tensor(hidden)


# Engines and caches.


@pytest.mark.parametrize(
    ("options", "constant_bytes", "stored", "mode"),
    [
        ({}, STRIPPED_BYTES, False, Refit.NEVER),
        ({}, STRIPPED_BYTES - 1, True, Refit.NEVER),
        ({}, STRIPPED_BYTES, True, Refit.SAME),
        ({"refit": "0"}, STRIPPED_BYTES, True, Refit.SAME),
        ({"refit": "1"}, 0, False, Refit.ANY),
        ({"refit": "1"}, STRIPPED_BYTES, True, Refit.ANY),
    ],
)
def test_an_engine_is_refitted_where_it_pays(
    options: dict[str, str], constant_bytes: int, stored: bool, mode: Refit
) -> None:
    assert refit_mode(options, constant_bytes, stored=stored) is mode


def test_other_weights_are_put_into_the_engine_of_the_same_structure(trt: nvidia.TensorRt) -> None:
    with webnn.create_context(backend="tensorrt", backend_options={"refit": "1"}) as context:
        for weights in WEIGHTS:
            result = context.compute(_products(context, weights), ONES)["y"]
            np.testing.assert_allclose(result, ONES @ weights, rtol=1e-5)
        assert (len(trt.builds), trt.refits) == (1, 3)
        assert {"REFIT", "STRIP_PLAN"} <= trt.builds[0].flags
        context.compute(_products(context, WEIGHTS[0][:32]), ONES[:, :32])
        assert len(trt.builds) == 2, "another structure"


def test_by_default_each_set_of_weights_has_its_engine(trt: nvidia.TensorRt) -> None:
    with webnn.create_context(backend="tensorrt") as context:
        for weights in WEIGHTS[:2]:
            context.compute(_products(context, weights), ONES)
    assert (len(trt.builds), trt.refits) == (2, 0)
    assert all(build.flags == {"STRICT_NANS"} for build in trt.builds)


def test_a_damaged_engine_is_built_anew(trt: nvidia.TensorRt, tmp_path: Path) -> None:
    options = {"refit": "1", "builder_optimization_level": "5", "tf32": "1"}
    with webnn.create_context(backend="tensorrt", backend_options=options) as context:
        context.compute(_products(context, WEIGHTS[0]), ONES)
        (plan,) = tmp_path.glob("tensorrt/*/*.plan")
        plan.write_bytes(b"half")
        result = context.compute(_products(context, WEIGHTS[1]), ONES)["y"]
        np.testing.assert_allclose(result, ONES @ WEIGHTS[1], rtol=1e-5)
    assert len(trt.builds) == 2
    assert trt.builds[0].builder_optimization_level == 5
    assert "TF32" in trt.builds[0].flags


def test_times_of_kernels_are_kept_for_the_next_build(trt: nvidia.TensorRt, tmp_path: Path) -> None:
    with webnn.create_context(backend="tensorrt") as context:
        context.compute(_products(context, WEIGHTS[0]), ONES)
        (times,) = tmp_path.glob("tensorrt/nvidia-stand-in-*/times.cache")
        assert times.read_bytes() == b"MatMul"
        times.write_bytes(b"Conv")  # by another process
        context.compute(_products(context, WEIGHTS[1]), ONES)
        assert times.read_bytes() == b"Conv\nMatMul"


@pytest.mark.parametrize("large", [False, True])
def test_a_stored_engine_has_its_weights_if_they_are_small(
    trt: nvidia.TensorRt, tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "STRIPPED_BYTES", WEIGHTS[0].nbytes if large else 10**9)
    graph = _graph(WEIGHTS[0])
    backend = TensorRtBackend()
    backend.check_options({})
    options, store = CompileOptions(), tmp_path / "entry"
    store.mkdir()
    backend.compile_to(store, graph, options, Cancellation())
    (file,) = store.iterdir()
    assert (WEIGHTS[0].tobytes() in file.read_bytes()) is not large
    builds = len(trt.builds)
    backend.load(store, graph, options, Cancellation())
    assert len(trt.builds) == builds
    assert trt.refits == (2 if large else 0)
    assert backend.stored_version() is not None


def test_a_stored_engine_of_another_version_is_refused(trt: nvidia.TensorRt, tmp_path: Path) -> None:
    graph = _graph(WEIGHTS[0])
    (tmp_path / "engine.plan").write_bytes(b"of another version")
    with pytest.raises(OperationError, match="the engine cannot be loaded: the plan is damaged"):
        TensorRtBackend().load(tmp_path, graph, CompileOptions(), Cancellation())


def test_a_build_that_is_cancelled_ends_at_its_next_step(trt: nvidia.TensorRt) -> None:
    steps: list[int] = []
    graph = _graph(WEIGHTS[0])
    cancellation = Cancellation()

    def at_step(step: int) -> None:
        steps.append(step)
        if step == 3:
            cancellation.cancel()

    trt.at_step = at_step
    with pytest.raises(CancelledError):
        TensorRtBackend().compile(graph, CompileOptions(), cancellation)
    assert steps == [0, 1, 2, 3]
