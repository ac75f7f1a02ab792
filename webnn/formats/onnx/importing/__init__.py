"""The walk over the graph of a model, and the values, nodes and table that the functions for its operators use."""
