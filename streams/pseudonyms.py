"""Pseudonyms of shoppers on internal topics, in tables and on changelogs. No I/O.

Without a key, a shopper's profile has the user id as its key, and hashes of the shopper are plain hashes of the id.
With a key they come from a keyed hash of the id, so nobody without the key can find a shopper or try ids.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from inference.types import stable_key

DIGEST_BYTES = 16
REMEMBERED = 2**14
"""Shoppers whose hashes are kept in memory."""


class Pseudonyms:
    """Names and keys of shoppers.

    Args:
        secret: the key of the hash, up to 64 bytes; None for none.

    Attributes:
        hides_ids: whether there is a key.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self.hides_ids = secret is not None
        self._secret = secret or b""
        self._digest = lru_cache(maxsize=REMEMBERED)(self._hash)
        self.key = lru_cache(maxsize=REMEMBERED)(self._key)

    def name(self, user_id: bytes) -> bytes:
        """Return the key of a shopper's profile in tables and on changelogs."""
        return self._digest(user_id) if self.hides_ids else user_id

    def _key(self, user_id: str) -> int:
        """Return the shopper's key, 64 bits of a hash. Internal topics contain parts of it, never the id."""
        if not self.hides_ids:
            return stable_key(user_id)
        return int.from_bytes(self._digest(user_id.encode())[:8], "little")

    def _hash(self, user_id: bytes) -> bytes:
        return blake2b(user_id, key=self._secret, digest_size=DIGEST_BYTES).digest()
