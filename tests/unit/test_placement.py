"""Where operators run: from the nodes that a runtime has assigned, to the labels of a graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import webnn
from tests.scripted import double, filled
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.portable import PortableKernels
from webnn.backends.providers import sessions
from webnn.backends.providers.placement import assigned_nodes, placements
from webnn.backends.providers.sessions import refusal, session
from webnn.errors import NotSupportedError, OperationError, ValidationError
from webnn.graph.placement import OperatorPlacement, native_placements, shown_placements

GPU, CPU = "GpuExecutionProvider", "CPUExecutionProvider"


def model_of(build: Any) -> Any:
    """The finished model of a graph whose output `build(builder)` gives."""
    with webnn.create_context(backend="null") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": build(builder)})
        model = lower(graph._graph, PortableKernels())
    return model, model.finish()


def test_each_label_has_the_provider_of_its_nodes() -> None:
    def build(b: Any) -> Any:
        x = b.input("x", [2, 4], "float32")
        return b.softmax(b.sign(b.matmul(x, b.constant(np.ones((4, 4), np.float32)), label="mm"), label="s"), 1)

    model, proto = model_of(build)
    assigned = [(node.name, CPU if node.op_type == "IsNaN" else GPU) for node in proto.graph.node]
    assert [str(row) for row in placements(model, assigned)] == [
        "[mm] matmul: GpuExecutionProvider, float32, native",
        "[s] sign: CPUExecutionProvider and GpuExecutionProvider, float32, composed by IsNaN, Where, Sign",
        "softmax: GpuExecutionProvider, float32, native",
    ]


def test_a_data_type_that_is_widened_is_emulated_and_says_in_what() -> None:
    model, proto = model_of(lambda b: b.cumulative_sum(b.input("x", [3], "uint32"), 0, label="m"))
    (row,) = placements(model, [(node.name, CPU) for node in proto.graph.node])
    assert (row.realization, row.label, row.nodes) == ("emulated", "m", 1)
    assert row.data_types == ("int64",)


def test_the_precision_of_a_provider_is_told() -> None:
    model, proto = model_of(lambda b: b.relu(b.input("x", [3], "float32")))
    (row,) = placements(model, [(node.name, GPU) for node in proto.graph.node], {"float32": "bfloat16"})
    assert row.data_types == ("bfloat16",)


def test_a_node_that_the_runtime_has_fused_is_where_all_the_others_are_or_unknown() -> None:
    model, proto = model_of(lambda b: b.tanh(b.relu(b.input("x", [3], "float32"), label="r"), label="t"))
    first = proto.graph.node[0].name
    assert [row.providers for row in placements(model, [(first, GPU), ("", GPU)])] == [(GPU,), (GPU,)]
    known, unknown = placements(model, [(first, GPU), ("", CPU)])
    assert (known.providers, unknown.providers) == ((GPU,), ())
    assert str(unknown) == "[t] tanh: fused or replaced by the runtime, float32, native"


def test_labels_of_the_same_kind_share_a_line() -> None:
    rows = [OperatorPlacement(f"c{i}", "conv2d", 1, (GPU,), ("float32",), "native", ("Conv",)) for i in range(5)]
    rows.append(OperatorPlacement("", "reshape", 2, (), (), "removed"))
    assert shown_placements(rows) == [
        f"[c0, c1, c2, ...] conv2d x 5: {GPU}, float32, native",
        "reshape x 2: nothing to compute",
    ]


@pytest.mark.parametrize("backend", ["arrays", "onnxruntime"])
def test_a_compiled_graph_lists_every_operator(backend: str) -> None:
    with webnn.create_context(backend=backend) as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [2, 8], "float32")
        y = builder.matmul(x, builder.constant(np.ones((8, 8), np.float32)), label="mm")
        graph = builder.build({"y": builder.erf(builder.sin(y, label="wave"), label="e")})
        context.compute(graph, filled(1, [2, 8]))
        explained = graph.explain()
        assert explained.operators is not None
        assert {(row.label, row.op): row.providers for row in explained.operators} == {
            ("mm", "matmul"): (context.device.provider,),
            ("wave", "sin"): (context.device.provider,),
            ("e", "erf"): (context.device.provider,),
        }
        assert f"  [mm] matmul: {context.device.provider}, float32, native" in str(explained)


def test_equal_graphs_that_share_a_compiled_one_have_their_own_labels() -> None:
    with webnn.create_context(backend="onnxruntime") as context:
        for label in ("first", "second"):
            builder = context.create_graph_builder()
            graph = builder.build({"y": builder.softsign(builder.input("x", [3], "float32"), label=label)})
            context.compute(graph, filled(1, [3]))
            (row,) = graph.explain().operators or ()
            assert (row.label, row.providers) == (label, (CPU,))


def test_before_the_compilation_the_rest_is_known_already() -> None:
    with webnn.create_context(backend="arrays") as context:
        graph = double(context)
        graph.destroy()
        explained = graph.explain()
        assert explained.operators is None
        assert "they are listed once the graph is compiled" in str(explained)


def test_a_backend_without_kernels_of_its_own_names_itself() -> None:
    model, _ = model_of(lambda b: b.relu(b.relu(b.input("x", [3], "float32"))))
    (row,) = native_placements(model.graph, "null")
    assert str(row) == "relu x 2: null, float32, native"


# Providers that drop out.


def test_a_provider_that_is_left_out_is_an_error_which_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(get_providers=lambda: [CPU])
    runtime = sessions.onnxruntime()
    stand_in = SimpleNamespace(
        SessionOptions=runtime.SessionOptions, InferenceSession=lambda *_, **__: made, __file__=runtime.__file__
    )
    monkeypatch.setattr(sessions, "onnxruntime", lambda: stand_in)
    with pytest.raises(OperationError, match=f"onnxruntime went on without {GPU}"):
        session(b"", GPU, {})


def test_a_provider_that_takes_no_operator_is_refused() -> None:
    def assigned_to(name: str) -> Any:
        node = SimpleNamespace(name="a", op_type="Mul", domain="")
        part = SimpleNamespace(ep_name=name, get_nodes=lambda: [node])
        return SimpleNamespace(get_provider_graph_assignment_info=lambda: [part])

    assert refusal(GPU, lambda model: assigned_to(GPU)) is None
    assert "takes no operator: is there such a device" in str(refusal(GPU, lambda model: assigned_to(CPU)))


def test_the_probe_is_a_model_that_onnxruntime_runs() -> None:
    made: list[Any] = []

    def make(model: bytes) -> Any:
        made.append(session(model, CPU, {}))
        return made[0]

    assert refusal(CPU, make) is None
    assert {provider for _, provider in assigned_nodes(made[0])} == {CPU}
    np.testing.assert_array_equal(made[0].run(None, {"x": np.arange(4, dtype=np.float32)})[0], [0, 1, 4, 9])


def test_the_reason_of_onnxruntime_is_told() -> None:
    with pytest.raises(OperationError, match="rotobuf"):
        session(b"no model", CPU, {})


def test_the_reason_of_a_backend_is_handed_on() -> None:
    def make(model: bytes) -> Any:
        raise NotSupportedError("no adapter")

    assert refusal(GPU, make) == "no adapter"


# The device of a context.


def test_a_context_names_its_device() -> None:
    with webnn.create_context(backend="arrays") as context:
        assert (context.device.type, context.device.provider) == ("cpu", "arrays")
        assert context.device.name


def test_the_policy_is_another_name_of_the_power_preference() -> None:
    with pytest.raises(
        ValidationError, match="compute_policy is another name of power_preference: got 'low-power' and"
    ):
        webnn.create_context(power_preference="high-performance", compute_policy="low-power")
    with pytest.raises(ValidationError, match=r"compute_policy must be one of .*, got 'fast'"):
        webnn.create_context(compute_policy="fast")  # type: ignore[arg-type]
    with webnn.create_context(compute_policy="low-power") as context:
        assert context.compute(double(context), {"x": filled(1)})["y"].tolist() == [2, 2, 2, 2]
