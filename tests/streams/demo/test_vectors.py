from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundle import Bundle
from inference.types import Item
from streams.demo.vectors import DemoVectors, VectorCache
from streams.items.encoded import encode_catalogue
from streams.settings import Settings, load_settings
from tests.conftest import BUNDLE

ITEMS = [Item(item_id="1", title="Lemons"), Item(item_id="2", title="Limes"), Item(item_id="3", title="Lemons")]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return load_settings({"model_path": BUNDLE}, env_file=None)


def test_a_text_is_encoded_once_across_runs(settings: Settings, bundle: Bundle) -> None:
    encoded: list[int] = []
    first = DemoVectors.of(ITEMS[:1], settings)
    first.records(settings, encoded.append)
    second = DemoVectors.of(ITEMS, settings)
    assert second.missing() == 1
    records = second.records(settings, encoded.append)
    assert sum(encoded) == 2
    third = DemoVectors.of(ITEMS, settings)
    assert third.missing() == 0
    assert third.records(settings, encoded.append) == records == encode_catalogue(bundle, ITEMS)
    assert sum(encoded) == 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"something else"])
def test_a_damaged_cache_is_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vectors.npz"
    path.write_bytes(content)
    assert VectorCache(path, 384).load() == {}


def test_a_cache_of_other_dimensions_is_empty(tmp_path: Path) -> None:
    VectorCache(tmp_path / "v.npz", 2).save({1: b"ab", 2: b"cd"})
    assert VectorCache(tmp_path / "v.npz", 2).load() == {1: b"ab", 2: b"cd"}
    assert VectorCache(tmp_path / "v.npz", 3).load() == {}


def test_saving_to_an_unwritable_path_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    VectorCache(tmp_path / "file" / "v.npz", 2).save({1: b"ab"})
