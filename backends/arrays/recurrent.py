"""The recurrent family on arrays."""
