"""`MLGraph`: a graph that is compiled in the background for a context.

Spec: https://www.w3.org/TR/webnn/#api-mlgraph
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from webnn.backends.base import CompileOptions
from webnn.errors import InvalidStateError, ValidationError
from webnn.forking import import_lock, import_whole
from webnn.graph.arguments import shown
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.in_place import pair_numbers
from webnn.graph.ir import Graph
from webnn.graph.other_names import GRAPH
from webnn.graph.spelling import named_elsewhere
from webnn.graph.unpicklable import Unpicklable
from webnn.runtime.compilation import Compilation
from webnn.runtime.device import Device
from webnn.runtime.saving import SAVERS, registered

if TYPE_CHECKING:
    from webnn.graph.explanation import Explanation
    from webnn.graph.placement import OperatorPlacement
    from webnn.graph.rewrites import Rewrite
    from webnn.runtime.views import View

__all__ = ["MLGraph", "compiling"]


@named_elsewhere(GRAPH)
class MLGraph(Compilation, Unpicklable):
    """An immutable graph, compiled in the background.

    Made by `MLGraphBuilder.build`. It can be dispatched at once; awaiting it waits for the compilation, gives the
    graph itself, and raises `OperationError` if the backend could not compile it.

    A graph lives until `destroy()`, until its context is destroyed, or until its last reference is gone. Runs that were
    queued before then still complete.
    """

    _why_unpicklable: ClassVar[str] = (
        "it is compiled for a device of this process. Keep it with graph.save(path) or context.save_graph(key, graph),"
        " send the path or the key, and load it with a context of the process that uses it"
    )

    def __init__(
        self,
        context: object,
        device: Device,
        graph: Graph,
        check: Callable[[], None] | None = None,
        *,
        options: CompileOptions | None = None,
        dispatches: int = 1,
    ) -> None:
        super().__init__(device, graph, check, options, dispatches)
        self._context = context  # opaque here, and alive as long as its graphs
        self._is_small = 1 <= len(self._input_shelves) <= 2 and len(self._output_shelves) == 1
        # The plan of `checks.feeds`.
        self._feeds = [
            (name, shelf, shelf.descriptor.dtype, shelf.descriptor.shape) for name, shelf in self._input_shelves
        ]
        self._explanation: Explanation | None = None
        self._in_place: Sequence[tuple[int, int]] | None = None

    @property
    def inputs(self) -> Mapping[str, MLOperandDescriptor]:
        """The data type and shape of each input, by name."""
        return self._graph.input_descriptors

    @property
    def unread_inputs(self) -> frozenset[str]:
        """The names of further inputs of the file, which no output depends on: `run` and its kind ignore their values.

        It is empty for a graph that was built by a program.
        """
        return self._graph.unread_inputs

    @property
    def outputs(self) -> Mapping[str, MLOperandDescriptor]:
        """The data type and shape of each output, by name."""
        return self._graph.output_descriptors

    @property
    def label(self) -> str:
        """Its name in statistics and traces, "inputs -> outputs" at first. May be set to any other text."""
        return self._figures.label

    @label.setter
    def label(self, label: str) -> None:
        if not isinstance(label, str):
            raise ValidationError(f"label: a text is expected, got {shown(label)}")
        self._figures.label = label

    @property
    def backend(self) -> str:
        """The backend that runs it now: the context's own, or `meanwhile` until the context's own has compiled it."""
        return self._backend.name

    @property
    def context(self) -> Any:
        """The `MLContext` that it runs on."""
        return self._context

    if not TYPE_CHECKING:

        def __call__(self, *_: object, **__: object) -> NoReturn:  # noqa: D102
            raise TypeError(
                f"{self!r} is not callable: write context.compute(graph, inputs), or await context.run(graph, inputs);"
                " webnn.Model(path) makes a callable model"
            )

    def explain(self) -> Explanation:
        """How the runtime runs this graph, which optimizations it cannot make, and why; print it to read it.

        It says which inputs can be *donated*: where a dispatch is the last use of an input's value, its memory can
        become that of an output, which an operator then writes in place. A tensor may be named both as such an input
        and as its output. It says whether several runs can be executed together, with `max_batch`. It lists the
        operators by label: where each runs, as the runtime has assigned it, in which data types, and whether it is one
        operator of the runtime or composed of several. The call compiles and runs nothing; the operators are listed
        once the graph is compiled.

        >>> import numpy as np, webnn
        >>> with webnn.create_context() as context:
        ...     builder = context.create_graph_builder()
        ...     cache = builder.input("cache", [128, 64], "float32")
        ...     row, at = builder.input("row", [1, 64], "float32"), builder.input("at", [1, 1], "int32")
        ...     graph = builder.build({"next": builder.scatter_nd(cache, at, row, label="store")})
        ...     zeros = {name: np.zeros(each.shape, each.dtype) for name, each in graph.inputs.items()}
        ...     _ = context.compute(graph, zeros)
        ...     print(graph.explain())
        donation of inputs whose last use is the dispatch:
          cache -> next (written in place by [store] scatter_nd)
          row: no, no output has its data type and shape
          at: no, no output has its data type and shape
        batches of several runs: no, [store] scatter_nd has indices that count from the start of dimension 0
        operators:
          [store] scatter_nd: CPUExecutionProvider, int32 and float32, composed by Clip, Cast, ScatterND
        """
        if self._explanation is None:
            with import_lock:  # here, since most programs explain nothing
                from webnn.graph.batching import why_not_separable  # noqa: PLC0415
                from webnn.graph.donation import graph_donations  # noqa: PLC0415
                from webnn.graph.explanation import Explanation  # noqa: PLC0415

            donations = graph_donations(self._graph, self._device.backend.in_place)
            self._explanation = Explanation(donations, why_not_separable(self._graph))
        # A new one, since it refers to the graph.
        return replace(self._explanation, find=self._placements, find_rewrites=self._rewrites)

    def _placements(self) -> list[OperatorPlacement] | None:
        with self._lock:  # both change together when another backend takes over
            backend, use = self._backend, self._used
        if use is None:
            return None
        return backend.placements(self._graph_for(backend), use.executable, self._options)

    def _rewrites(self) -> list[Rewrite]:
        backend = self._backend
        return backend.rewrites(self._graph_for(backend))

    def _may_share(self, inputs: Sequence[object], outputs: Sequence[object]) -> bool:
        """Whether every tensor that occurs twice is an input and the output that can take over its memory."""
        if self._in_place is None:
            with import_lock:  # here, since most programs write no tensor that they read
                from webnn.graph.donation import graph_donations  # noqa: PLC0415

            donations = graph_donations(self._graph, self._device.backend.in_place)
            self._in_place = pair_numbers(self._graph, donations.pairs)
        shared = 0
        for i, j in self._in_place:
            if inputs[i] is outputs[j]:
                shared += 1
        return len({*inputs}) == len(inputs) and len({*inputs, *outputs}) == len(inputs) + len(outputs) - shared

    def save(self, path: str | os.PathLike[str], *, names: Mapping[str, str] | None = None, **options: Any) -> None:
        """Write the graph to a file. The suffix of the path chooses the format.

        `names` gives inputs and outputs other names in the file: `{"136": "logits"}`. A name that the format cannot
        hold is replaced by one that it can, `_136`, and kept in a comment or in the metadata: `load_webnn` restores it.

        - `.onnx`: standard ONNX. More than a megabyte of weights goes into `NAME.onnx.data` beside it.
        - `.mlpackage`: a folder with an ML Program for Core ML (iOS 17, macOS 14 and later), and its weights. It needs
          the package coremltools. uint8, int8 and int64 inputs and outputs are int32 there, and scalars are [1].
        - `.webnn`, `.json`: the graph's text or JSON form, with the weights beside it. `weights="safetensors"`, the
          default, makes `STEM.safetensors`; `weights="blob"` makes `STEM.weights` with `STEM.manifest.json`.
        - `.js`: a JavaScript module that builds and runs the graph in a browser, with TypeScript declarations
          (`STEM.d.ts`, `webnn.d.ts`) and weights (`STEM.safetensors`) beside it.
        - `.html`: a page that needs nothing else, and tests the graph in the browser that opens it. `inputs` and
          `outputs` are the values of the test. The defaults are random inputs, from `seed`, and the outputs of the
          default backend. Floating-point outputs may differ by `tolerance` (1e-3) of the largest element.

        Each file appears whole, and replaces an earlier file of its name. But a new `.webnn`, `.json` or `.js` file
        does not replace other weights that are there already, such as those that a model was published with.

        Raises:
            ValidationError: no format has this suffix or this option, a name cannot be encoded, or `names` does not fit
                the graph. Nothing is written then.
            NotSupportedError: the format cannot express an operator.
            InvalidStateError: the graph is destroyed.
            FileExistsError: the weights would replace those of something else.
            OSError: a file cannot be written.
        """
        self._check_not_destroyed("save")
        path = Path(path)
        saver = SAVERS.get(path.suffix.lower())
        if saver is None:
            raise ValidationError(f"save: the suffix must be one of {', '.join(sorted(SAVERS))}, got {str(path)!r}")
        save = registered(saver)
        try:
            signature(save).bind(self._graph, path, **options)
        except TypeError as error:
            raise ValidationError(f"save: {path.suffix}: {error}") from None
        graph = self._graph
        if names:
            graph = import_whole("webnn.graph.rewriting").renamed(graph, names)
        save(graph, path, **options)

    def view(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        beside: MLGraph | None = None,
        target: str | Sequence[str] = (),
        open: bool = False,
    ) -> View:
        """The graph as one HTML page that needs nothing else, as `webnn view` draws it; a notebook shows it.

        The page shows the costs and shapes of every operator, folds blocks, searches, and saves the drawing as SVG.

        Args:
            path: a file to write the page to.
            beside: another graph, such as the result of `webnn.fit`; operators that differ are marked.
            target: a target of `webnn.check`, or several: operators that it refuses are marked with the reason.
            open: show the page in the browser of this desktop.

        Raises:
            NotSupportedError: no target has that name, or several have.
            InvalidStateError: the graph is destroyed.
            OSError: the file cannot be written.
        """
        self._check_not_destroyed("view")
        made: View = registered("webnn.view.views:view")(self, path, beside=beside, target=target, open=open)
        return made

    def _repr_html_(self) -> str | None:
        """The form that notebooks show; None for a destroyed graph, which they then write as text."""
        if self._destroyed:
            return None
        shown: str | None = registered("webnn.view.views:notebook_view")(self)
        return shown

    def _check_not_destroyed(self, what: str) -> None:
        if self._destroyed:
            self._device.check_not_lost()
            raise InvalidStateError(f"{what}: {self!r} was destroyed")

    def destroy(self) -> None:
        """Release its resources. A compilation that is under way is cancelled. Calling it again is fine.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraph-destroy
        """
        if not self._destroyed:
            self._destroyed = True
            if not self._compiled.done() or self._backend is not self._device.backend:
                self._cancellation.cancel()
            if not self._compiled.done():
                self._fail(self._work, InvalidStateError("the graph was destroyed before it was compiled"))
            self._let_go()

    def __await__(self) -> Generator[Any, Any, MLGraph]:
        self._hurry()
        yield from self._compiled.__await__()
        if self._destroyed:
            self._device.check_not_lost()
            raise InvalidStateError(f"{self!r} was destroyed")
        return self

    def __repr__(self) -> str:
        state = " (destroyed)" if self._destroyed else ""
        return f"<MLGraph {list(self.inputs)} -> {list(self.outputs)}{state}>"


def compiling(context: object, device: Device, graph: Graph, check: Callable[[], None] | None) -> MLGraph:
    """`graph` for `context`; the build thread calls `check`, and compiles it."""
    result = MLGraph(context, device, graph, check)
    device.register(result)
    device.build_lane.wake(result._compile_in_background)
    return result
