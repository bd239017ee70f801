"""Protection of shoppers' data in tables and on internal topics: pseudonyms for ids, encryption for values.

Without a key, a shopper's profile has the user id as its key, and hashes of the shopper are plain hashes of the id.
With a key they come from a keyed hash of the id, so nobody without the key can find a shopper or try ids.

Values are encrypted with AES-256-GCM, with the key's id in each value and the record's key bound to it. A sealed
value is

    0x7F | key id, 4 bytes | salt, 16 bytes | counter, 12 bytes | ciphertext | tag, 16 bytes

GCM is safe only as long as no nonce comes twice under a key, and random nonces of 12 bytes may do so after 2³² values
(NIST SP 800-38D, section 8.3), which a large shop writes in a month. So each process derives a key of its own from a
random salt, and counts. The first byte cannot begin a plain value: profiles and co-occurrence states begin with a small
version, and MessagePack arrays with 0x90 or more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import count

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from inference.types import stable_key
from streams.errors import EncryptionError

DIGEST_BYTES = 16
REMEMBERED = 2**14
"""Shoppers whose hashes are kept in memory."""

MARK = 0x7F
KEY_BYTES, ID_BYTES, SALT_BYTES, NONCE_BYTES, TAG_BYTES = 32, 4, 16, 12, 16
SALT_AT = 1 + ID_BYTES
NONCE_AT = SALT_AT + SALT_BYTES
TEXT_AT = NONCE_AT + NONCE_BYTES
OVERHEAD = TEXT_AT + TAG_BYTES
"""Bytes that a sealed value is longer than the plain one."""
SALTS = 1024
"""Derived keys that are kept in memory: one for each process that wrote a value."""


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


class Cipher:
    """Seals values with the first key, and opens those of every key. Without keys it leaves values as they are.

    Any thread may use it. Plain values are returned by `open` as they are: state that was written before encryption was
    switched on is read, and sealed by its next write.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {_id_of(key): key for key in keys}
        self._derived = lru_cache(maxsize=SALTS)(self._derive)
        self._counter = count()
        self._head = b""
        if keys:
            salt = os.urandom(SALT_BYTES)
            self._head = bytes([MARK]) + _id_of(keys[0]) + salt
            self._own = self._derived(_id_of(keys[0]), salt)

    @property
    def encrypts(self) -> bool:
        """Whether there is a key to seal values with."""
        return bool(self._head)

    def seal(self, context: bytes, value: bytes) -> bytes:
        """Return the sealed value. It opens in the same context only, such as its table and key."""
        if not self._head:
            return value
        # `next` of a count is atomic, so threads do not get the same number.
        nonce = next(self._counter).to_bytes(NONCE_BYTES, "big")
        return self._head + nonce + self._own.encrypt(nonce, value, context)

    def open(self, context: bytes, value: bytes) -> bytes:
        """Return the plain value. A damaged or misplaced value is returned as it is, and its codec refuses it.

        Raises:
            EncryptionError: no key has the id in the value.
        """
        if not is_sealed(value):
            return value
        key_id = value[1:SALT_AT]
        if key_id not in self._keys:
            known = ", ".join(key.hex() for key in self._keys) or "none"
            raise EncryptionError(
                f"a stored value is encrypted with the key {key_id.hex()}: INTENTSTREAM_ENCRYPTION_KEYS: required that "
                f"key among the keys, got {known}; nothing is lost, add the key and start again"
            )
        derived = self._derived(key_id, value[SALT_AT:NONCE_AT])
        try:
            return derived.decrypt(value[NONCE_AT:TEXT_AT], value[TEXT_AT:], context)
        except InvalidTag:
            return value

    def _derive(self, key_id: bytes, salt: bytes) -> AESGCM:
        secret = self._keys[key_id]
        return AESGCM(blake2b(salt, key=secret, digest_size=KEY_BYTES, person=b"intentstream/v1").digest())


def is_sealed(value: bytes) -> bool:
    """Return whether a value has the form of a sealed one."""
    return len(value) >= OVERHEAD and value[0] == MARK


def _id_of(key: bytes) -> bytes:
    """Return the id of a key, which values and errors contain: it does not reveal the key."""
    return blake2b(key, digest_size=ID_BYTES, person=b"intentstream/id").digest()
