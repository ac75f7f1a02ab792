"""The head of a request: its address, its size, and the Host header, which HTTP/1.1 has once (RFC 9112, section 3.2).

Servers that read such requests differently, one behind the other, may take them for requests to different hosts.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from webnn.serving.exchanges import Headers
from webnn.serving.protocol import Refused

__all__ = [
    "ADDRESS",
    "FIELDS",
    "HEAD",
    "LARGE_HEAD",
    "MANY_FIELDS",
    "head_size",
    "head_without_upgrade",
    "refused_address",
    "refused_host",
]

HEAD: Final = 64 * 1024
"""The most bytes of a request's line and headers, and of the trailers behind its body."""
LARGE_HEAD: Final = Refused(431, f"the head of the request is larger than {HEAD} bytes")
ADDRESS: Final = 8 * 1024
"""The most bytes of an address. One with thousands of parameters would hold up others while it is taken apart."""
FIELDS: Final = 256
"""The most headers of a request. A head of 64 KB may have 16,000, and would hold up others, too."""
MANY_FIELDS: Final = Refused(431, f"the request has more than {FIELDS} headers")
_HOST: Final = re.compile(rb"(\[[0-9A-Za-z:.~%!$&'()*+,;=_-]+\]|[0-9A-Za-z.~%!$&'()*+,;=_-]*)(:[0-9]*)?")
"""The value of the header (RFC 9110, section 7.2); it may be empty."""


def refused_host(headers: Headers, version: str) -> Refused | None:
    """The refusal of a request for its Host header; None if that is valid.

    Args:
        headers: of the request, with names in lower case.
        version: of HTTP, such as "1.1".
    """
    hosts = [value for name, value in headers if name == b"host"]
    if (len(hosts) == 1 and _HOST.fullmatch(hosts[0])) or (not hosts and version == "1.0"):
        return None
    shown = " and ".join(ascii(host[:80].decode("latin-1")) for host in hosts[:2]) or "none"
    return Refused(400, f"a request must have one Host header, such as Host: localhost:8000; got {shown}")


def refused_address(address: bytes) -> Refused | None:
    """The refusal of a request for the address in its first line; None if that has a path, which uvicorn relies on."""
    if len(address) > ADDRESS:
        return Refused(414, f"the address of a request may have {ADDRESS} bytes, got {len(address)}")
    try:
        path = httptools.parse_url(address).path
    except httptools.HttpParserInvalidURLError:
        path = None
    if path is not None:
        return None
    shown = ascii(address[:80].decode("latin-1"))
    return Refused(400, f"the address of a request must have a path, such as /v2; got {shown}")


def head_size(address: bytes, headers: Headers) -> int:
    """About the bytes of a head."""
    return len(address) + sum(len(name) + len(value) + 4 for name, value in headers)


def head_without_upgrade(method: bytes, address: bytes, version: str, headers: Headers) -> bytes:
    """The head of a request without what asks for another protocol.

    Args:
        method: of the request.
        address: in its first line.
        version: of HTTP, such as "1.1".
        headers: of the request, with names in lower case.
    """
    lines = [b"%b %b HTTP/%b" % (method, address, version.encode())]
    for name, value in headers:
        kept = value
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            kept = b", ".join(token for token in tokens if token.lower() != b"upgrade")
        if name != b"upgrade":
            lines.append(b"%b: %b" % (name, kept))
    return b"\r\n".join(lines) + b"\r\n\r\n"
