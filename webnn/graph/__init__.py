"""Graphs: data types, operators, validation, shapes and the builder. No other package is below this one."""
