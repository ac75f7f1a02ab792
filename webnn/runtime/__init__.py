"""The objects that a program holds: ML, contexts, graphs, tensors and streams."""
