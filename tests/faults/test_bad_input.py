"""Bad input at every entry: a clear error that names it, nothing has changed, and the context goes on."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import webnn
from webnn.errors import DestroyedError, InvalidStateError, MLError, OperationError, ValidationError

SHAPE = (2, 3)
BUDGET = 100_000


class World:
    """A context with a graph `sum = x + y`, tensors of every kind, and things that are not what they should be."""

    def __init__(self, context: webnn.MLContext, other: webnn.MLContext) -> None:
        self.entry = "run"
        self.context = context
        # Untyped, since what they are given here is wrong.
        self.create: Any = context.create_tensor
        self.read: Any = context.read_tensor
        self.write: Any = context.write_tensor
        self.graph = self.build(context)
        self.product = self.build_product(context)
        self.x = context.create_tensor(SHAPE, "float32", writable=True)
        self.y = context.create_tensor(SHAPE, "float32", writable=True)
        self.z = context.create_tensor(SHAPE, "float32", readable=True)
        self.plain = context.create_tensor(SHAPE, "float32")
        self.half = context.create_tensor(SHAPE, "float16", readable=True, writable=True)
        self.flat = context.create_tensor([6], "float32", readable=True, writable=True)
        self.constant = context.create_constant_tensor(np.ones(SHAPE, np.float32))
        self.gone = context.create_tensor(SHAPE, "float32", readable=True, writable=True)
        self.gone.destroy()
        self.gone_graph = self.build(context)
        self.gone_graph.destroy()
        self.foreign = other.create_tensor(SHAPE, "float32", readable=True, writable=True)
        self.foreign_graph = self.build(other)
        self.array = np.arange(6, dtype=np.float32).reshape(SHAPE)
        self.builder = context.create_graph_builder()
        self.operand = self.builder.input("x", SHAPE, "float32")

    @staticmethod
    def build(context: webnn.MLContext) -> webnn.MLGraph:
        builder = context.create_graph_builder()
        x, y = (builder.input(name, SHAPE, "float32") for name in "xy")
        return builder.build({"sum": builder.add(x, y)})

    @staticmethod
    def build_product(context: webnn.MLContext) -> webnn.MLGraph:
        builder = context.create_graph_builder()
        x, y = (builder.input(name, SHAPE, "float32") for name in "xy")
        square = builder.matmul(builder.transpose(x), y)
        return builder.build({"product": builder.matmul(x, square)})

    def dispatch(self, inputs: Any, outputs: Any, graph: Any = None) -> object:
        return self.context.dispatch(self.graph if graph is None else graph, inputs, outputs)

    def run(self, inputs: Any, graph: Any = None) -> object:
        entry: Callable[[Any, Any], object] = getattr(self.context, self.entry)
        return entry(self.graph if graph is None else graph, inputs)

    @property
    def good(self) -> dict[str, Any]:
        return {"x": self.array, "y": self.array}


@pytest.fixture
def contexts() -> Iterator[tuple[webnn.MLContext, webnn.MLContext]]:
    create = webnn.ML().create_context
    with create(backend="arrays", memory_budget=BUDGET) as context, create(backend="arrays") as other:
        yield context, other


@pytest.fixture
def world(contexts: tuple[webnn.MLContext, webnn.MLContext]) -> Iterator[World]:
    """What a test plays with; afterwards everything must be as it was."""
    world = World(*contexts)
    world.context.compute(world.graph, world.good)
    before, done = world.context.memory_info(), world.context.statistics()
    yield world
    after = world.context.statistics()
    assert world.context.memory_info().in_use == before.in_use
    assert (after.queued, after.running) == (0, 0)
    assert after.run_inline + after.run_on_lanes == done.run_inline + done.run_on_lanes
    assert world.context.compute(world.graph, world.good)["sum"].tolist() == (2 * world.array).tolist()


Case = tuple[str, Callable[[World], object], type[BaseException], str]


def cases(*rows: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("call", "error", "message"),
        [pytest.param(call, error, message, id=name) for name, call, error, message in rows],
    )


def check(world: World, call: Callable[[World], object], error: type[BaseException], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call(world)
    assert type(caught.value) is error
    assert isinstance(caught.value, MLError)


LIST, RAGGED = [[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4]]

BAD_DATA: tuple[tuple[str, Callable[[World], Any], str], ...] = (
    ("none", lambda w: None, r"expected float32 \[2, 3\], got NoneType"),
    ("text", lambda w: "123456", r"expected float32 \[2, 3\], got str"),
    ("object", lambda w: object(), r"expected float32 \[2, 3\], got object"),
    ("wrong shape", lambda w: np.zeros((3, 2), np.float32), r"expected float32 \[2, 3\], got shape \[3, 2\]"),
    ("too few", lambda w: np.zeros(5, np.float32), r"expected float32 \[2, 3\], got shape \[5\]"),
    ("too many", lambda w: np.zeros((2, 3, 1), np.float32), r"expected float32 \[2, 3\], got shape \[2, 3, 1\]"),
    ("scalar", lambda w: np.float32(1), r"expected float32 \[2, 3\], got shape \[\]"),
    ("wrong type", lambda w: np.zeros(SHAPE, np.float16), r"expected float32 \[2, 3\], got float16"),
    (
        "no type of ours",
        lambda w: np.zeros(SHAPE, np.float64),
        r"got float64 \[2, 3\]; convert it: array\.astype\('float32'\)",
    ),
    ("integers", lambda w: np.zeros(SHAPE, np.int32), r"got int32 \[2, 3\]; convert it: array\.astype\('float32'\)"),
    ("big-endian", lambda w: np.zeros(SHAPE, ">f4"), r"got .*>f4|big-endian|byte order"),
    ("object array", lambda w: np.array(LIST, object), r"object"),
    ("complex", lambda w: np.zeros(SHAPE, np.complex64), r"complex64"),
    ("booleans", lambda w: np.zeros(SHAPE, bool), r"bool"),
    ("dates", lambda w: np.zeros(SHAPE, "datetime64[s]"), r"datetime64"),
    ("structured", lambda w: np.zeros(SHAPE, [("a", "f4")]), r"expected float32|void|\[\('a'"),
    ("strings", lambda w: np.array([["a", "b", "c"]] * 2), r"<U1|str"),
    ("four bits", lambda w: np.zeros(SHAPE, ml_dtypes.int4), r"got int4 \[2, 3\]"),
    ("too few bytes", lambda w: b"\x00" * 23, r"expected 24 bytes for float32 \[2, 3\], got 23"),
    ("too many bytes", lambda w: bytearray(25), r"expected 24 bytes for float32 \[2, 3\], got 25"),
    ("ragged", lambda w: RAGGED, r"expected float32 \[2, 3\], got list: "),
    ("list of text", lambda w: [["a", "b", "c"]] * 2, r"expected float32 \[2, 3\], got list: "),
    ("list of numbers as text", lambda w: [["1", "2", "3"]] * 2, r"got list: it holds items that are not numbers"),
    ("list with a hole", lambda w: [[1, 2, None]] * 2, r"got list: it holds items that are not numbers"),
    ("list of the wrong shape", lambda w: [1, 2, 3], r"expected float32 \[2, 3\], got shape \[3\]"),
    ("a tensor", lambda w: w.x, r"MLTensor"),
    ("a dictionary", lambda w: {}, r"expected float32 \[2, 3\], got dict"),
)
"""What is no data for a float32 [2, 3], and how the message says so."""


@pytest.mark.parametrize(("name", "data", "message"), BAD_DATA, ids=[row[0] for row in BAD_DATA])
def test_what_is_no_data_is_refused_wherever_data_goes(
    world: World, name: str, data: Callable[[World], Any], message: str
) -> None:
    context, bad = world.context, data(world)
    check(world, lambda w: context.write_tensor(w.x, bad), ValidationError, f"^write_tensor: .*({message})")
    check(world, lambda w: w.run({"x": bad, "y": w.array}), ValidationError, f"^run: input 'x': .*({message})")
    check(
        world,
        lambda w: context.compute(w.graph, {"x": w.array, "y": bad}),
        ValidationError,
        f"^compute: input 'y': .*({message})",
    )
    check(
        world,
        lambda w: context.create_constant_tensor(SHAPE, "float32", bad),
        ValidationError,
        f"^create_constant_tensor: .*({message})",
    )
    assert name


@cases(
    ("not a tensor", lambda w: w.write(3, w.array), ValidationError, "expected an MLTensor, got int"),
    ("no tensor", lambda w: w.write(None, w.array), ValidationError, "expected an MLTensor, got None"),
    ("not writable", lambda w: w.write(w.z, w.array), ValidationError, r"<MLTensor float32 \[2, 3\]> is"
     " not writable: create it with writable=True"),
    ("foreign", lambda w: w.write(w.foreign, w.array), ValidationError, "belongs to another context"),
    ("destroyed", lambda w: w.write(w.gone, w.array), DestroyedError, r"\(destroyed\)> was destroyed"),
    ("an operand", lambda w: w.write(w.operand, w.array), ValidationError, "expected an MLTensor, got"),
)  # fmt: skip
def test_write_tensor(world: World, call: Any, error: Any, message: str) -> None:
    check(world, call, error, f"^write_tensor: .*{message}")


def test_data_that_is_strange_but_right_is_taken(world: World) -> None:
    read_only = world.array.copy()
    read_only.flags.writeable = False
    context, tensor = world.context, world.context.create_tensor(SHAPE, "float32", readable=True, writable=True)
    strange = [
        read_only,
        world.array.T.copy().T,
        np.repeat(world.array, 2, axis=1)[:, ::2],
        world.array[::-1][::-1],
        world.array.reshape(-1),
        np.frombuffer(b"\0" + world.array.tobytes(), np.float32, offset=1).reshape(SHAPE),  # not aligned
        world.array.astype("<f4"),
        np.ma.masked_array(world.array),
        np.broadcast_to(world.array[:1], SHAPE),
    ]
    for data in strange:
        context.write_tensor(tensor, data)
        assert context.read_tensor(tensor).result().tolist() == np.asarray(data).reshape(SHAPE).tolist()
    tensor.destroy()


def frozen(shape: tuple[int, ...] = SHAPE) -> Any:
    array = np.zeros(shape, np.float32)
    array.flags.writeable = False
    return array


@cases(
    ("not a tensor", lambda w: w.read("z"), ValidationError, "expected an MLTensor, got str"),
    ("not readable", lambda w: w.read(w.x), ValidationError, "is not readable: create it with readable"),
    ("foreign", lambda w: w.read(w.foreign), ValidationError, "belongs to another context"),
    ("destroyed", lambda w: w.read(w.gone), DestroyedError, "was destroyed"),
    ("constant", lambda w: w.read(w.constant), ValidationError, "is not readable"),
    ("read-only array", lambda w: w.read(w.z, frozen()), ValidationError, "out is read-only"),
    ("bytes", lambda w: w.read(w.z, bytes(24)), ValidationError, "out is read-only"),
    ("read-only view", lambda w: w.read(w.z, memoryview(bytes(24))), ValidationError, "out is read-only"),
    ("not contiguous", lambda w: w.read(w.z, np.zeros((3, 2), np.float32).T), ValidationError,
     r"out \[2, 3\] is not C-contiguous"),
    ("strided", lambda w: w.read(w.z, np.zeros((2, 6), np.float32)[:, ::2]), ValidationError,
     "is not C-contiguous"),
    ("wrong shape", lambda w: w.read(w.z, np.zeros((3, 2), np.float32)), ValidationError,
     r"expected float32 \[2, 3\], got shape \[3, 2\]"),
    ("wrong type", lambda w: w.read(w.z, np.zeros(SHAPE, np.int32)), ValidationError, "got int32"),
    ("big-endian", lambda w: w.read(w.z, np.zeros(SHAPE, ">f4")), ValidationError, "byte order|>f4"),
    ("objects", lambda w: w.read(w.z, np.zeros(SHAPE, object)), ValidationError, "object"),
    ("too small", lambda w: w.read(w.z, bytearray(23)), ValidationError, "expected 24 bytes .*, got 23"),
    ("a list", lambda w: w.read(w.z, [0.0] * 6), ValidationError, "a writable buffer, got list"),
    ("a number", lambda w: w.read(w.z, 6), ValidationError, "a writable buffer, got int"),
    ("a tensor", lambda w: w.read(w.z, w.x), ValidationError, "a writable buffer, got MLTensor"),
)  # fmt: skip
def test_read_tensor(world: World, call: Any, error: Any, message: str) -> None:
    check(world, call, error, f"^read_tensor: .*({message})")


@cases(
    ("missing input", lambda w: w.dispatch({"x": w.x}, {"sum": w.z}), ValidationError,
     "missing 'y' among the inputs; the graph has 'x', 'y'"),
    ("missing output", lambda w: w.dispatch({"x": w.x, "y": w.y}, {}), ValidationError,
     "missing 'sum' among the outputs; the graph has 'sum'"),
    ("all missing", lambda w: w.dispatch({}, {"sum": w.z}), ValidationError, "missing 'x', 'y' among the inputs"),
    ("wrong name", lambda w: w.dispatch({"x": w.x, "why": w.y}, {"sum": w.z}), ValidationError,
     "missing 'y' and unknown 'why' among the inputs"),
    ("wrong output", lambda w: w.dispatch({"x": w.x, "y": w.y}, {"total": w.z}), ValidationError,
     "missing 'sum' and unknown 'total' among the outputs"),
    ("one too many", lambda w: w.dispatch({"x": w.x, "y": w.y, "b": w.plain}, {"sum": w.z}), ValidationError,
     "unknown 'b' among the inputs"),
    ("not a name", lambda w: w.dispatch({"x": w.x, 3: w.y}, {"sum": w.z}), ValidationError,
     "missing 'y' and unknown '3'"),
    ("name with a line break", lambda w: w.dispatch({"x": w.x, "y\n": w.y}, {"sum": w.z}), ValidationError,
     r"unknown 'y\\{1,2}n'"),
    ("wrong shape", lambda w: w.dispatch({"x": w.flat, "y": w.y}, {"sum": w.z}), ValidationError,
     r"input 'x': expected float32 \[2, 3\], got <MLTensor float32 \[6\]>"),
    ("wrong type", lambda w: w.dispatch({"x": w.x, "y": w.y}, {"sum": w.half}), ValidationError,
     r"output 'sum': expected float32 \[2, 3\], got <MLTensor float16 \[2, 3\]>"),
    ("array for a tensor", lambda w: w.dispatch({"x": w.array, "y": w.y}, {"sum": w.z}), ValidationError,
     "input 'x': expected an MLTensor, got ndarray"),
    ("none for a tensor", lambda w: w.dispatch({"x": w.x, "y": w.y}, {"sum": None}), ValidationError,
     "output 'sum': expected an MLTensor, got NoneType"),
    ("imitation",
     lambda w: w.dispatch({"x": SimpleNamespace(_home=w.x._home), "y": w.y}, {"sum": w.z}),
     ValidationError, "input 'x': expected an MLTensor, got SimpleNamespace"),
    ("foreign", lambda w: w.dispatch({"x": w.x, "y": w.foreign}, {"sum": w.z}), ValidationError,
     "input 'y': <MLTensor .*> belongs to another context"),
    ("foreign output", lambda w: w.dispatch({"x": w.x, "y": w.y}, {"sum": w.foreign}), ValidationError,
     "output 'sum': <MLTensor .*> belongs to another context"),
    ("destroyed", lambda w: w.dispatch({"x": w.gone, "y": w.y}, {"sum": w.z}), DestroyedError,
     "input 'x': <MLTensor .*> was destroyed"),
    ("destroyed output", lambda w: w.dispatch({"x": w.x, "y": w.y}, {"sum": w.gone}), DestroyedError,
     "output 'sum': <MLTensor .*> was destroyed"),
    ("constant", lambda w: w.dispatch({"x": w.constant, "y": w.y}, {"sum": w.z}), ValidationError,
     "input 'x': <MLTensor constant .*> cannot be dispatched"),
    ("twice as input", lambda w: w.dispatch({"x": w.x, "y": w.x}, {"sum": w.z}), ValidationError,
     "input 'y': .* is given as input 'x' too; each tensor may be given once"),
    ("input and output", lambda w: w.dispatch({"x": w.x, "y": w.y}, {"product": w.x}, w.product), ValidationError,
     r"output 'product': .* is given as input 'x' too, .* both read it, .* graph.explain\(\)"),
    ("inputs none", lambda w: w.dispatch(None, {"sum": w.z}), ValidationError,
     "inputs must be a mapping of names to tensors, got NoneType"),
    ("inputs a list", lambda w: w.dispatch([w.x, w.y], {"sum": w.z}), ValidationError,
     "inputs must be a mapping of names to tensors, got list"),
    ("inputs an array", lambda w: w.dispatch(w.array, {"sum": w.z}), ValidationError,
     "inputs must be a mapping of names to tensors, got ndarray"),
    ("inputs a string", lambda w: w.dispatch("xy", {"sum": w.z}), ValidationError,
     "inputs must be a mapping of names to tensors, got str"),
    ("outputs a tensor", lambda w: w.dispatch({"x": w.x, "y": w.y}, w.z), ValidationError,
     "outputs must be a mapping of names to tensors, got MLTensor"),
    ("not a graph", lambda w: w.dispatch({}, {}, graph=3), ValidationError, "graph must be an MLGraph, got int"),
    ("foreign graph", lambda w: w.dispatch({}, {}, graph=w.foreign_graph), ValidationError, "> belongs to another"),
    ("destroyed graph", lambda w: w.dispatch({}, {}, graph=w.gone_graph), InvalidStateError, "> was destroyed"),
)  # fmt: skip
def test_dispatch(world: World, call: Any, error: Any, message: str) -> None:
    check(world, call, error, f"^dispatch: .*{message}")


@cases(
    ("missing", lambda w: w.run({"x": w.array}), ValidationError,
     "missing 'y' among the inputs; the graph has 'x', 'y'"),
    ("unknown", lambda w: w.run({**w.good, "z": w.array}), ValidationError, "unknown 'z' among the inputs"),
    ("renamed", lambda w: w.run({"x": w.array, "Y": w.array}), ValidationError, "missing 'y' and unknown 'Y' among"),
    ("none", lambda w: w.run(None), ValidationError, "inputs must be a mapping of names to arrays, got NoneType"),
    ("an array", lambda w: w.run(w.array), ValidationError, "inputs must be a mapping of names to arrays, got ndarray"),
    ("pairs", lambda w: w.run([("x", w.array), ("y", w.array)]), ValidationError, "must be a mapping .*, got list"),
    ("tensors", lambda w: w.run({"x": w.x, "y": w.y}), ValidationError, "input 'x': .*MLTensor"),
    ("not a graph", lambda w: w.run(w.good, graph="graph"), ValidationError, "graph must be an MLGraph, got str"),
    ("foreign graph", lambda w: w.run(w.good, graph=w.foreign_graph), ValidationError, "belongs to another context"),
    ("destroyed graph", lambda w: w.run(w.good, graph=w.gone_graph), InvalidStateError, "> was destroyed"),
)  # fmt: skip
def test_run(world: World, call: Any, error: Any, message: str) -> None:
    for world.entry in ("run", "compute"):
        check(world, call, error, f"^{world.entry}: .*{message}")


@cases(
    ("no type", lambda w: w.create([2]), ValidationError, "data type must be one of .*, got None"),
    ("unknown type", lambda w: w.create([2], "float64"), ValidationError, "data type .*, got 'float64'"),
    ("numpy type", lambda w: w.create([2], np.float64), ValidationError, "data type .*, got 'float64'"),
    ("four bits", lambda w: w.create([2], "int4"), ValidationError, "int4 is for constants only"),
    ("zero", lambda w: w.create([2, 0], "int8"), ValidationError, r"shape \[2, 0\]: dimension 0 is out of range"),
    ("negative", lambda w: w.create([-1], "int8"), ValidationError, r"shape\[0\] must be .*, got -1"),
    ("fraction", lambda w: w.create([1.5], "int8"), ValidationError, r"shape\[0\] .*, got 1\.5"),
    ("text", lambda w: w.create("23", "int8"), ValidationError, "shape must be a sequence .*, got '23'"),
    ("number", lambda w: w.create(6, "int8"), ValidationError, "shape must be a sequence .*, got 6"),
    ("none", lambda w: w.create(None, "int8"), ValidationError, "shape must be a sequence .*, got None"),
    ("rank nine", lambda w: w.create([1] * 9, "int8"), ValidationError, "has 9 dimensions; at most 8"),
    ("too large", lambda w: w.create([2**31], "int8"), ValidationError, "dimension 2147483648 is out of range"),
    ("too many", lambda w: w.create([2**16, 2**16], "int8"), ValidationError, "has 4294967296 elements"),
    ("too many bytes", lambda w: w.create([2**30], "int32"), ValidationError, "takes 4294967296 bytes"),
    ("two types", lambda w: w.create(w.x.descriptor, "int8"), ValidationError, "the descriptor is float32, .* 'int8'"),
    ("odd key", lambda w: w.create({"shape": [2], "type": "int8"}), ValidationError, "must have the keys"),
    ("odd flag", lambda w: w.create([2], "int8", readable="yes"), ValidationError, "readable must be True"),
    ("odd flag in", lambda w: w.create({"shape": [2], "dataType": "int8", "writable": 1}),
     ValidationError, "writable must be True or False, got 1"),
    ("budget", lambda w: w.create([BUDGET], "int8"), OperationError,
     "the memory budget of 100000 bytes does not hold 106496 more"),
)  # fmt: skip
def test_create_tensor(world: World, call: Any, error: Any, message: str) -> None:
    check(world, call, error, message if error is OperationError else f"^create_tensor: .*{message}")


def test_a_constant_tensor_that_exceeds_the_budget(world: World) -> None:
    with pytest.raises(OperationError, match="the memory budget of 100000 bytes does not hold 106496 more"):
        world.context.create_constant_tensor(np.zeros(100_001, np.int8))


def test_a_run_that_exceeds_the_budget(world: World) -> None:
    builder = world.context.create_graph_builder()
    x = builder.input("x", [60_000], "int8")
    graph = builder.build({"y": builder.identity(x)})
    with pytest.raises(OperationError, match=r"the memory budget of 100000 bytes does not hold \d+ more"):
        world.context.run(graph, {"x": np.zeros(60_000, np.int8)})


class Angry(Mapping[str, Any]):
    """A mapping that fails in the middle."""

    def __getitem__(self, name: str) -> Any:
        raise RuntimeError("not today")

    def __iter__(self) -> Iterator[str]:
        return iter(["x", "y"])

    def __len__(self) -> int:
        return 2


def test_a_mapping_that_fails_is_the_callers_error_and_changes_nothing(world: World) -> None:
    with pytest.raises(RuntimeError, match="not today"):
        world.run(Angry())
    with pytest.raises(RuntimeError, match="not today"):
        world.dispatch(Angry(), {"sum": world.z})


def test_data_that_fails_to_become_an_array_is_a_clear_error(world: World) -> None:
    class Angry:
        def __array__(self, *_: object, **__: object) -> Any:
            raise RuntimeError("not today")

    calls: list[Callable[[], object]] = [
        lambda: world.write(world.x, Angry()),
        lambda: world.run({"x": Angry(), "y": world.array}),
    ]
    for call in calls:
        with pytest.raises(ValidationError, match=r"expected float32 \[2, 3\], got Angry: not today"):
            call()


def test_a_mapping_that_makes_things_up_is_taken_at_its_word(world: World) -> None:
    made_up: Any = defaultdict(lambda: world.array)
    with pytest.raises(ValidationError, match="missing 'x', 'y'"):
        world.run(made_up)


@pytest.mark.parametrize("what", ["graph", "context", "tensor"])
@pytest.mark.parametrize("entry", ["dispatch", "run", "compute"])
def test_what_is_destroyed_in_the_middle_of_a_call_leaves_nothing_pending(what: str, entry: str) -> None:
    """As another thread might do it."""
    create = webnn.ML().create_context
    with create(backend="arrays") as context, create(backend="arrays") as other:
        world = World(context, other)
        context.compute(world.graph, world.good)

        class Destroying(dict[str, Any]):
            def __getitem__(self, name: str) -> Any:
                victims: dict[str, Any] = {"graph": world.graph, "context": context, "tensor": world.x}
                victims[what].destroy()
                return super().__getitem__(name)

        with contextlib.suppress(InvalidStateError, DestroyedError):
            if entry == "dispatch":
                context.dispatch(world.graph, Destroying(x=world.x, y=world.y), {"sum": world.z}).finished().result(5)
            elif entry == "run":
                context.run(world.graph, Destroying(world.good)).result(5)
            else:
                context.compute(world.graph, Destroying(world.good))
