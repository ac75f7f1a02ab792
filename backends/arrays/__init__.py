"""Executes a graph on NumPy or CuPy arrays: the reference, written against the array-API standard."""
