"""Bodies of requests: of limited size, plain or gzip, JSON."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import msgspec

from streams.contracts.refusals import UNREADABLE
from streams.http.problems import Refused, wrong_json

JSON = "application/json"
GZIP_WINDOW = 31
"""For zlib: a header of gzip, and the greatest window."""


async def read(chunks: AsyncIterator[bytes], content_type: str | None, encoding: str | None, most: int) -> bytes:
    """Return a body of at most `most` bytes, decompressed.

    Raises:
        Refused: it is larger, damaged, or neither plain nor gzip, or it is not declared as JSON.
    """
    # A page of another site can send a form or plain text without asking. It cannot send JSON without a CORS check.
    if (content_type or "").partition(";")[0].strip().lower() != JSON:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "wrong-type", f"required the header `Content-Type: {JSON}`")
    if encoding not in (None, "", "identity", "gzip"):
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "wrong-encoding", "required a plain body, or one in gzip")
    unpacker = zlib.decompressobj(GZIP_WINDOW) if encoding == "gzip" else None
    body = bytearray()
    try:
        async for chunk in chunks:
            # The limit of the output is at least 1, because 0 would mean none. A byte more than `most` shows that the
            # body is too large, however small the chunk was.
            body += chunk if unpacker is None else unpacker.decompress(chunk, most + 1 - len(body))
            if len(body) > most:
                raise Refused(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"required at most {most:,} bytes of JSON"
                )
            # zlib keeps everything after the end in memory, so a body that goes on has to be refused at once.
            if unpacker is not None and unpacker.unused_data:
                raise Refused(HTTPStatus.BAD_REQUEST, "invalid", "required one body in gzip, got more after its end")
    except zlib.error:
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid", "required a whole body in gzip, got a damaged one") from None
    if unpacker is not None and not unpacker.eof:
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid", "required a whole body in gzip, got a part of one")
    return bytes(body)


def entries(body: bytes, most: int) -> list[bytes]:
    """Return the JSON of each entry of an array, or of the only entry. Raises Refused if there are too many."""
    try:
        if body.lstrip()[:1] != b"[":
            return [body]
        found = [bytes(entry) for entry in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except UNREADABLE as error:
        raise wrong_json(error, body, list) from None
    if not 1 <= len(found) <= most:
        detail = f"required 1 to {most:,} entries, got {len(found):,}"
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid", detail)
    return found
