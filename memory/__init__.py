"""Memory: buffers, allocators, the pool, and arrays that are lent to users."""
