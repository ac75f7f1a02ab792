"""Tensors as programs see them: what they say of themselves, what they refuse, how they end, constant ones."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import webnn
from tests.loops import Loop
from tests.scripted import Gate, double, filled, scripted_context
from tests.stepped import number_in
from webnn.errors import DestroyedError, InvalidStateError, OperationError, ValidationError
from webnn.graph.dtypes import DATA_TYPES

LARGE = (2048,)
WRITABLE = [data_type for data_type in DATA_TYPES if data_type not in ("int4", "uint4")]


def test_it_says_what_it_is(context: webnn.MLContext) -> None:
    tensor = context.create_tensor([2, 3], "float16")
    assert (tensor.shape, tensor.data_type) == ((2, 3), "float16")
    assert (tensor.readable, tensor.writable, tensor.constant) == (False, False, False)
    assert (tensor.dtype, tensor.nbytes) == (np.dtype(np.float16), 12)
    assert repr(tensor) == "<MLTensor float16 [2, 3]>"


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=np.int8).reshape(2, 3).T, np.float32(7), np.ones(LARGE, "uint64")]
)
def test_one_that_is_made_of_an_array_holds_a_copy(context: webnn.MLContext, array: Any) -> None:
    given = np.array(array)
    tensor = context.create_tensor(given, readable=True)
    expected = given.copy()
    given[...] = 9
    np.testing.assert_array_equal(context.read_tensor(tensor).result(), expected, strict=True)


def test_an_array_with_a_data_type_is_a_shape(context: webnn.MLContext) -> None:
    shape: Any = np.array([2, 3])
    assert context.create_tensor(shape, "int8").shape == (2, 3)


MASKED: Any = np.ma.masked_array(np.ones((2, 3), np.float32), mask=[[True, False, False], [False, True, False]])


@pytest.mark.parametrize("data", [MASKED, [MASKED[0], MASKED[1]], [[MASKED[0]], [MASKED[1]]]], ids=str)
def test_masked_elements_are_refused_wherever_data_comes_in(context: webnn.MLContext, data: Any) -> None:
    """NumPy converts a masked array to what is under its masks."""
    builder = context.create_graph_builder()
    x = builder.input("x", [2, 3], "float32")
    graph = builder.build({"y": builder.relu(x)})
    t = context.create_tensor([2, 3], "float32", writable=True)
    said = "elements are masked, and WebNN has no masks: write array.filled"
    calls: list[Callable[[], object]] = [
        lambda: context.compute(graph, {"x": data}),
        lambda: context.run(graph, {"x": data}),
        lambda: context.write_tensor(t, data),
        lambda: list(context.stream(graph, [{"x": data}])),
    ]
    if data is MASKED:
        builder = context.create_graph_builder()
        x = builder.input("x", [2, 3], "float32")
        calls += [lambda: context.create_tensor(data), lambda: builder.constant(data), lambda: x + data]
    for call in calls:
        with pytest.raises(ValidationError, match=f"[12] of [36] {said}"):
            call()


def test_a_masked_array_without_masked_elements_is_an_array(context: webnn.MLContext) -> None:
    t = context.create_tensor(np.ma.masked_array(np.ones(3, np.float32)), readable=True)
    assert context.read_tensor(t).result().tolist() == [1, 1, 1]


def test_what_to_write_for_a_tensor_of_pytorch_is_pytorchs(context: webnn.MLContext) -> None:
    class Tensor:
        def __init__(self, array: Any) -> None:
            self.array = array

        def __array__(self, *_: object, **__: object) -> Any:
            if self.array is None:
                raise TypeError("Got unsupported ScalarType BFloat16")
            return self.array

    Tensor.__module__ = "torch"
    t = context.create_tensor([3], "float32", writable=True)
    for array in (None, np.ones(3)):
        with pytest.raises(ValidationError, match=r"convert it: tensor\.detach\(\)\.cpu\(\)\.to\(torch\.float32\)$"):
            context.write_tensor(t, Tensor(array))


def test_complex_numbers_have_no_cast(context: webnn.MLContext) -> None:
    t = context.create_tensor([3], "float32", writable=True)
    with pytest.raises(ValidationError, match=r"got complex128 \[3\]; WebNN has no complex numbers: take array\.real"):
        context.write_tensor(t, np.ones(3, np.complex128))


def test_an_array_with_fields_is_refused_with_one_of_them(context: webnn.MLContext) -> None:
    given = np.zeros(3, [("height", "f4"), ("width", "f4")])
    t = context.create_tensor([3], "float32", writable=True)
    with pytest.raises(
        ValidationError, match=r"expected float32 \[3\], got void64 \[3\]; .*take one: array\['height'\]"
    ):
        context.write_tensor(t, given)
    with pytest.raises(
        ValidationError, match=r"^create_tensor: dtype 'void64' has fields.*take one: array\['height'\]"
    ):
        context.create_tensor(given)
    context.write_tensor(t, given["height"])


class Producer:
    """The memory of an array by one protocol alone."""

    def __init__(self, array: np.ndarray[Any, Any], protocol: str) -> None:
        self.array = array
        setattr(self, protocol, getattr(array, protocol))


@pytest.mark.parametrize("protocol", ["__array_interface__", "__array_struct__"])
def test_older_protocols_of_arrays_are_known(context: webnn.MLContext, protocol: str) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    given: Any = Producer(array, protocol)
    t = context.create_tensor(given, readable=True, writable=True)
    np.testing.assert_array_equal(context.read_tensor(t).result(), array)
    context.write_tensor(t, Producer(array + 1, protocol))
    np.testing.assert_array_equal(context.read_tensor(t).result(), array + 1)


def test_a_tensor_is_made_of_a_memoryview_but_not_of_bytes_alone(context: webnn.MLContext) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    given: Any = memoryview(array.data)
    t = context.create_tensor(given, readable=True)
    np.testing.assert_array_equal(context.read_tensor(t).result(), array)
    with pytest.raises(ValidationError, match=r"bytes have no shape and data type: write np\.frombuffer\("):
        context.create_tensor(array.tobytes())  # type: ignore[call-overload]


def test_an_array_of_a_class_with_functions_of_its_own_is_read_into(context: webnn.MLContext) -> None:
    class Quantity(np.ndarray[Any, Any]):
        def __array_function__(self, *_: Any, **__: Any) -> Any:
            raise TypeError("units do not fit")

    t = context.create_tensor(np.arange(3, dtype=np.float32), readable=True)
    out = np.zeros(3, np.float32).view(Quantity)
    assert context.read_tensor(t, out).result() is out
    assert out.tolist() == [0, 1, 2]


def test_an_array_of_another_type_is_refused_with_the_cast(context: webnn.MLContext) -> None:
    with pytest.raises(
        ValidationError, match=r"create_tensor: dtype 'float64' .*; convert it: array.astype\('float32'\)"
    ):
        context.create_tensor(np.zeros(3))


@pytest.mark.parametrize(
    "arguments",
    [
        ([2, 3], "int32"),
        ((2, 3), "int32"),
        (np.array([2, 3]), "int32"),
        (webnn.MLOperandDescriptor("int32", [2, 3]),),
        ({"shape": [2, 3], "data_type": "int32"},),
        ({"shape": [2, 3], "dataType": "int32"},),
    ],
)
def test_there_are_several_ways_to_say_what_it_is(context: webnn.MLContext, arguments: Any) -> None:
    tensor = context.create_tensor(*arguments)
    assert tensor.descriptor == webnn.MLOperandDescriptor("int32", [2, 3])


def test_a_descriptor_may_say_how_it_is_used(context: webnn.MLContext) -> None:
    tensor = context.create_tensor({"shape": [2], "dataType": "int32", "readable": True, "writable": True})
    assert (tensor.readable, tensor.writable) == (True, True)


@pytest.mark.parametrize("data_type", WRITABLE)
@pytest.mark.parametrize("shape", [[], [1], [3], [2, 1, 2], [1, 1, 1, 1, 1, 1, 1, 2]])
def test_every_type_and_rank_comes_back_as_it_was_written(
    context: webnn.MLContext, data_type: Any, shape: list[int]
) -> None:
    tensor = context.create_tensor(shape, data_type, readable=True, writable=True)
    limits = np.finfo(data_type) if data_type.startswith("float") else np.iinfo(data_type)
    data = np.resize(np.array([limits.max, limits.min, 0, 1], DATA_TYPES[tensor.data_type].dtype), shape)
    context.write_tensor(tensor, data)
    read = context.read_tensor(tensor).result()
    assert (read.dtype, read.shape) == (data.dtype, data.shape)
    assert read.tobytes() == data.tobytes()


def test_a_tensor_that_was_never_written_reads_as_zeros(context: webnn.MLContext) -> None:
    dirty = context.create_tensor(LARGE, "float32", writable=True)
    context.write_tensor(dirty, filled(9, LARGE))
    dirty.destroy()
    tensor = context.create_tensor(LARGE, "float32", readable=True)
    assert number_in(context.read_tensor(tensor).result()) == 0


@pytest.mark.parametrize("ask", [bool, len, np.asarray, np.array, list, float], ids=lambda ask: ask.__name__)
def test_asking_it_for_data_says_what_to_do(context: webnn.MLContext, ask: Any) -> None:
    tensor = context.create_tensor([2], "float32", readable=True)
    with pytest.raises(TypeError) as caught:
        ask(tensor)
    if ask in (bool, len, np.asarray, np.array):
        assert "read it first: await context.read_tensor(tensor)" in str(caught.value)


class TestDestroying:
    async def test_pending_reads_are_rejected(self, loop: Loop) -> None:
        gate = Gate()
        context, _ = scripted_context(on_run=gate)
        with context:
            graph = double(context)
            x, y = context.create_tensor([4], "float32"), context.create_tensor([4], "float32", readable=True)
            context.dispatch(graph, {"x": x}, {"y": y})
            read = context.read_tensor(y)
            y.destroy()
            with pytest.raises(InvalidStateError, match=r"<MLTensor float32 \[4\] \(destroyed\)> was destroyed before"):
                await loop.result(read)
            gate.open()

    def test_afterwards_it_cannot_be_used(self, context: webnn.MLContext) -> None:
        graph, tensor = double(context), context.create_tensor([4], "float32", readable=True, writable=True)
        other = context.create_tensor([4], "float32")
        tensor.destroy()
        tensor.destroy()
        calls: list[Any] = [
            lambda: context.write_tensor(tensor, filled(1)),
            lambda: context.read_tensor(tensor),
            lambda: context.dispatch(graph, {"x": tensor}, {"y": other}),
            lambda: context.dispatch(graph, {"x": other}, {"y": tensor}),
            lambda: tensor.__await__().send(None),
        ]
        for call in calls:
            with pytest.raises(DestroyedError, match=r"\(destroyed\)> was destroyed"):
                call()

    def test_it_is_a_wrong_argument_and_a_wrong_state(self) -> None:
        assert issubclass(DestroyedError, ValidationError)
        assert issubclass(DestroyedError, InvalidStateError)

    def test_work_that_was_queued_with_it_goes_on(self) -> None:
        gate = Gate()
        context, _ = scripted_context(on_run=gate)
        with context:
            x = context.create_tensor([4], "float32", writable=True)
            y = context.create_tensor([4], "float32", readable=True)
            context.write_tensor(x, filled(3))
            context.dispatch(double(context), {"x": x}, {"y": y})
            x.destroy()
            gate.open()
            assert number_in(context.read_tensor(y).result()) == 6

    def test_what_was_read_from_it_stays(self, context: webnn.MLContext) -> None:
        tensor = context.create_tensor(LARGE, "float32", readable=True, writable=True)
        context.write_tensor(tensor, filled(3, LARGE))
        array = context.read_tensor(tensor).result()
        tensor.destroy()
        context.write_tensor(context.create_tensor(LARGE, "float32", writable=True), filled(4, LARGE))
        assert number_in(array) == 3


def test_a_pending_read_outlives_its_tensor_its_graph_and_its_context() -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    graph, x = double(context), context.create_tensor([4], "float32", writable=True)
    y = context.create_tensor([4], "float32", readable=True)
    context.write_tensor(x, filled(2))
    context.dispatch(graph, {"x": x}, {"y": y})
    assert gate.reached.wait(5)
    promise = context.read_tensor(y)
    del context, graph, x, y
    gc.collect()
    assert not promise.done()
    gate.open()
    assert number_in(promise.result(timeout=5)) == 4


def test_it_shows_nothing_of_the_timeline(context: webnn.MLContext) -> None:
    tensor = context.create_tensor([2], "float32")
    public = {name for name in dir(tensor) if not name.startswith("_")}
    assert public == {
        "constant",
        "data_type",
        "descriptor",
        "destroy",
        "dtype",
        "nbytes",
        "readable",
        "shape",
        "writable",
    }


def test_a_forgotten_tensor_leaves_pending_reads_alone() -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    with context:
        y = context.create_tensor([4], "float32", readable=True)
        context.dispatch(double(context), {"x": context.create_tensor([4], "float32")}, {"y": y})
        read = context.read_tensor(y)
        del y
        gc.collect()
        gate.open()
        assert number_in(read.result()) == 0
        del read
        assert context.memory_info().in_use == 0


class TestConstantTensors:
    @pytest.mark.parametrize(
        "arguments",
        [
            (np.array([[1, 2]], np.int8),),
            (webnn.MLOperandDescriptor("int8", [1, 2]), np.array([[1, 2]], np.int8)),
            ({"shape": [1, 2], "dataType": "int8"}, b"\x01\x02"),
            ([1, 2], "int8", [[1, 2]]),
            ([1, 2], "int8", bytearray(b"\x01\x02")),
        ],
    )
    def test_it_becomes_a_constant(self, context: webnn.MLContext, arguments: Any) -> None:
        tensor = context.create_constant_tensor(*arguments)
        assert (tensor.constant, tensor.readable, tensor.writable) == (True, False, False)
        assert repr(tensor) == "<MLTensor constant int8 [1, 2]>"
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.identity(builder.constant(tensor))})
        assert context.compute(graph, {})["y"].tolist() == [[1, 2]]

    def test_its_bytes_are_copied_at_the_call(self, context: webnn.MLContext) -> None:
        data = filled(1)
        tensor = context.create_constant_tensor(data)
        data[:] = 2
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.identity(builder.constant(tensor))})
        assert number_in(context.compute(graph, {})["y"]) == 1

    @pytest.mark.parametrize("shape", [(4,), LARGE], ids=["small", "large"])
    @pytest.mark.parametrize("ending", ["destroyed", "forgotten"])
    def test_a_graph_keeps_what_it_was_built_from(self, backend: Any, shape: Any, ending: str) -> None:
        with webnn.ML().create_context(backend=backend.name) as context:
            tensor = context.create_constant_tensor(filled(1, shape))
            builder = context.create_graph_builder()
            graph = builder.build({"y": builder.add(builder.input("x", shape, "float32"), builder.constant(tensor))})
            if ending == "destroyed":
                tensor.destroy()
            del tensor, builder
            gc.collect()
            others = [context.create_tensor(shape, "float32", writable=True) for _ in range(4)]
            for other in others:  # these would get the constant's buffer if it were free
                context.write_tensor(other, filled(50, shape))
            assert number_in(context.compute(graph, {"x": filled(2, shape)})["y"]) == 3

    @pytest.mark.parametrize("dtype", [ml_dtypes.int4, ml_dtypes.uint4])
    def test_it_may_have_four_bit_elements(self, context: webnn.MLContext, dtype: Any) -> None:
        tensor = context.create_constant_tensor(np.array([1, 2, 7], dtype))
        assert tensor.data_type == np.dtype(dtype).name
        packed = context.create_constant_tensor([3], tensor.data_type, b"\x21\x07")
        builder = context.create_graph_builder()
        scale = builder.constant(filled(1, (1,)))
        zero_point = builder.constant(np.zeros(1, dtype))
        outputs = {
            name: builder.dequantize_linear(builder.constant(each), scale, zero_point)
            for name, each in (("array", tensor), ("packed", packed))
        }
        results = context.compute(builder.build(outputs), {})
        assert {name: array.tolist() for name, array in results.items()} == {"array": [1, 2, 7], "packed": [1, 2, 7]}

    def test_it_cannot_be_written_read_or_dispatched(self, context: webnn.MLContext) -> None:
        tensor, other = context.create_constant_tensor(filled(1)), context.create_tensor([4], "float32")
        graph = double(context)
        with pytest.raises(ValidationError, match="is not writable"):
            context.write_tensor(tensor, filled(2))
        with pytest.raises(ValidationError, match="is not readable"):
            context.read_tensor(tensor)
        with pytest.raises(ValidationError, match=r"input 'x': <MLTensor constant .*> cannot be dispatched"):
            context.dispatch(graph, {"x": tensor}, {"y": other})
        with pytest.raises(ValidationError, match=r"output 'y': <MLTensor constant .*> cannot be dispatched"):
            context.dispatch(graph, {"x": other}, {"y": tensor})

    def test_a_destroyed_one_or_one_of_another_context_is_no_constant(self, context: webnn.MLContext) -> None:
        tensor, plain = context.create_constant_tensor(filled(1)), context.create_tensor([4], "float32")
        builder = context.create_graph_builder()
        with pytest.raises(ValidationError, match=r"constant: <MLTensor float32 \[4\]> is not a constant tensor"):
            builder.constant(plain)
        with webnn.ML().create_context(backend="arrays") as other:
            elsewhere = other.create_graph_builder()
            with pytest.raises(ValidationError, match=r"constant: <MLTensor .*> belongs to another context"):
                elsewhere.constant(tensor)
        tensor.destroy()
        with pytest.raises(ValidationError, match=r"constant: <MLTensor .*> was destroyed"):
            builder.constant(tensor)

    def test_the_budget_counts_it(self) -> None:
        with webnn.ML().create_context(backend="arrays", memory_budget=10_000) as context:
            tensor = context.create_constant_tensor(filled(1, LARGE))
            assert context.memory_info().in_use == 8192
            with pytest.raises(OperationError, match="the memory budget of 10000 bytes does not hold 8192 more"):
                context.create_constant_tensor(filled(1, LARGE))
            tensor.destroy()
            assert context.memory_info().in_use == 0

    @pytest.mark.parametrize("arguments", [(), (1, 2, 3, 4)])
    def test_it_takes_one_to_three_arguments(self, context: webnn.MLContext, arguments: Any) -> None:
        with pytest.raises(ValidationError, match="create_constant_tensor: takes an array, a descriptor and data, or"):
            context.create_constant_tensor(*arguments)
