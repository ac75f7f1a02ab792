"""The movement family on arrays."""
