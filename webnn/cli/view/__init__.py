"""A graph as one HTML page: `drawing` says what is on it, `layout` where, `page` puts it into the page's own files."""
