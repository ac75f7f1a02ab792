"""Compiles the hot chains of a device, each as one graph, on its slow lane; see `webnn.scheduler.hot_chains`."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.session_cache import Use, session_cache
from webnn.errors import ContextLostError
from webnn.forking import reentrant_lock
from webnn.graph.merging import MAX_NODES, Link, merged
from webnn.runtime.device import Device
from webnn.scheduler.hot_chains import COMPILING, UNCOMPILED, Chain
from webnn.scheduler.merged_runs import run_merged

__all__ = ["merge_chains", "merged_options"]

MAX_BYTES: Final = 64 * 1024 * 1024
"""The most bytes of constants in all merged chains of a device: a backend may keep another copy of them for each."""
QUANTIZING: Final = frozenset(
    {"quantize_linear", "dequantize_linear", "dynamic_quantize_linear", "dynamic_quantize_lstm"}
)


def merged_options(options: CompileOptions) -> CompileOptions:
    """The options that compile a merged graph.

    None of its operators is worth a second thread. The backend sees the sum of the work, and cannot know.
    """
    return replace(options, threads=options.threads or 1)


def merge_chains(device: Device) -> None:
    """Merge the hot chains of `device` from now on, if its backend computes in the memory of the host."""
    if device.pool.allocator.is_host:
        compiler = _Compiler(device)
        run_merged(device.timeline, compiler.start)
        device.register(compiler)


class _Compiler:
    """Compiles chains. The device refers to it, but not the other way round."""

    def __init__(self, device: Device) -> None:
        self._device = weakref.ref(device)
        self._cancellation = Cancellation()
        self._bytes = 0
        self._lock = reentrant_lock()  # around `_bytes`

    def start(self, chain: Chain) -> None:
        """Compile `chain` in the background."""
        device = self._device()
        if device is not None:
            device.slow_lane.wake(partial(self._compile, chain))

    def _compile(self, chain: Chain) -> bool:
        """Compile, on the slow lane. Returns False, since there is nothing more to do."""
        device = self._device()
        runs = None if device is None else device.timeline.inline.merged
        if device is None or runs is None or chain.stage is not COMPILING:
            return False
        try:
            reason = self._why_not(device, chain.links)
            if reason is None:
                whole = merged(chain.links, range(chain.made))
                options = merged_options(device.options)
                use = device.compile(whole.graph, options, self._cancellation, stored=False)
        except BaseException as error:  # the dispatches do not need it: they run one by one
            reason = f"{type(error).__name__}: {error}"
        if reason is not None:
            runs.refuse(chain, UNCOMPILED, reason)
        else:
            runs.compiled(chain, use.executable, whole.inputs, _Use(self, use, whole.graph.constant_bytes))
        return False

    def _why_not(self, device: Device, links: Sequence[Link]) -> str | None:
        """Why these links are not merged, or None."""
        nodes = sum(len(link.graph.nodes) for link in links)
        if nodes > MAX_NODES:
            return f"it has {nodes} operators, and at most {MAX_NODES} are compiled as one graph"
        if any(node.op in QUANTIZING for link in links for node in link.graph.nodes):
            return "a backend may compute in integers what lies between two quantizations, also across dispatches"
        if any(output.descriptor.data_type == "float16" for link in links for output in link.graph.outputs.values()):
            return "a backend that computes float16 as float32 may leave out the rounding between two dispatches"
        size = sum({id(o): o.descriptor.byte_length for link in links for o in link.graph.constants}.values())
        if self._bytes + size > MAX_BYTES:
            return f"all merged chains together may have {MAX_BYTES} bytes of constants"
        if not device.pool.holds(size):
            return "the memory budget has no room for another copy of its constants"
        return None

    def count(self, size: int) -> None:
        """Chains with `size` more bytes of constants are compiled."""
        with self._lock:
            self._bytes += size

    def release(self, use: Use) -> None:
        """Give `use` back, on the build thread: ending a session can take a while."""
        device = self._device()
        if device is None or not device.build_lane.call(partial(session_cache.release, use)):
            session_cache.release(use)

    # As a dependent of the device.

    def _stop(self) -> None:
        self._cancellation.cancel()

    def _lose(self, error: ContextLostError) -> None:
        """Nothing is left to do: the graphs give up their chains."""

    def _forked(self, error: ContextLostError) -> None:
        """Nothing is pending."""


class _Use:
    """The use of a compiled graph for one chain, which ends when this is freed."""

    def __init__(self, compiler: _Compiler, use: Use, size: int) -> None:
        self._compiler = compiler
        self._used = use
        self._size = size
        compiler.count(size)

    def __del__(self) -> None:
        self._compiler.count(-self._size)
        self._compiler.release(self._used)
