"""The Chinese demo: its catalogue, its shoppers, and its model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from inference.chinese import is_chinese, simplified
from inference.records import title_key
from streams.contracts import serde
from streams.contracts.messages import Interaction, Purchase, Search
from streams.demo.chinese.goods import Kind, read_kinds
from streams.demo.chinese.shoppers import BASICS, SHOPPERS, TASTES, shopping, shown
from streams.demo.data import bought_next
from streams.demo.environment import demo_settings, knows_chinese
from streams.demo.shops import general_shop
from streams.demo.words import Language
from streams.errors import ConfigurationError
from streams.settings import Settings
from tests.bundles import Manifest, copy_bundle
from tests.conftest import BUNDLE


@pytest.fixture(scope="module")
def kinds() -> dict[str, Kind]:
    return read_kinds()


@pytest.fixture(scope="module")
def events(kinds: Mapping[str, Kind]) -> list[Interaction]:
    return shopping(kinds)


def test_the_catalogue_is_chinese_unique_and_valid(kinds: Mapping[str, Kind]) -> None:
    items = [item for kind in kinds.values() for item in kind.items]
    assert 300 <= len(items) <= 500
    assert len({item.item_id for item in items}) == len({title_key(item) for item in items}) == len(items)
    for item in items:
        assert serde.parse_item(serde.encode_json(item)) == item
        assert item.title == simplified(item.title)
        assert item.brand is not None
        assert item.title.startswith(f"{item.brand} ")
        assert all(is_chinese(part) for part in (item.title, item.brand, *item.category))
        assert item.currency == "CNY"
        assert item.price is not None
        assert 5 <= item.price <= 1000
        assert len(item.category) == 3


def test_every_item_has_an_english_title_beside_the_catalogue(kinds: Mapping[str, Kind]) -> None:
    english = [title for kind in kinds.values() for title in kind.english_titles]
    assert len(set(english)) == len(english) == sum(len(kind.items) for kind in kinds.values())
    assert not any(is_chinese(title) for title in english)


def test_kinds_have_searches_in_three_scripts_and_go_with_other_kinds(kinds: Mapping[str, Kind]) -> None:
    for name, kind in kinds.items():
        assert all(other in kinds and other != name for other in kind.goes_with)
        assert all(is_chinese(text) for text in (*kind.words, *kind.needs, *kind.traditional))
        assert not any(is_chinese(text) for text in kind.english)
        assert not set(kind.needs) & set(kind.words)
    changed = [word for kind in kinds.values() for word in kind.traditional if simplified(word) != word]
    assert len(changed) > len(kinds) / 2
    assert {*BASICS, *(name for taste in TASTES for name in taste)} <= set(kinds)


def test_events_are_deterministic_valid_and_synthetic(events: list[Interaction], kinds: Mapping[str, Kind]) -> None:
    assert shopping(kinds) == events
    assert len({event.event_id for event in events}) == len(events)
    for event in events:
        decode = serde.decode_search if isinstance(event, Search) else serde.decode_item_action
        assert decode(event.user_id.encode(), serde.encode_json(event)) == event
        assert event.context == {"synthetic": True}


def test_each_shopper_acts_in_order_of_time_and_views_before_buying(events: list[Interaction]) -> None:
    by_user: dict[str, list[Interaction]] = defaultdict(list)
    for event in events:
        by_user[event.user_id].append(event)
    assert len(by_user) == SHOPPERS
    for own in by_user.values():
        assert all(one.occurred_at <= other.occurred_at for one, other in pairwise(own))
    acted: set[tuple[str | None, str]] = set()
    for event in events:
        if isinstance(event, Purchase):
            assert (event.session_id, event.item_id) in acted
        elif not isinstance(event, Search):
            acted.add((event.session_id, event.item_id))


def test_lists_have_something_to_learn_in_the_replayed_weeks(events: list[Interaction]) -> None:
    replayed = events[:3000]
    assert (replayed[-1].occurred_at - replayed[0].occurred_at).days >= 18
    purchases = Counter((each.user_id, each.item_id) for each in replayed if isinstance(each, Purchase))
    assert sum(times >= 2 for times in purchases.values()) >= 50
    assert any(times >= 3 for times in purchases.values())
    baskets: dict[str | None, set[str]] = defaultdict(set)
    for event in replayed:
        if isinstance(event, Purchase):
            baskets[event.session_id].add(event.item_id)
    pairs = Counter(pair for basket in baskets.values() for pair in combinations(sorted(basket), 2))
    assert sum(times >= 3 for times in pairs.values()) >= 5, "a reason needs three shoppers"
    assert sum(event.event_id in bought_next(replayed) for event in replayed) > 1000


def test_the_shown_shopper_buys_again_and_searches_in_three_ways(events: list[Interaction]) -> None:
    replayed = events[:3000]
    own = [event for event in replayed if event.user_id == shown(replayed)]
    bought = Counter(event.item_id for event in own if isinstance(event, Purchase))
    assert max(bought.values()) >= 3
    searches = [event.query for event in own if isinstance(event, Search)]
    assert any(query.isascii() for query in searches)
    assert any(simplified(query) != query for query in searches)
    assert any(simplified(query) == query and is_chinese(query) for query in searches)


def test_the_shop_has_the_best_sellers_and_the_events_on_them() -> None:
    shop = general_shop(50, 400, None)
    known = {item.item_id for item in shop.items}
    assert (len(known), len(shop.events)) == (50, 400)
    assert all(isinstance(event, Search) or event.item_id in known for event in shop.events)
    assert general_shop(50, 400, 12).shopper == "12"
    with pytest.raises(ConfigurationError, match=r"--shopper: required a shopper of the data \(1 to 300\), got 301"):
        general_shop(50, 400, 301)


def chinese(folder: Path, manifest: Manifest) -> None:
    manifest["name"] = folder.parent.name
    manifest["card"]["languages"] = ["Chinese", "English"]


def settings_of(tmp_path: Path, language: Language) -> Settings:
    return demo_settings("127.0.0.1:1", tmp_path, language=language, embedded=True, usual_port=False)


def test_the_chinese_demo_has_the_newest_multilingual_model_and_chinese_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTENTSTREAM_MODEL_DIR", str(tmp_path))
    monkeypatch.delenv("INTENTSTREAM_MODEL_PATH", raising=False)
    without = settings_of(tmp_path, "zh")
    assert (without.retrieval.language, without.model.path.parent.name) == ("zh", "shop-minilm-l3")
    folder = tmp_path / "shop-multilingual-l3"
    for version in ("2", "10"):
        copy_bundle(BUNDLE, folder / version, chinese)
    (folder / "11").mkdir()  # still being copied
    found = settings_of(tmp_path, "zh")
    assert found.model.path == folder / "10"
    assert knows_chinese(found)
    assert settings_of(tmp_path, "en").model.path.parent.name == "shop-minilm-l3"
    monkeypatch.setenv("INTENTSTREAM_MODEL_PATH", str(BUNDLE))
    chosen = settings_of(tmp_path, "zh")
    assert chosen.model.path == BUNDLE
    assert not knows_chinese(chosen)


def test_the_english_demo_keeps_the_language_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTSTREAM_LANGUAGE", "de")
    assert settings_of(tmp_path, "en").retrieval.language == "de"
    assert settings_of(tmp_path, "zh").retrieval.language == "zh"
