"""The `.webnn` format of the rustnn projects: a graph as text or JSON, with its weights in a file beside it.

A file is read into a `document` by the `parser` (on the `lexer`) or as `json_form`; `loading` resolves its names and
makes each node a call of the builder (`calls`), with constants from `weights`. `saving` goes the other way, and the
`writer` or `json_form` writes it down.
"""

from webnn.formats.webnn_text.loading import import_webnn, load_webnn

__all__ = ["import_webnn", "load_webnn"]
