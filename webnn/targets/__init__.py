"""What a browser or a backend supports, what of a graph it would refuse, and the same graph in a form that it builds.

`target` finds a target, `rules` and `notes` say what its limits do not, and `checking` holds a graph against all of it.
`fitting` replaces what is refused: `data_types` and `ranks` keep the operator, `remedies` and `decompositions` do not.
"""
