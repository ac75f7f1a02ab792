"""Pickling and copying: every handle says why it cannot be, and what to do instead."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import webnn
from tests.scripted import double
from webnn.graph.unpicklable import Unpicklable


def handles(context: webnn.MLContext) -> dict[str, tuple[object, str]]:
    """One of each handle, and a part of what it says to do instead."""
    builder, graph = context.create_graph_builder(), double(context)
    results = aiter(context.stream(graph, []))
    return {
        "Audit": (context.audit(graph, backend="onnxruntime"), "send its finding"),
        "MLContext": (context, r"make the context in the process that uses it, with webnn.create_context"),
        "MLGraph": (graph, r"Keep it with graph.save\(path\) or context.save_graph\(key, graph\)"),
        "MLTensor": (context.create_tensor([2], "float32"), "Send the array that context.read_tensor gives"),
        "MLGraphBuilder": (builder, r"save a built graph with graph.save\(path\)"),
        "MLOperand": (builder.input("x", [2], "float32"), r"Save the built graph with graph.save\(path\)"),
        "Program": (context.record(), "Send a function that records it on a context of the process that uses it"),
        "Stream": (context.stream(graph, []), "make the stream in the process that uses it"),
        "StreamResults": (results, "make the stream in the process that uses it"),
        "StreamIterator": (iter(context.stream(graph, [])), "make the stream in the process that uses it"),
        "Trace": (context.trace(), r"save\(path\), and send the file"),
    }


KINDS = [
    "Audit",
    "MLContext",
    "MLGraph",
    "MLGraphBuilder",
    "MLOperand",
    "MLTensor",
    "Program",
    "Stream",
    "StreamIterator",
    "StreamResults",
    "Trace",
]

USES: dict[str, Callable[[object], Any]] = {
    "pickled": pickle.dumps,
    "pickled with the oldest protocol": lambda handle: pickle.dumps(handle, 0),
    "pickled inside a list": lambda handle: pickle.dumps([handle]),
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
    "copied deeply inside a list": lambda handle: copy.deepcopy([handle]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_it_says_what_to_do_instead(kind: str, use: Callable[[object], Any]) -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        handle, instead = handles(context)[kind]
        with pytest.raises(TypeError, match=f"^{kind} cannot be pickled or copied: .*{instead}") as caught:
            use(handle)
    assert caught.value.__cause__ is None


def test_every_public_class_of_the_runtime_that_cannot_be_pickled_says_so() -> None:
    kinds = {name: kind for name in webnn.__all__ if isinstance(kind := getattr(webnn, name), type)}
    below = ("webnn.graph.", "webnn.scheduler.", "webnn.runtime.")  # others are made of names and figures
    classes = {name for name, kind in kinds.items() if kind.__module__.startswith(below)}
    picklable = {"ML", "MLContextLostInfo", "MLOperandDescriptor", "Statistics", "GraphStatistics", "Histogram"}
    picklable |= {"AuditFinding", "ItemError", "StreamStatistics", "TraceEvent", "View"}
    of_the_scheduler = {"Dispatch", "Promise"}
    said = {name for name in classes if issubclass(getattr(webnn, name), Unpicklable)}
    assert (
        classes - picklable - of_the_scheduler
        == said - of_the_scheduler
        == {*KINDS} - {"StreamIterator", "StreamResults"}
    )


def test_what_describes_something_can_be_pickled_and_copied() -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        values = [
            webnn.ML(),
            webnn.available_backends(),
            webnn.MLOperandDescriptor("float32", [2, 3]),
            context.memory_info(),
            context.statistics(),
            context.statistics().graphs,
            context.op_support_limits(),
        ]
        array = context.compute(double(context), {"x": np.ones(4, np.float32)})["y"]
    for value in values:
        for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert isinstance(value, webnn.ML) or again == value
    assert pickle.loads(pickle.dumps(array)).tolist() == array.tolist()


def test_the_class_itself_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(webnn.MLTensor)) is webnn.MLTensor
