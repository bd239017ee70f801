"""Another model means another vector space: old vectors are never compared with new ones."""

from __future__ import annotations

import numpy as np

from inference.types import Item, Vector, stable_key
from streams.profiles.codec import decode, encode
from streams.profiles.profile import AFFINITIES, apply, empty, in_space
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, at, fold_all, unit_vector

BOOTS = stable_key("boots")


def vector_of(key: int) -> Vector | None:
    return unit_vector("boots", 8) if key == BOOTS else None


def test_vectors_of_another_space_come_back_as_nothing_and_everything_else_as_it_was() -> None:
    profile = fold_all([act("view", "boots"), act("cart", "hat", NOW_MS + 1000)])
    read = decode(encode(profile), 8, space=5)
    assert not read.short_term.any()
    assert not read.long_term.any()
    assert len(read.long_term) == 8
    assert np.array_equal(read.recent, profile.recent)
    assert np.array_equal(read.categories, profile.categories)
    assert read.positions == profile.positions


def test_the_vectors_are_made_again_from_the_items_that_are_remembered() -> None:
    half_life = round(RULES.short_term_half_life_ms)
    later = NOW_MS + half_life
    bought = fold_all([act("purchase", "boots")])
    profile = apply(bought, act("view", "hat", later), at(1, later), vector=None, item=None, rules=RULES)
    moved = in_space(decode(encode(profile), 8, space=5), 5, vector_of=vector_of, rules=RULES)
    assert np.allclose(moved.short_term, 3.0 * 0.5 * unit_vector("boots", 8), atol=1e-5)
    assert moved.space == 5
    assert in_space(moved, 5, vector_of=vector_of, rules=RULES) is moved
    assert np.allclose(decode(encode(moved), 8, space=5).short_term, moved.short_term, atol=1e-4)


def test_a_label_that_comes_often_enters_a_full_memory() -> None:
    profile = empty(DIM, 0)
    for number in range(AFFINITIES):
        known = item_in(f"old{number}")
        profile = apply(profile, act("purchase", known.item_id), at(number), vector=None, item=known, rules=RULES)
    newcomer = item_in("new")
    profile = apply(profile, act("view", "new"), at(1000), vector=None, item=newcomer, rules=RULES)
    assert stable_key("new") in profile.categories["key"]
    assert len(profile.categories) == AFFINITIES


def item_in(category: str) -> Item:
    return Item(item_id=category, title=category, category=(category,))
