"""`ML`: creates contexts, and chooses their backends.

Spec: https://www.w3.org/TR/webnn/#api-ml
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from webnn.backends.base import Backend, CompileOptions, DeviceType, PowerPreference
from webnn.backends.processors import usable_cores
from webnn.backends.registry import ACCELERATORS, backend_named, preferred_backend
from webnn.errors import ValidationError
from webnn.graph.arguments import boolean, enum_value, shown, unsigned
from webnn.graph.other_names import ML_OBJECT
from webnn.graph.spelling import explained, named_elsewhere
from webnn.runtime.cache_options import disk_cache
from webnn.runtime.checks import seconds
from webnn.runtime.context import MLContext

__all__ = ["ML", "create_context"]

_POWER: Final[tuple[PowerPreference, ...]] = ("default", "high-performance", "low-power")


@named_elsewhere(ML_OBJECT)
class ML:
    """Creates contexts: `webnn.ML().create_context()`."""

    def __repr__(self) -> str:
        return "<ML>"

    @explained
    def create_context(
        self,
        *,
        power_preference: PowerPreference = "default",
        compute_policy: PowerPreference | None = None,
        accelerated: bool | None = None,
        backend: str | None = None,
        backend_options: Mapping[str, str] | None = None,
        meanwhile: str | None = None,
        device_type: DeviceType | None = None,
        threads: int = 0,
        lanes: int | None = None,
        max_batch: int = 1,
        max_delay: float = 0.002,
        merge: bool = True,
        memory_budget: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        compiled_cache: bool | str | os.PathLike[str] | None = None,
        compiled_cache_bytes: int | None = None,
    ) -> MLContext:
        """A context on the device that fits the preferences best. Usable at once, and awaitable.

        `backend`, `device_type`, `accelerated` and `power_preference` choose the backend. The first of them that is
        given decides: a named backend runs on its own device, and `device_type` is a closer hint than `accelerated`.
        All but `backend` are preferences: without such a device the CPU is used, which is not an error.
        `context.backend` and `context.accelerated` say which was chosen.

        Args:
            power_preference: which accelerator to try first: "low-power" prefers an NPU to a GPU, "default" and
                "high-performance" a GPU to an NPU. It changes nothing where there is no accelerator.
            compute_policy: another name of `power_preference`, which the specification may take.
            accelerated: prefer a GPU or NPU to the CPU. This is the default, as in the specification, even on a machine
                without an accelerator. Backends of this package for accelerators are tried only where a program asks
                for one: by True, by a `power_preference` other than "default", or by `device_type`.
                `webnn.available_backends()` lists the accelerated ones.
            backend: the name of one of `webnn.available_backends()`.
            backend_options: options of the backend that `backend` names (see docs/devices.md).
            meanwhile: the name of another backend, which compiles faster. It runs each graph until the context's own
                has compiled it in the background. `graph.backend` names the one that runs a graph now. Results of the
                two differ by rounding.
            device_type: "cpu", "gpu" or "npu": the device to try first. "cpu" means the same as `accelerated=False`.
            threads: threads for each run of a graph. 0, the default, chooses for each run: all cores for a run on its
                own, and one thread beside other runs or a busy program (see docs/performance.md). Only backends with
                threads of their own use it: in this package, `onnxruntime`.
            lanes: worker threads that run graphs side by side. They start when they are first needed. Default: one for
                each core that the process may use, or for each `threads` of them; one for an accelerator.
            max_batch: the most runs of one graph that are executed together, as one batch; 1 for no batching. Runs that
                are under way at the same time are batched if the graph is separable along dimension 0 and batching is
                measured to be faster. Results then differ from unbatched ones by rounding (see docs/performance.md).
            max_delay: the most seconds that a run waits for others, while another lane runs a batch of the same graph.
                Nothing waits while the device is idle.
            merge: compile repeated chains of cheap dispatches, each as one graph, in the background. Results stay the
                same to the bit (see docs/performance.md). False runs them one by one. `max_batch` above 1 has the same
                effect.
            memory_budget: the most bytes that tensors and results may hold together; None for no limit.
            cache_dir: the folder of `save_graph`. Default: the folder in the environment variable `WEBNN_CACHE_DIR`,
                or else `webnn` in the user's cache folder.
            compiled_cache: keep compiled graphs on disk for the next program: True for `cache_dir`, or a folder.
                Default: the environment variable `WEBNN_COMPILED_CACHE` ("on", "off" or a folder), or else off, since
                most graphs are compiled in less time than it takes to verify a stored one (see docs/caching.md).
            compiled_cache_bytes: the most bytes that they may take. Default: the environment variable
                `WEBNN_COMPILED_CACHE_BYTES`, or else 1 GiB.

        Raises:
            ValidationError: an option is not one of its values.
            NotSupportedError: the backend does not exist or cannot be used here; the message says why.

        Spec: https://www.w3.org/TR/webnn/#api-ml-createcontext
        """
        try:
            power = _power(power_preference, compute_policy)
            if accelerated is not None:
                boolean("accelerated", accelerated)
            boolean("merge", merge)
            if device_type is not None:
                enum_value("device_type", device_type, ("cpu", "gpu", "npu"))
            if backend is not None and not isinstance(backend, str):
                raise ValidationError(f"backend must be a name, got {shown(backend)}")
            if meanwhile is not None and not isinstance(meanwhile, str):
                raise ValidationError(f"meanwhile must be the name of a backend, got {shown(meanwhile)}")
            if lanes is not None and unsigned("lanes", lanes) == 0:
                raise ValidationError("lanes must be at least 1, got 0")
            if unsigned("max_batch", max_batch) == 0:
                raise ValidationError("max_batch must be at least 1, got 0")
            delay = seconds("max_delay", max_delay)
            own = _own_options(backend, backend_options)
            options = CompileOptions(threads=unsigned("threads", threads), backend=own)
            if isinstance(memory_budget, bool) or not isinstance(memory_budget, int | None) or (memory_budget or 0) < 0:
                raise ValidationError(f"memory_budget must be a number of bytes, got {shown(memory_budget)}")
            if not isinstance(cache_dir, str | os.PathLike | None):
                raise ValidationError(f"cache_dir must be a path, got {cache_dir!r}")
            disk = disk_cache(compiled_cache, compiled_cache_bytes, cache_dir)
        except ValidationError as error:
            raise ValidationError(f"create_context: {error}") from None
        chosen = _chosen_backend(backend, device_type, accelerated, power)
        preferred = chosen.preferred_options(power, accelerated is not False and device_type != "cpu")
        own = tuple(sorted({**preferred, **dict(own)}.items()))
        options = CompileOptions(threads=options.threads, backend=own)
        try:
            chosen.check_options(dict(own))
        except ValidationError as error:
            raise ValidationError(f"create_context: {error}") from None
        if meanwhile == chosen.name:
            raise ValidationError(
                f"create_context: meanwhile must be another backend than the context's own, which is {meanwhile!r}"
            )
        if lanes is None:
            on_cpu = chosen.device(dict(own)).type == "cpu"
            lanes = max(1, usable_cores() // max(1, options.threads)) if on_cpu else 1
        return MLContext(
            chosen,
            options,
            lanes=lanes,
            memory_budget=memory_budget,
            cache_dir=cache_dir,
            disk=disk,
            meanwhile=None if meanwhile is None else backend_named(meanwhile),
            max_batch=max_batch,
            max_delay=delay,
            merge=merge,
        )


def _power(preference: object, policy: object) -> PowerPreference:
    """The option `power_preference`, which may be given as `compute_policy`."""
    power: PowerPreference = enum_value("power_preference", preference, _POWER)
    if policy is None:
        return power
    other: PowerPreference = enum_value("compute_policy", policy, _POWER)
    if power not in ("default", other):
        raise ValidationError(f"compute_policy is another name of power_preference: got {policy!r} and {power!r}")
    return other


def _chosen_backend(
    name: str | None, device_type: DeviceType | None, accelerated: bool | None, power: PowerPreference
) -> Backend:
    if name is not None:
        return backend_named(name)
    if device_type is not None or accelerated is False:
        return preferred_backend([device_type or "cpu"], asked=device_type is not None)
    order = ACCELERATORS[::-1] if power == "low-power" else ACCELERATORS
    return preferred_backend(order, asked=accelerated is True or power != "default")


def _own_options(backend: str | None, options: object) -> tuple[tuple[str, str], ...]:
    if options is None:
        return ()
    if not isinstance(options, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str) for name, value in options.items()
    ):
        raise ValidationError(f"backend_options must be a mapping of strings to strings, got {shown(options)}")
    if options and backend is None:
        raise ValidationError("backend_options are those of one backend: name it, with backend=...")
    return tuple(sorted(options.items()))


create_context: Final = ML().create_context
"""The same as `ML().create_context`, for programs that need no object like the browser's `navigator.ml`."""
