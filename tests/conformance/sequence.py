"""Plays WPT's recorded calls against the public API, step by step, and checks what each must give."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import pytest

import webnn
from tests.conformance import wpt
from tests.specification import snake
from webnn.errors import InvalidStateError, MLError, ValidationError
from webnn.graph.dtypes import numpy_dtype

__all__ = ["Player"]

ERRORS: Final[dict[str, type[MLError]]] = {"TypeError": ValidationError, "InvalidStateError": InvalidStateError}
"""What this package raises where the specification throws a JavaScript or DOM exception."""


class Player:
    """Holds the objects that recorded calls have made, by their ids.

    Args:
        backend: the backend of every context.
        objects: what the setup of the file has made.
    """

    def __init__(self, backend: str, objects: dict[str, Any] | None = None) -> None:
        self._ml = webnn.ML()
        self._backend = backend
        self.objects: dict[str, Any] = dict(objects or {})
        self._expected_rejections: list[tuple[dict[str, Any], Any]] = []
        self._buffers: list[Any] = []

    async def play(self, steps: Iterable[dict[str, Any]]) -> None:
        """Make the calls in order; raises AssertionError where one does not do what it must."""
        for step in steps:
            if step.get("detachedAfterCall"):
                pytest.skip("a buffer in use cannot be detached: Python refuses to release an exported memoryview")
            rejects = "rejects" in step.get("expect", {})
            # A promise that a following destroy must reject is looked at only after that call.
            if not rejects and step["call"] != "destroy":
                await self._settle_rejections()
            await self._play(step)
        await self._settle_rejections()

    def destroy_contexts(self, but: Iterable[str] = ()) -> None:
        """End every context that was made here."""
        for name, value in self.objects.items():
            if isinstance(value, webnn.MLContext) and name not in but:
                value.destroy()

    async def _play(self, step: dict[str, Any]) -> None:
        expect = step.get("expect", {})
        wanted = expect.get("throws") or expect.get("rejects")
        self._buffers.clear()
        try:
            result = self._call(step)
            if inspect.isawaitable(result) and "ret" in step:
                await result
        except MLError as error:
            self._check_error(step, error)
            return
        if "rejects" in expect and inspect.isawaitable(result):
            self._expected_rejections.append((step, result))
            return
        assert not wanted, f"{_shown(step)} gave {result!r}, expected {wanted}"
        if "ret" in step:
            several = isinstance(step["ret"], list)
            self.objects.update(zip(step["ret"], result, strict=True) if several else [(step["ret"], result)])
        await self._check_result(step, result)

    async def _settle_rejections(self) -> None:
        for step, promise in self._expected_rejections:
            try:
                result = await promise
            except MLError as error:
                self._check_error(step, error)
            else:
                raise AssertionError(f"{_shown(step)} gave {result!r}, expected {step['expect']}")
        self._expected_rejections.clear()

    def _check_error(self, step: dict[str, Any], error: MLError) -> None:
        expect = step.get("expect", {})
        wanted = expect.get("throws") or expect.get("rejects")
        assert isinstance(error, ERRORS.get(wanted, ())), f"{_shown(step)} raised {error!r}, expected {expect}"
        assert re.search(expect.get("messageMatches", ""), str(error)), f"{_shown(step)}: {error}"

    async def _check_result(self, step: dict[str, Any], result: Any) -> None:
        expect = step.get("expect", {})
        results = result if isinstance(result, list | tuple) else [result]
        described = expect.get("outputs") or ([expect] if "shape" in expect else [])
        for operand, wanted in zip(results, described, strict=bool(described)) if described else ():
            found = {"dataType": operand.data_type, "shape": list(operand.shape)}
            assert found == {key: wanted[key] for key in found}, f"{_shown(step)}: {found}, expected {wanted}"
        if step["call"] == "readTensor":
            array = np.asarray(await result)
            if "data" in expect:
                assert array.tobytes() == bytes(wpt.buffer_of(expect["data"])), f"{_shown(step)}: {array}"
            if "firstElement" in expect:
                assert array.reshape(-1)[0] == wpt.number_of(expect["firstElement"]), f"{_shown(step)}: {array}"
            for part in expect.get("out", ()):
                content, start = bytes(wpt.buffer_of(part["data"])), part["byteOffset"]
                found_bytes = bytes(self._buffers[0])[start : start + len(content)]
                assert found_bytes == content, f"{_shown(step)} left {found_bytes!r}"
        if step["call"] == "lost":
            await asyncio.wait_for(result, 10)

    def _call(self, step: dict[str, Any]) -> Any:
        args = [self._argument(value) for value in step["args"]]
        unknown = step.get("unknownOptions", ())  # WebIDL ignores members that it does not know
        options = {
            snake(name): self._argument(value) for name, value in step.get("options", {}).items() if name not in unknown
        }
        on: Any = self.objects[step["on"]] if "on" in step else None
        calls: dict[str, Callable[..., Any]] = {
            "createContext": self._create_context,
            "MLGraphBuilder": webnn.MLGraphBuilder,
            "input": lambda name, d: on.input(name, d["shape"], d["dataType"]),
            "constant": lambda d, buffer: on.constant(
                {key: d[key] for key in ("dataType", "shape")}, _as_float16(buffer, d["dataType"])
            ),
            "createTensor": lambda d: on.create_tensor(
                d["shape"], d["dataType"], readable=d.get("readable", False), writable=d.get("writable", False)
            ),
            "writeTensor": lambda tensor, data: on.write_tensor(tensor, _of_tensor(data, tensor)),
            "readTensor": lambda tensor, out=None: on.read_tensor(tensor, out=_of_tensor(out, tensor)),
            "lost": lambda: on.lost,
        }
        method = calls.get(step["call"]) or getattr(on, snake(step["call"]))
        result = method(*args, **options)
        if step["call"] in ("constant", "writeTensor"):
            for buffer in self._buffers:  # what was in it was taken at the call
                _scribble(buffer)
        return result

    def _create_context(self, options: dict[str, Any] | None = None) -> webnn.MLContext:
        given = {snake(name): value for name, value in (options or {}).items()}
        return self._ml.create_context(backend=self._backend, **given)

    def _argument(self, value: Any) -> Any:
        match value:
            case {"$ref": name}:
                return self.objects[name]
            case {"$f": _} | {"$i": _}:
                return wpt.number_of(value)
            case {"$buffer": _}:
                buffer = wpt.buffer_of(value)
                self._buffers.append(buffer)
                return buffer
            case {"$undefined": _}:
                return None
            case {"$opaque": _}:
                return object()
            case dict():
                return {key: self._argument(item) for key, item in value.items()}
            case list():
                return [self._argument(item) for item in value]
            case _:
                return value


def _shown(step: dict[str, Any]) -> str:
    options = "".join(f", {name}={value}" for name, value in step.get("options", {}).items())
    return f"{step['call']}({', '.join(map(str, step['args']))[:200]}{options})"


def _scribble(buffer: Any) -> None:
    memoryview(buffer).cast("B")[:] = b"\xa5" * memoryview(buffer).nbytes


def _as_float16(buffer: Any, data_type: str) -> Any:
    """Where a browser has no Float16Array, a Uint16Array holds the bits."""
    bits = isinstance(buffer, np.ndarray) and buffer.dtype == np.uint16 and data_type == "float16"
    return buffer.view(np.float16) if bits else buffer


def _of_tensor(buffer: Any, tensor: webnn.MLTensor) -> Any:
    """Bytes are bytes to JavaScript, whatever array they are seen through; here an array says what its elements are."""
    if isinstance(buffer, np.ndarray) and buffer.dtype != numpy_dtype(tensor.data_type):
        return buffer.view(np.uint8)
    return buffer
