"""The same product and variants within one catalogue."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from inference.attributes.pairs import FEATURES, TitleWords
from inference.attributes.variants import find_related, weights
from inference.records import Item


def item(item_id: str, title: str, **fields: object) -> Item:
    return Item(item_id=item_id, title=title, **fields)  # type: ignore[arg-type]


OTHERS = tuple(
    item(f"other{number}", f"{kind} {maker} {kind[::-1]}{number}", brand=maker)
    for number, (kind, maker) in enumerate((kind, maker) for kind in ("lamp", "chair", "desk") for maker in "ABCDEF")
)
SHOP = (
    item("a", "Seagate Barracuda 1TB desktop drive ST1000DM003", brand="Seagate"),
    item("b", "Seagate Barracuda desktop drive 1 TB (ST1000DM003)"),
    item("c", "Seagate Barracuda 2TB desktop drive ST2000DM001", brand="Seagate"),
    item("d", "Fjell Nord trail shoe blue 42 cm", brand="Fjell"),
    item("e", "Fjell Nord trail shoe red 42 cm", brand="Fjell"),
    item("f", "Fjell Nord trail shoe", brand="Fjell", attributes={"Color": "green", "size": "42 cm"}),
    item("g", "Fjell Nord trail shoe blue 42 cm", brand="Other"),
    *OTHERS,
)


def test_the_same_product_and_variants() -> None:
    found = list(find_related(SHOP))
    same = {each.items for each in found if each.kind == "same"}
    variants = {each.items: each.differ_in for each in found if each.kind == "variant"}
    assert ("a", "b") in same
    assert not {("a", "c"), ("d", "e"), ("d", "g"), ("e", "f")} & same
    assert variants == {("d", "e", "f"): ("colour",)}
    assert all(0.9 <= each.score <= 1 for each in found if each.score is not None)
    assert not [each for each in find_related(SHOP, least_score=1.0) if each.kind == "same"]


def test_model_numbers_that_differ_from_the_start_are_other_products() -> None:
    cyan = item("1", "Acme toner cartridge cyan C4192A", brand="Acme")
    black = item("2", "Acme toner cartridge black C4193A", brand="Acme")
    other = item("3", "Acme toner cartridge yellow 92298A", brand="Acme")
    found = list(find_related([cyan, black, other]))
    assert [(each.kind, each.items) for each in found] == [("variant", ("1", "2"))]


def test_the_shipped_weights_have_all_features() -> None:
    assert set(weights().weights) == set(FEATURES)
    assert 0 < weights().threshold < 1


def test_progress_and_empty_catalogues() -> None:
    seen: list[int] = []
    list(find_related(SHOP, seen.append))
    assert sum(seen) == len(SHOP)
    assert list(find_related([])) == []
    assert list(find_related([item("1", "!")])) == []


WORDS = st.lists(st.sampled_from(["black", "12 GB", "Fjell", "SM-A515F", "cup", "(x)", "3", "红色"])).map(" ".join)


@given(WORDS, WORDS)
def test_features_do_not_depend_on_the_order_of_a_pair(first: str, second: str) -> None:
    words = TitleWords([first, second, "cup"])
    one, other = (words.facts_of(item("1", title or "-")) for title in (first, second))
    assert words.features(one, other) == words.features(other, one)
    assert len(words.features(one, other)) == len(FEATURES)


def test_the_result_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from tests.inference.attributes.test_variants import SHOP, find_related\n"
        "print(list(find_related(SHOP, least_score=0.01)))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
