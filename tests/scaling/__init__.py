"""`webnn.Model` in the frameworks that run it on many workers, as `docs/scaling.md` shows it; see `make scaling`."""
