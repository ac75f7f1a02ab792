"""Passes `Graph -> Graph` that prepare a graph for ONNX Runtime before it is lowered; see `pipeline`."""
