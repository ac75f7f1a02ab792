"""Executes a graph on CuPy arrays, in the memory of a CUDA device, with the kernels of the arrays backend."""
