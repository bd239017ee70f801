"""The file of placements, and the settings that name it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inference.placements import DEFAULT, EVERYWHERE, Placement
from inference.retrieval.filters import Conditions, Filter
from inference.retrieval.sources import NAMES
from streams.contracts.serde import recommendation_id
from streams.errors import ConfigurationError
from streams.factory import placements
from streams.placements import DEFAULT_ONLY, parse_placements
from streams.settings import load_settings

EXAMPLE = Path("docs/placements.md").read_text().partition("```toml")[2].partition("\n")[2].partition("```")[0]


def test_the_documented_example_is_read_as_toml_and_as_json(tmp_path: Path) -> None:
    toml, json = tmp_path / "placements.toml", tmp_path / "placements.json"
    toml.write_text(EXAMPLE)
    json.write_bytes(msgspec.json.encode(msgspec.toml.decode(EXAMPLE)))
    read = [placements(load_settings({"placements_file": path}, env_file=None)) for path in (toml, json)]
    assert read[0] == read[1]
    assert set(read[0].named) == {DEFAULT, "home", "product", "cart", "search", "category", "email"}
    assert read[0].named["home"].filter == Filter(exclude_bought=True)
    assert read[0].named["email"].filter == Filter(without=(Conditions(categories=("Alcohol",)),), exclude_bought=True)
    assert read[0].events["cart"] == ("cart",)
    assert read[0].events["view"] == (DEFAULT, "product")
    assert read[0].events["purchase"] == (DEFAULT,)


def test_without_a_file_each_event_has_one_default_list() -> None:
    assert placements(load_settings(env_file=None)) is DEFAULT_ONLY
    assert {DEFAULT_ONLY.events[kind] for kind in ("search", "view", "click", "cart", "purchase")} == {(DEFAULT,)}
    assert DEFAULT_ONLY.named == {DEFAULT: EVERYWHERE}


def test_the_default_placement_may_be_configured_and_an_event_may_have_no_list() -> None:
    read = parse_placements(b"[placements.default]\nk = 5\n[events]\nview = []", Path("p.toml"), NAMES)
    assert read.named[DEFAULT] == Placement(k=5)
    assert read.events["view"] == ()
    assert {read.only(DEFAULT).events[kind] for kind in ("view", "search")} == {(DEFAULT,)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[placements.home]\nsize = 5", r"unknown field `size` - at `\$.placements"),
        ("[placements.home]\nk = 0", r"`int` >= 1 - at `\$.placements"),
        ("[placements.'my home']\nk = 5", "matching regex"),
        (
            "[placements.home]\nsources = ['trends']",
            "source of the placement home: required one of short.*'trends'",
        ),
        ("[placements.home.weights]\nnew = 2", "'new', which INTENTSTREAM_SOURCES leaves out"),
        ("[placements.home.filter]\nmax_price = 'cheap'", r"got `str` - at `\$.placements.*filter"),
        ("[events]\nclick = ['home']", "events.click: required one of default, got 'home'"),
        ("[events]\nclicked = ['default']", "Invalid enum value 'clicked'"),
        ("[events]\nclick = ['default', 'default']", "required each placement once"),
        ("[placements", "INTENTSTREAM_PLACEMENTS_FILE: p.toml"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_placements(text.encode(), Path("p.toml"), [name for name in NAMES if name != "new"])


def test_a_missing_file_or_placement_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="INTENTSTREAM_PLACEMENTS_FILE: required a file that can be read"):
        placements(load_settings({"placements_file": tmp_path / "none.toml"}, env_file=None))
    with pytest.raises(ConfigurationError, match="placement: required one of default, got 'home'"):
        DEFAULT_ONLY.only("home")


def test_ids_differ_by_placement_and_are_unchanged_for_the_default_one() -> None:
    assert recommendation_id("clicks", 3, 42, DEFAULT) == recommendation_id("clicks", 3, 42)
    assert recommendation_id("clicks", 3, 42) == "31fcbe5b296ebe750f9bba450624808a"
    assert recommendation_id("clicks", 3, 42, "home") not in (
        recommendation_id("clicks", 3, 42),
        recommendation_id("clicks", 3, 42, "cart"),
    )
