"""`Model`: a model file as one picklable object, in as many sizes as its inputs have."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import unwrap
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from webnn.errors import ContextLostError, InvalidStateError, NotSupportedError, ValidationError
from webnn.forking import on_fork, reentrant_lock
from webnn.formats.files import Source, outline_of, reader_of
from webnn.formats.outline import ValueOutline
from webnn.graph.arguments import data_type_named, shown
from webnn.graph.dtypes import ALL
from webnn.graph.spelling import explained
from webnn.model.columns import computed_columns, is_ragged
from webnn.model.graphs import Graphs
from webnn.model.loaded import Call, Loaded, Outputs
from webnn.model.many import Many
from webnn.model.options import (
    at_least_one,
    batch_option,
    check_columns,
    names_in,
    names_known,
    names_mapped,
    warmup_option,
    worker_threads,
)
from webnn.model.signature import Signature
from webnn.model.threads import countdown, on_thread
from webnn.runtime import checks, parts
from webnn.runtime.context import MLContext
from webnn.runtime.ml import ML
from webnn.scheduler.statistics import Statistics

__all__ = ["AsyncModel", "Model", "ModelStatistics"]

GRAPHS_KEPT: Final = 16
"""How many graphs a model keeps by default, one for each combination of sizes."""
CONCURRENCY: Final = 64
"""How many calls of `run` are under way at once by default; the others wait for their turn."""


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """Figures of a model in this process.

    Attributes:
        calls: calls with valid inputs.
        items: the items in them; one for each call of a model without a batch.
        padded: rows that were computed only to fill batches.
        graphs: the graphs that are kept now.
        made: the graphs that were made.
        evicted: the graphs that were dropped to make room for others.
        runtime: the figures of its context; None if it is not loaded in this process.
    """

    calls: int = 0
    items: int = 0
    padded: int = 0
    graphs: int = 0
    made: int = 0
    evicted: int = 0
    runtime: Statistics | None = None


class Model(Many):
    """A model file, to call with arrays of any size that its inputs allow: `model = webnn.Model("model.onnx")`.

    It holds only names and options, so it pickles in less than 1 KB and can be sent to other processes and machines.
    Each process loads it at its first call, also after a fork. Reading `inputs` or `outputs` reads the file, and `load`
    loads it at once.

    ::

        model = webnn.Model("mobilenet.onnx", batch="batch")
        outputs = model({"image": images})  # [n, 3, 224, 224] for any n; blocks this thread
        outputs = await model.run({"image": images})  # in asyncio or trio

    Dimensions that the file leaves open take their sizes from the inputs. Each combination of sizes is a graph, which
    is made when it first occurs. All of them read the same weights.

    May be called from several threads and event loops at once. As a context manager it is closed at the end of the
    block. Otherwise its resources are released with its last reference, or at exit.

    Args:
        path: an `.onnx`, `.webnn` or `.json` file; the key of a saved graph, if `saved` is given.
        shapes: sizes for open dimensions that never change, by their name, or whole shapes by the input's.
        batch: the name of the dimension along which independent items lie. A call may then have any number of items.
            They are cut into batches of 32, 8, 2 and 1, the last of which is padded if it is at least three quarters
            full. A mapping of the name to a list sets other sizes: `{"batch": [1, 16]}`.
        outputs: the outputs to compute, by name. Default: all.
        backend: as in `create_context`.
        warmup: what is compiled and run once when the model loads: sizes of the batch, or mappings with the size of
            each open dimension by its name; True for every size of the batch.
        dtypes: as in `load_onnx`.
        constants: as in `load_onnx`.
        saved: True if `path` is the key of a saved graph (`context.save_graph`), or the `cache_dir` given there.
        keep: names of entries that are no inputs and are passed on to the outputs unchanged, such as keys of rows.
        errors: the name of another output: for each item, "" or the message of its error. An item that fails then has
            NaN or 0 in the outputs, and does not fail the others. Needs `batch`.
        graphs: the most graphs that are kept; the least recently used one is dropped first.
        concurrency: the most calls of `run` that are under way at once. Others wait, and their inputs are not copied.
        context: further options of `create_context`: `{"threads": 1}`. Where the environment variable
            `OMP_NUM_THREADS` has a number, as in the workers of Ray and Dask, the default is one lane with so many
            threads.

    Raises:
        ValidationError: an argument is not valid.
        NotSupportedError: this kind of file cannot be read.
    """

    @explained
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        shapes: Mapping[str, int | Sequence[int]] | None = None,
        batch: str | Mapping[str, Sequence[int]] | None = None,
        outputs: Sequence[str] | None = None,
        backend: str | None = None,
        warmup: bool | int | Mapping[str, int] | Sequence[int | Mapping[str, int]] = (),
        dtypes: Mapping[str, Any] | None = None,
        constants: Mapping[str, Any] | None = None,
        saved: bool | str | os.PathLike[str] = False,
        keep: Sequence[str] = (),
        errors: str | None = None,
        graphs: int = GRAPHS_KEPT,
        concurrency: int = CONCURRENCY,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise ValidationError(f"Model: path must be a path, got {shown(path)}")
        # Another process may have another current folder.
        self._path = os.fspath(path) if saved else os.path.abspath(path)
        if not saved:
            reader_of(Path(self._path))
        where = f"Model({self._path!r})"
        self._shapes = dict(names_mapped(where, "shapes", shapes))
        self._batch, self._sizes = batch_option(where, batch)
        self._outputs = tuple(names_in(where, "outputs", outputs or ()))
        if backend is not None and not isinstance(backend, str):
            raise ValidationError(f"{where}: backend must be a name, got {shown(backend)}")
        self._warmup = warmup_option(where, warmup, self._batch, self._sizes)
        self._dtypes = {
            name: data_type_named(f"{where}: dtypes[{name!r}]", given, ALL)
            for name, given in names_mapped(where, "dtypes", dtypes).items()
        }
        self._constants = dict(names_mapped(where, "constants", constants))
        self._saved = saved if isinstance(saved, bool) else os.path.abspath(saved)
        self._keep = tuple(names_in(where, "keep", keep))
        if errors is not None and (not isinstance(errors, str) or self._batch is None):
            raise ValidationError(
                f"{where}: errors must be the name of an output, for a model with batch=..., got {shown(errors)}"
            )
        self._errors = errors
        self._most = at_least_one(where, "graphs", graphs)
        self._concurrency = at_least_one(where, "concurrency", concurrency)
        self._context = dict(names_known(where, "context", context, unwrap(ML.create_context).__kwdefaults__ or ()))
        if backend is not None:
            self._context["backend"] = backend
        self._begin()

    def _begin(self) -> None:
        self._lock = reentrant_lock()  # around the three, while the model loads: it is loaded once
        self._loaded: Loaded | None = None
        self._own: MLContext | None = None
        self._outlines: tuple[dict[str, ValueOutline], dict[str, ValueOutline], Mapping[str, int]] | None = None
        self._closed = False
        _models.add(self)

    # Names only.

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _OF_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def __repr__(self) -> str:
        batch = f", batch={self._batch!r}" if self._batch is not None else ""
        return f"<{type(self).__name__} {self._path!r}{batch}{' (closed)' if self._closed else ''}>"

    @property
    def path(self) -> str:
        """The absolute path of the file, or the key of the saved graph."""
        return self._path

    @property
    def batch(self) -> str | None:
        """The name of the dimension of the batch, or None."""
        return self._batch

    # Inputs and outputs.

    @property
    def inputs(self) -> Mapping[str, ValueOutline]:
        """The inputs by name: `data_type`, and `shape` with the names of open dimensions. Reads the file."""
        return self._outline()[0]

    @property
    def outputs(self) -> Mapping[str, ValueOutline]:
        """The outputs by name, as the file declares them. Data types and shapes that it does not declare are empty."""
        return self._outline()[1]

    def _outline(self) -> tuple[dict[str, ValueOutline], dict[str, ValueOutline], Mapping[str, int]]:
        """The inputs, the outputs, and the largest sizes of open dimensions that have a limit."""
        with self._lock:
            if self._outlines is None:
                if self._saved:
                    graph = self.context.load_graph(self._path)
                    self._outlines = (_described(graph.inputs), _described(graph.outputs), {})
                else:
                    outline = outline_of(Path(self._path))
                    if outline is None:
                        raise NotSupportedError(f"{self._path}: the inputs of this kind of file are not known")
                    inputs = [value for value in outline.inputs if value.name not in self._constants]
                    declared = {value.name: value for value in outline.outputs}
                    names = self._outputs or tuple(declared)
                    self._outlines = (
                        {value.name: self._fixed(value) for value in inputs},
                        {name: self._typed(declared.get(name, ValueOutline(name))) for name in names},
                        outline.largest,
                    )
            return self._outlines

    def _typed(self, value: ValueOutline) -> ValueOutline:
        """`value` with the data type that `dtypes` gives it, and its shape as a tuple."""
        shape = None if value.shape is None else tuple(value.shape)
        return ValueOutline(value.name, self._dtypes.get(value.name, value.data_type), shape)

    def _fixed(self, value: ValueOutline) -> ValueOutline:
        """An input with the sizes of `shapes`."""
        value = self._typed(value)
        whole = self._shapes.get(value.name)
        if whole is not None and not isinstance(whole, int):
            return ValueOutline(value.name, value.data_type, tuple(whole))
        if value.shape is None:
            return value
        fixed: list[int | str] = []
        for size in value.shape:
            given = self._shapes.get(size) if isinstance(size, str) else None
            fixed.append(given if isinstance(given, int) else size)
        return ValueOutline(value.name, value.data_type, tuple(fixed))

    # Loading.

    @property
    def loaded(self) -> bool:
        """Whether this process has loaded it."""
        return self._loaded is not None

    @property
    def context(self) -> MLContext:
        """The context that runs it in this process. Made now, if the model is not loaded."""
        loaded = self._loaded
        if loaded is not None:
            return loaded.context
        with self._lock:
            if self._own is None:
                self._check_open()
                options = {"cache_dir": self._saved} if isinstance(self._saved, str) else {}
                self._own = ML().create_context(**{**options, **worker_threads(), **self._context})
            return self._own

    def load(self) -> Self:
        """Load it in this process now, with everything that `warmup` names. Calling it again is fine.

        Raises:
            OSError: the file cannot be read.
            DataError: it is not a valid model.
            ValidationError: an option does not fit it.
            NotSupportedError: WebNN, or the backend, cannot express it.
        """
        self._load()
        return self

    def _load(self) -> Loaded:
        with self._lock:
            if self._own is not None and parts.device_of(self._own).is_dead:  # on another context it may go on
                self._own = self._loaded = None
            loaded = self._loaded
            if loaded is None:
                self._check_open()
                inputs, outputs, largest = self._outline()
                check_columns(self._path, self._keep, self._errors, inputs, outputs)
                limit = largest.get(self._batch or "", self._sizes[-1])
                sizes = tuple(size for size in self._sizes if size <= limit) or (limit,)
                signature = Signature(self._path, list(inputs.values()), self._batch)
                source = Source(
                    Path(self._path),
                    shapes=self._shapes,
                    constants=self._constants,
                    dtypes=self._dtypes,
                    outputs=self._outputs,
                )
                graphs = Graphs(self.context, source, signature, outputs, self._most, saved=bool(self._saved))
                loaded = Loaded(self.context, signature, graphs, sizes, self._concurrency)
                if not signature.open:
                    graphs.get(())  # its errors belong here, and it compiles while the program goes on
                every: list[Mapping[str, Any]] = [{self._batch: size} for size in sizes[::-1]] if self._batch else [{}]
                for dimensions in every if self._warmup is True else self._warmup:
                    loaded.warm_up(dimensions)
                self._loaded = loaded
            return loaded

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidStateError(f"{self._path}: the model is closed; make another: webnn.Model({self._path!r})")

    # Running.

    def __call__(self, inputs: Mapping[str, Any] | Any) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs for `inputs`; blocks this thread until they are available. In an event loop, use `run`.

        Args:
            inputs: an array for each input by name, as `write_tensor` takes it, and the entries that `keep` names. For
                a model of one input, its array alone is enough.

        Raises:
            ValidationError: an input is missing, unknown, or not of the declared data type and shape.
            InvalidStateError: the model is closed.

        Besides the errors of `load` and of `context.compute`.
        """
        loaded = self._ready()
        if loaded is None:
            loaded = self._load()
        given, kept = self._parted(inputs)
        try:
            call = loaded.call(given)
            outputs = self._with_errors(call, loaded.compute(call))
        except Exception as error:
            if not self._splits(given, error):
                raise
            outputs = self._by_row(loaded, given)
        return {**outputs, **kept} if kept else outputs

    def _ready(self) -> Loaded | None:
        """What is loaded; None if nothing is, or if its context was lost."""
        loaded = self._loaded
        return None if loaded is None or loaded.is_lost else loaded

    def _with_errors(self, call: Call, outputs: Outputs) -> dict[str, Any]:
        """The outputs of a call without errors, with the column that says so."""
        if self._errors is None:
            return outputs
        return {**outputs, self._errors: np.full(call.count or 0, "")}

    def _splits(self, inputs: Any, error: Exception) -> bool:
        """Whether the rows of a call with this error are computed one by one, since the others may do."""
        of_all = isinstance(error, ContextLostError | InvalidStateError | TimeoutError)
        return not of_all and (self._errors is not None or self._has_rows(inputs))

    def _by_row(self, loaded: Loaded, inputs: Any) -> dict[str, Any]:
        """The outputs as columns, with the errors of rows, or the first of them raised."""
        columns = inputs if isinstance(inputs, Mapping) else {next(iter(self.inputs)): inputs}
        return computed_columns(loaded, columns, list(self.outputs.values()), self._errors)

    def _has_rows(self, inputs: Any) -> bool:
        """Whether the inputs are columns whose rows are computed one by one."""
        return self._batch is not None and is_ragged(inputs)

    async def run(
        self,
        inputs: Mapping[str, Any] | Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 (a deadline of the runtime, which drops the run)
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs for `inputs`, for asyncio and trio. Loading, and making graphs of new sizes, happens on a thread.

        At most `concurrency` calls are under way at once, and the others wait for their turn.

        Args:
            inputs: as in a call of the model.
            timeout: seconds after which a run raises `TimeoutError`, counted from its turn; None for no limit.

        Raises:
            As a call of the model does; TimeoutError.
        """
        seconds = None if timeout is None else checks.seconds(f"{self._path}: run: timeout", timeout)
        loaded = self._ready()
        if loaded is None:
            loaded = await on_thread(self._load)
        await loaded.slots.take()
        try:
            left = countdown(seconds)
            given, kept = self._parted(inputs)
            try:
                call = loaded.call(given)
                outputs = self._with_errors(call, await loaded.run(call, left))
            except Exception as error:
                if not self._splits(given, error):
                    raise
                outputs = await on_thread(self._by_row, loaded, given, seconds=left())
            return {**outputs, **kept} if kept else outputs
        except TimeoutError as error:
            raise TimeoutError(f"{self._path}: run: no result after {seconds} s") from error
        finally:
            loaded.slots.give_back()

    def _parted(self, inputs: Any) -> tuple[Any, dict[str, Any]]:
        """The inputs of the model, and the entries that are handed on."""
        if not self._keep:
            return inputs, {}
        if not isinstance(inputs, Mapping):
            raise ValidationError(
                f"{self._path}: with keep={list(self._keep)}, inputs must be a mapping, got {type(inputs).__name__}"
            )
        kept = {}
        for name in self._keep:
            if name not in inputs:
                raise ValidationError(
                    f"{self._path}: keep names {name!r}, but the inputs have only {', '.join(map(repr, inputs))}"
                )
            kept[name] = inputs[name]
        return {name: value for name, value in inputs.items() if name not in kept}, kept

    # Figures, and the end.

    def statistics(self) -> ModelStatistics:
        """Figures of its work in this process."""
        loaded = self._loaded
        if loaded is None:
            return ModelStatistics()
        graphs = loaded.graphs
        return ModelStatistics(
            loaded.calls,
            loaded.items,
            loaded.padded,
            len(graphs),
            graphs.made,
            graphs.evicted,
            loaded.context.statistics(),
        )

    def close(self) -> None:
        """Release its resources in this process, and refuse further calls. Calling it again is fine.

        Runs that are queued fail with `ContextLostError`.
        """
        with self._lock:
            self._closed = True
            context, self._own, self._loaded = self._own, None, None
        if context is not None:
            context.destroy()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncModel(Model):
    """A `Model` whose call is a coroutine, for frameworks that expect this of an async class, such as Ray Data.

    `await model(inputs)` is `await model.run(inputs)`.
    """

    async def __call__(self, inputs: Mapping[str, Any] | Any) -> dict[str, np.ndarray[Any, Any]]:  # type: ignore[override]
        """The outputs for `inputs`, as `run` gives them."""
        return await self.run(inputs)


_OF_PROCESS: Final = frozenset(("_lock", "_loaded", "_outlines", "_own", "_closed"))
"""What a model has in one process, and is not sent to another."""

_models: Final[weakref.WeakSet[Model]] = weakref.WeakSet()


@on_fork
def _give_up_contexts(_: int) -> None:
    """The contexts are in the parent. In the child each model loads again at its first call."""
    for model in list(_models):
        model._own = model._loaded = None


def _described(values: Mapping[str, Any]) -> dict[str, ValueOutline]:
    return {name: ValueOutline(name, value.data_type, tuple(value.shape)) for name, value in values.items()}
