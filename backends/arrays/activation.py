"""The activation family on arrays."""
