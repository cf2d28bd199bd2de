"""Undoing the content encoding of a body."""

import zlib
from typing import Final

from tocsin.errors import NotJson, TooLarge

# What a gzip stream starts with (RFC 1952); some senders compress without saying so.
_MAGIC: Final = b"\x1f\x8b"
_WBITS: Final = 16 + zlib.MAX_WBITS
_CHUNK: Final = 4096


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo the content encoding.

    Args:
        body: What the sender posted.
        encoding: The request's `Content-Encoding`.
        limit: Most bytes it may have, packed and unpacked.

    Raises:
        NotJson: It is no gzip, or another encoding.
        TooLarge: It unpacks to more than the limit.
    """
    if len(body) > limit:
        raise TooLarge(f"The body is over this source's limit of {limit} bytes.")
    if encoding in {"gzip", "x-gzip"} or (not encoding and body.startswith(_MAGIC)):
        return gunzip(body, limit)
    if encoding in {"", "identity"}:
        return body
    raise NotJson(f"Content-Encoding {encoding!r} is not supported; send gzip or none")


def gunzip(body: bytes, limit: int) -> bytes:
    """Unpack a gzip body (RFC 1952, several members allowed) without ever holding more than asked.

    Args:
        body: What the sender posted.
        limit: Most bytes it may unpack to.

    Returns:
        The unpacked bytes.

    Raises:
        TooLarge: It unpacks to more than `limit` bytes.
        NotJson: It is no gzip, or it is cut.
    """
    unpacked = bytearray()
    at = 0
    while True:
        member = zlib.decompressobj(wbits=_WBITS)
        while not member.eof:
            # What a member leaves over is copied; in small chunks, many members stay cheap.
            chunk = body[at : at + _CHUNK]
            if not chunk:
                raise NotJson("The gzip body is cut")
            try:
                unpacked += member.decompress(chunk, limit + 1 - len(unpacked))
            except zlib.error as error:
                raise NotJson(f"The body is not gzip: {error}") from error
            if len(unpacked) > limit:
                raise TooLarge(f"The body unpacks to more than {limit} bytes")
            at += len(chunk) - len(member.unused_data)
        if body[at : at + 1] in {b"", b"\0"} and not body[at:].strip(b"\0"):
            return bytes(unpacked)
