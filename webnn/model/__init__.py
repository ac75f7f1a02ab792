"""`webnn.Model`: a model file as one picklable object, in as many sizes as its inputs have.

`model` is the object that a program holds, and has names only. `loaded` is the model at work in one process: its
context and the graphs by size (`graphs`). `signature` checks inputs against the declared shapes, and `sizes` cuts any
number of items into the sizes that are compiled; both are pure.
"""
