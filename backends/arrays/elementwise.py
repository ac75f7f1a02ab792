"""Element-wise arithmetic on arrays."""

from webnn.backends.arrays.kernels import one_to_one

one_to_one({"add": "add"})
