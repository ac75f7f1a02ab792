"""When work runs: the timeline of one context."""
