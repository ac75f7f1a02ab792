"""Matrix products, one at a time.

NumPy's come from BLAS. OpenBLAS ends its threads before a fork, also while they are computing for another thread, which
then waits for them for ever, in the parent. Under a lock of ours, a fork waits for the end of the product. OpenBLAS
computes one product with several threads at a time anyway.
"""

from __future__ import annotations

from typing import Final

from webnn.backends.arrays.kernels import Array
from webnn.forking import reentrant_lock

__all__ = ["product"]

_one_at_a_time: Final = reentrant_lock()


def product(a: Array, b: Array) -> Array:
    """`a @ b`."""
    with _one_at_a_time:
        return a @ b
