"""A graph as JavaScript: a module that builds it with the WebNN API of a browser, or a page that also tests it.

`module` writes the calls and `declarations` their TypeScript types, from the document that the `.webnn` format has too;
`runtime.js` is the part that all modules share. `page` puts a module, its weights and a test into one HTML file.
"""
