"""The logic family on arrays."""
