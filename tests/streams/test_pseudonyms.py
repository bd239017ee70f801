"""With a key, nothing but the keyed hash of a user id is stored, and a profile from before is moved once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from inference.types import stable_key
from streams.errors import ConfigurationError
from streams.protection import Pseudonyms
from streams.settings import load_settings
from streams.worker.profile_store import ProfileStore
from tests.streams.fakes import CHANGELOG, FakeProducer, FakeTable, message

SECRET = bytes(range(32))
BASE64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_without_a_key_names_are_the_ids() -> None:
    plain = Pseudonyms()
    assert plain.name(b"ann") == b"ann"
    assert plain.key("ann") == stable_key("ann")


def test_names_and_keys_depend_on_the_key() -> None:
    one, other = Pseudonyms(SECRET), Pseudonyms(SECRET[::-1])
    assert len(one.name(b"ann")) == 16
    assert one.name(b"ann") == Pseudonyms(SECRET).name(b"ann")
    assert len({one.name(b"ann"), one.name(b"bob"), other.name(b"ann")}) == 3
    assert len({one.key("ann"), one.key("bob"), other.key("ann"), stable_key("ann")}) == 4
    assert 0 <= one.key("ann") < 2**64


class Store:
    """A `ProfileStore` with a fake table."""

    def __init__(self, secret: bytes | None = SECRET) -> None:
        self.producer = FakeProducer(immediate=True)
        self.table = FakeTable(self.producer)
        self.profiles = ProfileStore(cast("Any", self.table), Pseudonyms(secret))
        self.name = self.profiles.pseudonyms.name(b"ann")
        self.event = message("clicks", b"ann", b"", partition=1)

    @property
    def changelog(self) -> list[tuple[bytes, bytes]]:
        return [record for sent in self.producer.on(CHANGELOG) for record in sent.messages]


async def test_a_profile_is_kept_under_its_pseudonym_in_the_partition_of_the_events() -> None:
    store = Store()
    shopper = store.profiles.shopper(store.event)
    assert shopper == (1, store.name)
    assert store.profiles.read([store.event]) == {shopper: None}
    store.profiles.write([shopper], [b"profile"])
    await store.profiles.log([shopper], [b"profile"])
    assert store.table.stored == {shopper: b"profile"}
    assert store.changelog == [(store.name, b"profile")]
    assert store.profiles.read([store.event, store.event]) == {shopper: b"profile"}


async def test_a_profile_from_before_the_key_is_read_once_and_moved() -> None:
    store = Store()
    store.table.stored[1, b"ann"] = b"before"
    shopper = store.profiles.shopper(store.event)
    assert store.profiles.read([store.event]) == {shopper: b"before"}
    store.profiles.write([shopper], [b"after"])
    await store.profiles.log([shopper], [b"after"])
    assert store.table.stored == {shopper: b"after"}
    assert store.changelog == [(store.name, b"after"), (b"ann", b"")]
    assert store.profiles.read([store.event]) == {shopper: b"after"}
    await store.profiles.log([shopper], [b"again"])
    assert store.changelog[2:] == [(store.name, b"again")]


@pytest.mark.parametrize("key_of_profile", [b"ann", None])
async def test_a_forgotten_profile_is_removed_under_its_pseudonym_and_its_id(key_of_profile: bytes | None) -> None:
    store = Store()
    store.table.stored[1, key_of_profile or store.name] = b"profile"
    assert store.profiles.remove([store.event]) == [True]
    await store.profiles.log_removal([store.event])
    assert store.table.stored == {}
    assert sorted(store.changelog) == sorted([(store.name, b""), (b"ann", b"")])
    assert store.profiles.remove([store.event]) == [False]


@pytest.mark.parametrize("name", ["pseudonym_key", "encryption_keys"])
@pytest.mark.parametrize("value", ["short", BASE64[:-4], "not base64 " * 4, f"{BASE64},short"])
def test_a_wrong_key_is_reported_without_its_value(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: value}, env_file=None)
    assert f"INTENTSTREAM_{name.upper()}" in str(caught.value)
    assert "openssl rand -base64 32" in str(caught.value)
    assert value not in str(caught.value)


def test_keys_are_secrets() -> None:
    settings = load_settings({"pseudonym_key": BASE64, "encryption_keys": f"{BASE64},{BASE64}"}, env_file=None)
    assert BASE64 not in repr(settings)
    assert settings.environment()["INTENTSTREAM_ENCRYPTION_KEYS"] == f"{BASE64},{BASE64}"
