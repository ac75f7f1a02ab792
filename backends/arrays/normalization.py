"""The normalization family on arrays."""
