"""A graph as one HTML page: `drawing` makes its data, `layout` places the boxes, `page` fills in the template."""
