"""`webnn.Model`: a model file as one picklable object, in as many sizes as its inputs have.

`model` is the object that a program holds, and has names only (`options` checks them); `many` has its methods for many
items. `loaded` is the model at work in one process: its context and the graphs by size (`graphs`). `rows` computes
items one by one or together, with an error for each, for `mapping` (`model.map`) and `columns` (batches of data
frames). `signature` checks inputs against the declared shapes, and `sizes` chooses the batches that any number of items
is cut into; both are pure.
"""
