"""Sessions on an execution provider of onnxruntime, which must not drop out in silence.

Where a provider cannot be used (an option is wrong, a library or the device is missing), onnxruntime in many cases goes
on with its own CPU provider, and says so in its log at most. So the provider must be among those of the session, and
the options of a context are tried with a graph of two operators that must be assigned to the provider.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, Final

from webnn.backends.base import Cancellation
from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import TensorProto
from webnn.backends.onnx.model import IR_VERSION, OPSET
from webnn.backends.providers.placement import assigned_nodes
from webnn.errors import NotSupportedError, OperationError
from webnn.forking import import_lock
from webnn.graph.arguments import described

__all__ = ["ASSIGNMENT", "CPU", "onnxruntime", "provider_missing", "refusal", "session"]

ASSIGNMENT: Final = "session.record_ep_graph_assignment_info"
"""The session's switch for `assigned_nodes`."""
CPU: Final = "CPUExecutionProvider"


def onnxruntime() -> Any:
    """The package that is installed under this name."""
    with import_lock:  # here, since backends are listed without it
        import onnxruntime  # noqa: PLC0415

    return onnxruntime


def provider_missing(provider: str, install: str) -> str | None:
    """Why the installed onnxruntime does not have `provider`, with the advice `install`; None if it does."""
    if find_spec("onnxruntime") is None:
        return f"onnxruntime is not installed; {install}"
    if provider not in onnxruntime().get_available_providers():
        return f"the installed onnxruntime {onnxruntime().__version__} has no {provider}; {install}"
    return None


def session(
    model: bytes | str,
    provider: str,
    options: Mapping[str, str],
    *,
    settings: Any = None,
    fallback: Sequence[tuple[str, Mapping[str, str]]] = (),
    cancellation: Cancellation | None = None,
) -> Any:
    """A session whose nodes run on `provider`, and on the CPU where it does not take them.

    Args:
        model: the serialized model, or its path.
        provider: its name, such as "OpenVINOExecutionProvider".
        options: the options of the provider.
        settings: `SessionOptions` to go on from.
        fallback: providers between this one and the CPU, with their options.
        cancellation: stops the compilation where onnxruntime can.

    Raises:
        OperationError: onnxruntime refuses the model or the options, or the provider has dropped out; with the reason.
        CancelledError: `cancellation` was set.
    """
    runtime = onnxruntime()
    if settings is None:
        settings = runtime.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry(ASSIGNMENT, "1")
    if cancellation is not None:
        cancellation.checkpoint()
        if hasattr(settings, "set_load_cancellation_flag"):
            cancellation.on_cancel(lambda: settings.set_load_cancellation_flag(True))
    providers = [(provider, dict(options)), *((name, dict(own)) for name, own in fallback)]
    try:
        with redirect_stdout(StringIO()):  # it prints what it also raises
            made = runtime.InferenceSession(model, settings, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions have no common base
        if cancellation is not None and cancellation.cancelled:
            raise CancelledError from error
        raise OperationError(described(error)) from error
    if provider not in made.get_providers():
        raise OperationError(f"onnxruntime went on without {provider}{_library_missing(provider)}")
    return made


def refusal(provider: str, make: Callable[[bytes], Any]) -> str | None:
    """Why no operator runs on `provider` in the session that `make` makes of a small model; None if one does."""
    x, y = (messages.value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    nodes = [messages.node("Mul", ["x", "x"], ["z"]), messages.node("Relu", ["z"], ["y"])]
    proto = messages.model(messages.graph(nodes, "probe", [x], [y]), {"": OPSET}, IR_VERSION)
    try:
        made = make(proto.SerializeToString())
    except (OperationError, NotSupportedError) as error:
        return str(error)
    if not any(name == provider for _, name in assigned_nodes(made)):
        return f"{provider} takes no operator: is there such a device, and are the options valid?"
    return None


def _library_missing(provider: str) -> str:
    """The loader's message, if the library of the provider cannot be loaded: it names the library that it lacks."""
    stem = provider.removesuffix("ExecutionProvider").lower()
    for path in (Path(onnxruntime().__file__).parent / "capi").glob(f"*onnxruntime_providers_{stem}.*"):
        try:
            ctypes.CDLL(str(path))
        except OSError as error:
            return f": {error}"
    return ""
