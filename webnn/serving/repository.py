"""The models of a server: names, versions and graphs. Requests look them up here, and never in the file system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import NotSupportedError, ValidationError
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph
from webnn.runtime.parts import batcher_of, device_of
from webnn.scheduler.promise import Promise
from webnn.serving.protocol import DATATYPES, Port, Refused

__all__ = ["Repository", "Served"]

Array = np.ndarray[Any, Any]

PLATFORM: Final = "webnn"


class Served:
    """One version of a model.

    Args:
        name: the name of the model.
        version: a positive number as text.
        graph: takes one item if `batched`. Its context must outlive this.
        batched: whether a request may have several items, along the leading dimension of all inputs and outputs.
            Each item is a run, and the context gathers runs in batches.

    Raises:
        ValidationError: `batched` is True, and an input or output is not of one item, or items depend on each other.
        NotSupportedError: an input or output is of a data type that the protocol lacks.
    """

    def __init__(self, name: str, version: str, graph: MLGraph, *, batched: bool = False) -> None:
        self.name = name
        self.version = version
        self.graph = graph
        self.context: MLContext = graph.context
        ports = {**graph.inputs, **graph.outputs}
        for port, descriptor in ports.items():
            if descriptor.data_type not in DATATYPES:
                raise NotSupportedError(f"{name}: {port!r} is {descriptor.data_type}, which the protocol lacks")
            if batched and descriptor.shape[:1] != (1,):
                raise ValidationError(f"{name}: {port!r} must be of one item, got shape {list(descriptor.shape)}")
        if batched and (reason := graph.explain().why_not_separable) is not None:
            raise ValidationError(f"{name}: items depend on each other: {reason}")
        self.batched = batched
        self.pace = 0.0
        """Seconds that a run took when it was loaded; 0 if that was not measured."""
        self.inputs = {port: Port.of(port, each, batched=batched) for port, each in graph.inputs.items()}
        self.outputs = {port: Port.of(port, each, batched=batched) for port, each in graph.outputs.items()}

    @property
    def company(self) -> int:
        """Runs that are worth having under way at once beyond those of the lanes: a batch, and the next one."""
        batcher = batcher_of(self.graph)
        return 0 if batcher is None or batcher.policy.pays is False else 2 * device_of(self.context).max_batch

    def start(self, inputs: Mapping[str, Array], items: int) -> Sequence[Promise[dict[str, Array]]]:
        """Start a run for each of the `items` of a request, if it is batched; else one run."""
        if items == 1:
            return [self.context.run(self.graph, inputs)]
        return [
            self.context.run(self.graph, {name: array[i : i + 1] for name, array in inputs.items()})
            for i in range(items)
        ]

    def metadata(self, versions: Sequence[str]) -> dict[str, Any]:
        """What clients are told about it."""
        return {
            "name": self.name,
            "versions": list(versions),
            "platform": PLATFORM,
            "inputs": [port.metadata() for port in self.inputs.values()],
            "outputs": [port.metadata() for port in self.outputs.values()],
        }


class Repository:
    """All models by name, and their versions; a request without a version gets the highest.

    Args:
        models: every version of every model.

    Raises:
        ValidationError: a version occurs twice.
    """

    def __init__(self, models: Sequence[Served]) -> None:
        self._models: dict[str, dict[str, Served]] = {}
        for served in models:
            versions = self._models.setdefault(served.name, {})
            if served.version in versions:
                raise ValidationError(
                    f"two models are named {served.name!r}, version {served.version}; name one with NAME=PATH"
                )
            versions[served.version] = served
        for name, versions in self._models.items():
            self._models[name] = dict(sorted(versions.items(), key=lambda item: int(item[0])))

    def __iter__(self) -> Iterator[Served]:
        for versions in self._models.values():
            yield from versions.values()

    @property
    def names(self) -> list[str]:
        """The names of all models."""
        return list(self._models)

    def versions(self, name: str) -> list[str]:
        """The versions of a model, lowest first."""
        return list(self._models[name])

    def find(self, name: str, version: str | None = None) -> Served:
        """A version of a model, the highest by default.

        Raises:
            Refused: there is none.
        """
        versions = self._models.get(name)
        if versions is None:
            raise Refused(404, f"there is no model named {name[:80]!r}; GET /v2/repository/index lists all")
        if version is None:
            return next(reversed(versions.values()))
        if version not in versions:
            raise Refused(404, f"model {name!r} has no version {version[:80]!r}; it has {', '.join(versions)}")
        return versions[version]
