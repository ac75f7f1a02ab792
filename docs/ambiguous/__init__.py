"""Cases that the specification leaves open, with the answers of implementations."""
