"""The reduction family on arrays."""
