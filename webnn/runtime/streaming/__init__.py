"""`context.stream`: runs a graph on each item of a source, with several items under way.

`calls` is the method of contexts, and `stream` has the objects that it gives. `iteration` is one pass over a stream,
with its threads (`crew`). `pieces` is the work on one item. `window` is pure: it decides which item is next and which
result.
"""
