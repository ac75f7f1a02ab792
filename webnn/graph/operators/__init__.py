"""The operators, by family. Importing this package fills `limits.SPEC_LIMITS` and `operator.OPERATORS`."""
