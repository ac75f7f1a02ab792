"""The convolution family on arrays."""
