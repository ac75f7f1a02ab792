"""The pooling family on arrays."""
