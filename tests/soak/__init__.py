"""Random programs over many frames, and what must come of them."""
