"""The W3C Web Neural Network API for Python."""
