"""The quantization family on arrays."""
