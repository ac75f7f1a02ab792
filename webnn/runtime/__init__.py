"""What a program holds: ML, context, graph, tensor, stream. The roof."""
