"""What a graph is: types, operators, validation, shapes, the builder. The ground floor."""
