"""How a graph runs: lowering, compiling, executing; the session cache. Importing this package loads no backend."""
