"""Vector spaces: vectors of two models are never mixed."""

from __future__ import annotations

import numpy as np
import pytest

from inference.types import Vector, stable_key
from streams.profiles.codec import Shoppers, decode, load
from tests.streams.profiles.versions import VERSION_3, VERSION_5, VERSION_6, VERSION_7
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, at, fold, fold_all, fold_batch, unit_vector

BOOTS = stable_key("boots")
OTHER = 5


def vector_of(key: int) -> Vector | None:
    return unit_vector("boots", 8) if key == BOOTS else None


def renewed(stored: bytes) -> bytes:
    """Return a profile after its move to another space of 8 dimensions."""
    shoppers = Shoppers([None, stored], 8, OTHER)
    assert shoppers.of_other_space == [1]
    shoppers.renew(vector_of, RULES)
    assert shoppers.of_other_space == []
    return shoppers.stored()[1]


def test_reading_in_another_space_zeroes_the_vectors_only() -> None:
    stored = fold_all([act("view", "boots"), act("purchase", "hat", NOW_MS + 1000)])
    profile, read = decode(stored, DIM, 0), decode(stored, 8, OTHER)
    assert not read.short_term.any()
    assert not read.long_term.any()
    assert len(read.long_term) == 8
    assert read.space == 0
    assert np.array_equal(read.recent, profile.recent)
    assert np.array_equal(read.categories, profile.categories)
    assert read.habits.tobytes() == profile.habits.tobytes()
    assert read.positions == profile.positions
    assert decode(load(stored, 8, OTHER), 8, OTHER).space == 0


def test_vectors_are_recomputed_from_the_remembered_items() -> None:
    later = NOW_MS + round(RULES.short_term_half_life_ms)
    stored = fold_all([act("purchase", "boots")])
    stored, _ = fold_batch(stored, [(act("view", "hat", later), at(1, later))], item_of=lambda _: None)
    moved = renewed(stored)
    profile = decode(moved, 8, OTHER)
    assert np.allclose(profile.short_term, 3.0 * 0.5 * unit_vector("boots", 8), atol=1e-4)
    assert profile.space == OTHER
    assert Shoppers([moved], 8, OTHER).of_other_space == []
    assert load(moved, 8, OTHER) == moved
    assert fold(stored, act("purchase", "boots"), at(0)) == stored


@pytest.mark.parametrize(
    "stored",
    [VERSION_3, VERSION_5, VERSION_6, VERSION_7],
    ids=["MessagePack", "version 5", "version 6", "version 7"],
)
def test_profiles_of_both_formats_move_to_another_space(stored: bytes) -> None:
    profile = decode(renewed(stored), 8, OTHER)
    assert (profile.space, profile.updated_ms, len(profile.recent)) == (OTHER, NOW_MS, 2)
    assert not profile.short_term.any()
