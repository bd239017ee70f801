"""Sealed values open with any given key, in their own context, and nothing else opens them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.behaviour.cooccurrence import CooccurrenceRules, fold_all
from streams.errors import CooccurrenceCodecError, EncryptionError, ProfileCodecError
from streams.profiles import codec
from streams.protection import NONCE_AT, OVERHEAD, TEXT_AT, Cipher, is_sealed

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
CONTEXT = b"profiles/ann"


@given(st.binary(max_size=100))
def test_a_value_opens_in_its_context(value: bytes) -> None:
    sealed = Cipher([NEW]).seal(CONTEXT, value)
    assert len(sealed) == len(value) + OVERHEAD
    assert Cipher([NEW]).open(CONTEXT, sealed) == value
    assert len(value) < 4 or value not in sealed
    # A value that was moved to another record, or changed, is refused: it stays sealed, and no codec reads it.
    assert Cipher([NEW]).open(b"profiles/bob", sealed) == sealed
    for place in (NONCE_AT, len(sealed) - 1):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        assert Cipher([NEW]).open(CONTEXT, changed) == changed


def test_codecs_refuse_values_that_do_not_open() -> None:
    sealed = Cipher([NEW]).seal(CONTEXT, codec.load(None, 8, 5))
    with pytest.raises(ProfileCodecError):
        codec.load(sealed, 8, 5)
    with pytest.raises(CooccurrenceCodecError):
        fold_all([sealed], [], [], CooccurrenceRules())


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    old = Cipher([OLD]).seal(CONTEXT, b"value")
    rotated = Cipher([NEW, OLD])
    assert rotated.open(CONTEXT, old) == b"value"
    assert Cipher([NEW]).open(CONTEXT, rotated.seal(CONTEXT, b"value")) == b"value"


@pytest.mark.parametrize("keys", [[], [OTHER]])
def test_an_unknown_key_is_an_error_that_names_the_setting_and_no_key(keys: list[bytes]) -> None:
    sealed = Cipher([NEW]).seal(CONTEXT, b"value")
    with pytest.raises(EncryptionError, match="INTENTSTREAM_ENCRYPTION_KEYS") as caught:
        Cipher(keys).open(CONTEXT, sealed)
    assert NEW.hex()[:16] not in str(caught.value)
    assert sealed[1:5].hex() in str(caught.value)


def test_without_keys_values_stay_plain_and_plain_values_are_always_read() -> None:
    assert Cipher().seal(CONTEXT, b"\x05plain") == b"\x05plain"
    assert Cipher().open(CONTEXT, b"\x05plain") == Cipher([NEW]).open(CONTEXT, b"\x05plain") == b"\x05plain"
    assert not is_sealed(b"")
    assert not is_sealed(b"\x7f")


def test_no_nonce_comes_twice_under_a_key_in_threads_and_processes() -> None:
    ciphers = [Cipher([NEW]), Cipher([NEW])]
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda number: ciphers[number % 2].seal(CONTEXT, b"value"), range(2000)))
    assert len({value[:TEXT_AT] for value in sealed}) == 2000
