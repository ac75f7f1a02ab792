"""A graph as an ML Program for Core ML: saved on any system, run on macOS. One module for each family of operators."""
