"""The scheduler: the timeline of a context, which decides when and where work runs."""
