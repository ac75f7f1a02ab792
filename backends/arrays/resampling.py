"""The resampling family on arrays."""
