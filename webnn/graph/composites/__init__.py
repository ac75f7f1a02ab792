"""Composites: nodes that stand for a composition of the specification's operators."""
