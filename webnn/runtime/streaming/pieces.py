"""The work on one item of a stream, done in one piece on one thread: `before`, the stages, `after`.

Each stage takes the result of the one before it. A stage is a function, or a graph that takes its inputs by name and
gives its outputs by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from webnn.errors import ContextLostError, ValidationError
from webnn.graph.arguments import printable
from webnn.runtime import checks
from webnn.runtime.device import Device
from webnn.runtime.graph import MLGraph
from webnn.runtime.streaming.options import check_not_async
from webnn.runtime.streaming.window import Failure, Item
from webnn.scheduler.direct import run_here

__all__ = ["ItemError", "Piece", "Stage", "piece_of"]

Stage: TypeAlias = MLGraph | Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ItemError:
    """What a stream with `on_error="yield"` gives in place of a result.

    Attributes:
        number: the number of the item, from 0: the number of items that the source had given before it.
        error: what the program's function or the run raised.
    """

    number: int
    error: Exception


class Piece:
    """The work on an item: calls `steps` one after the other.

    Args:
        steps: the first one takes the item, each other one the result of the step before.
        key: the key of an item; it stands beside the item's result.
        yields_errors: whether an error of a step is a result too.
    """

    def __init__(
        self, steps: Sequence[Callable[[Any], Any]], key: Callable[[Any], Any] | None, *, yields_errors: bool
    ) -> None:
        self._steps = steps
        self._key = key
        self._yields_errors = yields_errors

    def __call__(self, item: Item) -> tuple[Any, bool]:
        """The outcome of `item`, and whether it is an error."""
        try:
            key = None if self._key is None else self._key(item.value)
            try:
                result, failed = item.value, False
                for step in self._steps:
                    result = step(result)
            except ContextLostError:
                raise  # so would all other items
            except Exception as error:
                if not self._yields_errors:
                    raise
                result, failed = ItemError(item.number, error), True
            return (result if self._key is None else (key, result)), failed
        except (StopIteration, StopAsyncIteration) as error:  # these would end the consumer's loop without a word
            raised = RuntimeError(f"a function of the stream raised {type(error).__name__}")
            raised.__cause__ = error
            return Failure(raised), True
        except BaseException as error:
            return Failure(error), True


def piece_of(
    device: Device,
    graph: MLGraph | Sequence[Stage],
    *,
    before: Callable[[Any], Any] | None,
    after: Callable[[Any], Any] | None,
    key: Callable[[Any], Any] | None,
    state: Mapping[str, str] | None,
    yields_errors: bool,
) -> Piece:
    """The work that a call of `context.stream` asks for.

    Raises:
        ValidationError: a stage is neither a graph of this context nor a function; `state` does not fit the graphs.
    """
    if isinstance(graph, Sequence):
        stages = list(graph)
        for i, stage in enumerate(stages):
            if isinstance(stage, MLGraph):
                checks.check_graph(device, "stream", stage)
            elif not callable(stage):
                raise ValidationError(f"stream: stage {i} must be a graph or a function, got {type(stage).__name__}")
            else:
                check_not_async(f"stream: stage {i}", stage)
        if not any(isinstance(stage, MLGraph) for stage in stages):
            raise ValidationError(f"stream: at least one of the stages must be a graph, got {len(stages)} functions")
    else:
        checks.check_graph(device, "stream", graph)
        stages = [graph]
    fed_back = _states(stages, state)
    steps = [
        _step(device, stage, fed_back.get(id(stage), {})) if isinstance(stage, MLGraph) else stage for stage in stages
    ]
    return Piece([step for step in (before, *steps, after) if step is not None], key, yields_errors=yields_errors)


def _step(device: Device, graph: MLGraph, state: Mapping[str, str]) -> Callable[[Any], dict[str, Any]]:
    """A function that runs `graph` on the calling thread."""
    timeline = device.timeline

    def run(feeds: Any) -> dict[str, Any]:
        given = checks.feeds(device, "stream", graph, feeds)
        outputs = run_here(timeline, graph._work, given, graph._output_shelves)  # without a copy of large inputs
        if outputs is None:
            outputs = timeline.run(graph._work, given, graph._output_shelves, here=True).result()
        return outputs

    return _with_state(graph, state, run) if state else run


def _with_state(
    graph: MLGraph, state: Mapping[str, str], run: Callable[[Any], dict[str, Any]]
) -> Callable[[Any], dict[str, Any]]:
    """`run`, with the outputs of the item before among its inputs. Items that failed leave them as they were."""
    values: dict[str, np.ndarray[Any, Any]] = {}
    for name in state.values():
        descriptor = graph.inputs[name]
        values[name] = np.zeros(descriptor.shape, descriptor.dtype)

    def run_with_state(feeds: Any) -> dict[str, Any]:
        outputs = run({**values, **feeds} if isinstance(feeds, Mapping) else feeds)
        for output, input_ in state.items():
            values[input_] = outputs[output]
        return outputs

    return run_with_state


def _states(stages: Sequence[object], state: Mapping[str, str] | None) -> dict[int, dict[str, str]]:
    """The outputs that are fed back, and the inputs that take them, by the identity of the graph."""
    if state is None:
        return {}
    if not isinstance(state, Mapping):
        raise ValidationError(f"stream: state must map names of outputs to names of inputs, got {type(state).__name__}")
    graphs = list({id(stage): stage for stage in stages if isinstance(stage, MLGraph)}.values())
    found: dict[int, dict[str, str]] = {}
    for output, input_ in state.items():
        owners = [graph for graph in graphs if output in graph.outputs and input_ in graph.inputs]
        if len(owners) != 1:
            names = "; ".join(f"{list(graph.outputs)} to {list(graph.inputs)}" for graph in graphs)
            raise ValidationError(
                f"stream: state feeds {printable(str(output))!r} back to {printable(str(input_))!r}, but"
                f" {len(owners)} of the graphs have both, expected 1; there is {names}"
            )
        given, taken = owners[0].outputs[output], owners[0].inputs[input_]
        if given != taken:
            raise ValidationError(
                f"stream: state feeds output {printable(output)!r}, {given}, back to"
                f" input {printable(input_)!r}, {taken}"
            )
        of_graph = found.setdefault(id(owners[0]), {})
        if input_ in of_graph.values():
            raise ValidationError(f"stream: state feeds two outputs back to input {printable(input_)!r}")
        of_graph[output] = input_
    return found
