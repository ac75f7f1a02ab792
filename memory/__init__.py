"""Where bytes live: buffers, allocators, the pool, arrays handed out to users."""
