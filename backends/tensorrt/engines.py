"""Engines of TensorRT: parsing a model, building, the cache of measured times, and refitting with other weights.

Never run on a device yet: see docs/devices.md. Names and arguments are those of the bindings of TensorRT 11.4; the
logic is tested with a stand-in for TensorRT.
"""

from __future__ import annotations

import logging
import tempfile
from collections import deque
from collections.abc import Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from webnn.backends.base import Cancellation
from webnn.backends.files import written_at_once
from webnn.backends.tensorrt.lowering import Lowered
from webnn.errors import OperationError
from webnn.forking import import_whole

__all__ = ["STRIPPED_BYTES", "Builder", "Refit", "refit_mode", "tensorrt"]

STRIPPED_BYTES: Final = 16 * 1024 * 1024
"""From so many bytes of weights on, a stored engine has none: putting them in is faster than reading them twice."""

_log = logging.getLogger("webnn")


def tensorrt() -> Any:
    """The package."""
    return import_whole("tensorrt")


class Refit(Enum):
    """Which weights an engine takes after it was built."""

    NEVER = "never"
    """None: they are part of it."""
    SAME = "same"
    """Those that it was built with. It is stored without them, and as fast as one that has them."""
    ANY = "any"
    """Any others of the same shapes, so that they need no new engine. TensorRT may find fewer optimizations."""


def refit_mode(options: Mapping[str, str], constant_bytes: int, *, stored: bool) -> Refit:
    """How to build an engine.

    Args:
        options: the options of the program; `refit` asks for engines that take other weights.
        constant_bytes: the size of the graph's weights.
        stored: whether the engine goes to the disk.
    """
    if options.get("refit", "0") == "1":
        return Refit.ANY
    return Refit.SAME if stored and constant_bytes >= STRIPPED_BYTES else Refit.NEVER


@cache
def _logger() -> Any:
    """The logger of all of TensorRT's objects in this process. It keeps the last errors for a message of ours."""
    trt = tensorrt()
    base: Any = trt.ILogger

    class Logger(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)  # pybind11 demands it by name
            self.errors: deque[str] = deque(maxlen=4)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(msg.strip())
            _log.debug("tensorrt: %s", msg)

    return Logger()


def _monitor(cancellation: Cancellation) -> Any:
    """Ends a build that is cancelled, and logs its phases. TensorRT calls it from threads of its own."""
    base: Any = tensorrt().IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            _log.debug("tensorrt: %s, in %d steps", phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return not cancellation.cancelled

        def phase_finish(self, phase_name: str) -> None:
            _log.debug("tensorrt: %s is done", phase_name)

    return Monitor()


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds engines for the current CUDA device of the calling thread.

    Args:
        folder: the times of kernels and refittable engines are kept there, for one GPU, driver and TensorRT.
        options: the options of the program.
    """

    folder: Path
    options: Mapping[str, str]

    def engine(self, model: Lowered, mode: Refit, cancellation: Cancellation, store: Path | None = None) -> Any:
        """An `ICudaEngine` for `model`, ready to run.

        Args:
            model: the graph.
            mode: which other weights it will take. With `Refit.ANY`, an engine of the same structure is looked up.
            cancellation: stops the build.
            store: a file to write the plan to, from which `load` makes the same engine.

        Raises:
            OperationError: TensorRT refuses the model; with its message and the operator.
            CancelledError: `cancellation` was set.
        """
        with tempfile.TemporaryDirectory(prefix="webnn-tensorrt-") as temporary:
            path = model.write(Path(temporary))
            kept = self._kept(model) if mode is Refit.ANY else None
            plan, engine = None, None
            if kept is not None:
                with suppress(OSError, OperationError):  # there is none, or it is damaged, or misses a weight
                    plan = kept.read_bytes()
                    engine = self._filled(plan, path)
            if plan is None or engine is None:
                plan = self._plan(path, mode, cancellation)
                if kept is not None:
                    _write(kept, plan)
                engine = self._filled(plan, path)
            if store is not None:
                store.write_bytes(plan)
            return engine

    def load(self, plan: bytes, model: Lowered) -> Any:
        """The engine of a `plan`, with the weights of `model` if it has none.

        Raises:
            OperationError: the plan is for another device or version, or damaged.
        """
        with tempfile.TemporaryDirectory(prefix="webnn-tensorrt-") as temporary:
            return self._filled(plan, model.write(Path(temporary)))

    def _kept(self, model: Lowered) -> Path:
        """The file of the engine for this structure and these options, whatever its weights are."""
        key = sha256(f"{sorted(self.options.items())}\n".encode() + model.serialized())
        return self.folder / f"{key.hexdigest()[:32]}.plan"

    def _plan(self, path: Path, mode: Refit, cancellation: Cancellation) -> Any:
        trt, logger = tensorrt(), _logger()
        logger.errors.clear()
        builder = trt.Builder(logger)
        # From TensorRT 11 on, all networks are strongly typed.
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(path)):
            raise OperationError(f"tensorrt: {_parser_errors(parser) or _last_errors()}")
        config = builder.create_builder_config()
        flags = trt.BuilderFlag
        if hasattr(flags, "STRICT_NANS"):  # from TensorRT 10 on
            config.set_flag(flags.STRICT_NANS)
        if self.options.get("tf32", "0") == "0":
            config.clear_flag(flags.TF32)
        if mode is not Refit.NEVER:
            config.set_flag(flags.STRIP_PLAN)
            config.set_flag(flags.REFIT if mode is Refit.ANY else flags.REFIT_IDENTICAL)
        if "builder_optimization_level" in self.options:
            config.builder_optimization_level = int(self.options["builder_optimization_level"])
        monitor = _monitor(cancellation)  # TensorRT does not keep it alive in every version
        config.progress_monitor = monitor
        times = self._timing_cache(config)
        config.set_timing_cache(times, ignore_mismatch=False)
        cancellation.checkpoint()
        plan = builder.build_serialized_network(network, config)
        if cancellation.cancelled:
            raise CancelledError
        if plan is None:
            raise OperationError(f"tensorrt: the engine cannot be built: {_last_errors()}")
        self._keep_times(config)
        return plan

    def _filled(self, plan: Any, path: Path) -> Any:
        trt, logger = tensorrt(), _logger()
        logger.errors.clear()
        runtime = trt.Runtime(logger)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise OperationError(f"tensorrt: the engine cannot be loaded: {_last_errors()}")
        if engine.refittable:
            refitter = trt.Refitter(engine, logger)
            weights = trt.OnnxParserRefitter(refitter, logger)
            if not (weights.refit_from_file(str(path)) and refitter.refit_cuda_engine()):
                missing = ", ".join(refitter.get_missing_weights()) or _parser_errors(weights) or _last_errors()
                raise OperationError(f"tensorrt: the engine does not take its weights: {missing}")
        return engine

    @property
    def _times(self) -> Path:
        return self.folder / "times.cache"

    def _timing_cache(self, config: Any) -> Any:
        try:
            known = self._times.read_bytes()
        except OSError:
            known = b""
        return config.create_timing_cache(known)

    def _keep_times(self, config: Any) -> None:
        times = config.get_timing_cache()
        others = self._timing_cache(config)  # another process may have written more meanwhile
        times.combine(others, ignore_mismatch=False)
        _write(self._times, times.serialize())


def _write(path: Path, content: Any) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_at_once(path, durable=False) as file:
            file.write(content)
    except OSError as error:  # the graph runs all the same
        _log.warning("tensorrt: %s cannot be written: %s", path, error)


def _parser_errors(parser: Any) -> str:
    """What a parser says of the operators that it refuses, by their labels."""
    errors = (parser.get_error(i) for i in range(parser.num_errors))
    return "; ".join(f"{error.node_name()}: {error.desc()}".strip(": ") for error in errors)


def _last_errors() -> str:
    return "; ".join(_logger().errors) or "TensorRT gives no reason"
