"""The walk over a model's graph, and what the functions that import its nodes see: values, nodes, the table."""
