"""Other engines, for the benchmarks to compare with where they are installed: `pip install webnn-runtime[peers]`.

Each computes relu(x + 1) on the CPU from a NumPy array to a NumPy array, compiled beforehand, in the way that its own
documentation shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

__all__ = ["ENGINES", "absent", "installed"]

Array = np.ndarray[Any, Any]
Run = Callable[[Array], Array]


def _jax(_: Array) -> Run:
    jax = import_module("jax")
    jax.config.update("jax_platforms", "cpu")
    compiled = jax.jit(lambda x: jax.numpy.maximum(x + 1, 0))
    return lambda x: np.asarray(compiled(x))


def _iree(example: Array) -> Run:
    kind = f"tensor<{'x'.join(map(str, example.shape))}xf32>"
    text = f"""
        func.func @main(%x: {kind}) -> {kind} {{
            %one = arith.constant dense<1.0> : {kind}
            %zero = arith.constant dense<0.0> : {kind}
            %sum = arith.addf %x, %one : {kind}
            %y = arith.maximumf %sum, %zero : {kind}
            return %y : {kind}
        }}"""
    compiler, runtime = import_module("iree.compiler"), import_module("iree.runtime")
    compiled = compiler.compile_str(text, target_backends=["llvm-cpu"], extra_args=["--iree-llvmcpu-target-cpu=host"])
    main = runtime.load_vm_flatbuffer(compiled, driver="local-sync").main

    def run(x: Array) -> Array:
        result: Array = main(x).to_host()
        return result

    return run


def _mlx(_: Array) -> Run:
    mlx = import_module("mlx.core")
    mlx.set_default_device(mlx.cpu)
    compiled = mlx.compile(lambda x: mlx.maximum(x + 1, 0))
    return lambda x: np.array(compiled(mlx.array(x)))


ENGINES: Final[Mapping[str, tuple[tuple[str, ...], Callable[[Array], Run]]]] = {
    "JAX": (("jax",), _jax),
    "IREE": (("iree.compiler", "iree.runtime"), _iree),
    "MLX": (("mlx.core",), _mlx),
}
"""For each engine the modules that it needs, and a function that compiles the graph for arrays like the one given."""


def installed(example: Array) -> dict[str, Run]:
    """The engines that are installed, each as a function from an array to an array."""
    return {name: make(example) for name, (modules, make) in ENGINES.items() if all(map(_found, modules))}


def absent() -> list[str]:
    """The engines that are not installed."""
    return [name for name, (modules, _) in ENGINES.items() if not all(map(_found, modules))]


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its package
        return False
