"""Attributes from titles and descriptions."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.attributes.brands import Brands
from inference.attributes.derive import derive, normal_value
from inference.attributes.names import BRAND, NAMES, SOURCES, given_names, standard_name
from inference.records import Item


def values(title: str, **fields: object) -> dict[str, str]:
    item = Item(item_id="1", title=title, **fields)  # type: ignore[arg-type]
    return {each.name: each.value for each in derive(item)}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Fjell GTX trail shoe, blue, size 42", {"colour": "blue", "size": "42"}),
        ("Cotton shirt gray - XL", {"colour": "grey", "size": "XL", "material": "cotton"}),
        ("Coca-Cola 6 x 330 ml", {"capacity": "330 ml", "quantity": "6"}),
        ("Kaffee 500 g, 12er Pack", {"capacity": "500 g", "quantity": "12"}),
        ("Labels A4 63.5x38.1 mm gold film 525 pcs.", {"colour": "gold", "size": "63.5 x 38.1 mm", "quantity": "525"}),
        ('Monitor 39.6 cm (15.6") matt black', {"size": "15.6 in", "colour": "black"}),
        ("Seagate 1TB HDD 64MB Cache SATA 6Gb/s (ST1000DM003)", {"capacity": "1 TB", "model": "ST1000DM003"}),
        ("Notebook 4 GB DDR3-SDRAM 1000 GB", {"capacity": "1 TB"}),
        ("Memory module 32 GB DDR4", {"capacity": "32 GB"}),
        ("有机绿茶 250克 3盒装", {"capacity": "250 g", "quantity": "3"}),
        ("不锈钢保温杯 黑色 500毫升", {"capacity": "500 ml", "colour": "黑色", "material": "不锈钢"}),
        ("T-Shirt Baumwolle schwarze Größe M", {"size": "M", "colour": "schwarz", "material": "baumwolle"}),
        ("WH-1000XM4", {"model": "WH-1000XM4"}),
        ("Green tea", {}),
        ("Black & Decker drill", {}),
        ("USB 3.0 hub with 802.11n and DDR4", {}),
        ("Gold plated plug", {}),
    ],
)
def test_titles(title: str, expected: dict[str, str]) -> None:
    assert values(title) == expected


def test_the_description_gives_what_the_title_lacks() -> None:
    assert values("Trail shoe red", description="Blue soles, made of leather, 300 g") == {
        "colour": "red",
        "material": "leather",
    }


def test_a_brand_comes_from_the_catalogue() -> None:
    brands = Brands()
    item = Item(item_id="1", title="New! Fjell Nord trail shoe")
    assert brands.add("Fjell") is None
    assert not derive(item, [BRAND], brands), "one item is too few"
    assert brands.add("FJELL") == ("fjell",)
    brands.add("FJELL")
    (found,) = derive(item, [BRAND], brands)
    assert (found.value, found.source, found.text) == ("FJELL", "catalogue", "fjell")
    for _ in range(2):
        brands.add("Fjell Nord")
    assert derive(item, [BRAND], brands)[0].value == "Fjell Nord", "the longest one"
    toner = Item(item_id="2", title="Toner for Fjell printers")
    assert not derive(toner, [BRAND], brands)
    assert not derive(Item(item_id="3", title="One two three four Fjell"), [BRAND], brands)
    brands.remove("Fjell Nord")
    assert brands.remove("Fjell") is None
    assert brands.remove("FJELL") == ("fjell",)
    assert not derive(item, [BRAND], brands)


def test_a_brand_is_no_colour() -> None:
    brands = Brands()
    assert values("Braun shaver") == {"colour": "braun"}
    assert not values("Braun shaver", brand="Braun")
    brands.add("Braun")
    brands.add("Braun")
    assert [each.name for each in derive(Item(item_id="1", title="Braun shaver"), NAMES, brands)] == [BRAND]


@pytest.mark.parametrize("name", ["colour", "Color", "FARBE", "颜色", "colour_family"])
def test_nothing_is_derived_where_the_shop_gives_it(name: str) -> None:
    assert values("Black pen", attributes={name: "Midnight"}) == {}
    assert values("Black pen", attributes={name: " "}) == {"colour": "black"}, "a blank value is none"


SHOP = st.dictionaries(
    st.sampled_from(["colour", "Color", "size", "material", "capacity", "Inhalt", "quantity", "mpn", "drop"]),
    st.text(min_size=0, max_size=10),
)
WORDS = st.lists(
    st.sampled_from(["black", "12", "GB", "cm", "x", "pack of", "cotton", "Fjell", "SM-A515F", '"', "(", "XL", "红色"])
).map(" ".join)  # fmt: skip


@given(st.one_of(WORDS, st.text(max_size=200)).filter(bool), SHOP, st.sampled_from([None, "", "Fjell"]))
def test_derived_values_never_replace_the_shops_and_are_the_same_each_time(
    title: str, attributes: dict[str, str], brand: str | None
) -> None:
    brands = Brands()
    brands.add("Fjell")
    brands.add("Fjell")
    item = Item(item_id="1", title=title, description=title[::-1], attributes=attributes, brand=brand)
    found = derive(item, NAMES, brands)
    assert not given_names(item) & {each.name for each in found}
    assert [each.name for each in found] == [name for name in NAMES if name in {each.name for each in found}]
    assert all(each.value.strip() and each.value.isprintable() and each.source in SOURCES for each in found)
    assert derive(item, NAMES, brands) == found
    for each in found:
        assert normal_value(each.name, each.value) == each.value or each.name in ("brand", "model")


@pytest.mark.parametrize(
    "text",
    [
        "9" * 100_000, "1x" * 50_000, "1 x 1 x " * 20_000, "12.5," * 30_000, "pack of " * 20_000, "a1-" * 40_000,
        "\x00\x1b[31m\u202e" * 30_000, "<b" * 60_000, "&amp;" * 30_000, "1,000" * 30_000, "(((" * 40_000,
        "9盒" * 40_000, "x" * 100_000 + "xl", "\ud800 12 GB",
    ],
)  # fmt: skip
def test_hostile_texts_cost_little(text: str) -> None:
    item = Item(item_id="1", title=text, description=text)
    derive(item)
    began = time.process_time()
    derive(item)
    assert time.process_time() - began < 0.1


def test_control_characters_are_not_part_of_values() -> None:
    assert values("Pen \x1b[31mblack\x07, 12\u200b GB") == {"colour": "black", "capacity": "12 GB"}


def test_names() -> None:
    assert [standard_name(name) for name in ("Color", "尺码", "Pack-Size", "length", "drop")] == [
        "colour", "size", "quantity", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("colour", "Dark Grey", "grey"), ("colour", "Midnight", "midnight"), ("material", "100% Cotton", "cotton"),
        ("capacity", "2000GB", "2 TB"), ("capacity", "half a litre", "half a litre"), ("size", "xl", "XL"),
        ("size", "15.6\"", "15.6 in"), ("quantity", "6 pcs", "6"), ("quantity", "6", "6"),
        ("size", "10x20 cm", "10 x 20 cm"),
    ],
)  # fmt: skip
def test_normal_values(name: str, value: str, normal: str) -> None:
    assert normal_value(name, value) == normal
