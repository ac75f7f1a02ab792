"""Browsers of this machine: one page in one of them, driven from here, and WebNN graphs that run there.

`devtools` starts a browser and speaks with it; `chromium` builds and runs graphs in its page.
"""
