"""The matrix family on arrays."""
