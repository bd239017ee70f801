"""The tagger of title words: weak labels, the fit, and states of the shipped encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.bundle import load_bundle
from inference.types import Item
from training.attributes.hidden import Hidden
from training.attributes.tagger import TAGGED, Read, fit, measure_tagger, values_of, weak_tags
from training.distillation.token_states import TokenStates

pytest.importorskip("scipy")

BUNDLE = Path("exported_models/shop-minilm-l3/1")


def spans(title: str) -> list[tuple[int, int]]:
    at, found = 0, []
    for word in title.split():
        begin = title.index(word, at)
        at = begin + len(word)
        found.append((begin, at))
    return found


def test_weak_tags_follow_the_values_in_titles() -> None:
    title = "Fjell Nord cup light red steel AB12 redder"
    labels = {
        "brand": (("supplier", ("Fjell Nord",)),),
        "colour": (("c", ("Red", "Blue")),),
        "material": (("m", ("Steel (304)",)),),
        "model": (("name", ("AB12",)),),
    }
    tags = [0 if not tag else TAGGED[tag - 1] for tag in weak_tags(title, spans(title), labels).tolist()]
    assert tags == ["brand", "brand", 0, 0, "colour", "material", "model", 0]


def test_the_fit_finds_the_tags_of_separable_words() -> None:
    random = np.random.default_rng(0)
    tags = random.integers(0, 3, 300)
    features = (np.eye(3)[tags] * 4 + random.normal(size=(300, 3))).astype(np.float32)
    weights = fit(features, tags, 3)
    found = (np.column_stack([features, np.ones(300)]) @ weights).argmax(axis=1)
    assert (found == tags).mean() > 0.95
    hidden = Hidden(Item(item_id="1", title="a b"), {})
    sure = np.array([[9, 0, 0], [0, 9, 0]], dtype=np.float32)
    read = Read(hidden, "a b", [(0, 1), (2, 3)], sure, np.zeros(2, dtype=np.int64))
    assert values_of(read, fit(features, tags, 3)) == {TAGGED[0]: "b"}
    assert values_of(read._replace(words=[], features=sure[:0]), weights) == {}


def test_pooled_states_are_the_encoders_vector() -> None:
    title = "noise cancelling headphones"
    states = TokenStates.of(BUNDLE)
    (words,) = states.of_words([title], [spans(title)])
    vector = load_bundle(BUNDLE).encode_items([title])[0]
    # Without the states of the first and the last token, which are no words, the direction is nearly the same.
    mean = words.mean(axis=0)
    assert float(mean @ vector / np.linalg.norm(mean)) > 0.9
    cut = "word " * 300
    (long,) = states.of_words([cut], [spans(cut)])
    assert np.abs(long[0]).sum() > 0
    assert np.abs(long[-1]).sum() == 0, "behind the encoder's last token"


def test_the_tagger_finds_what_the_catalogue_names() -> None:
    colours = ("teal", "coral", "mint")
    items = [
        Hidden(
            Item(item_id=str(number), title=f"Maker{number % 8} cup {colours[number % 3]} large"),
            {
                "brand": (("supplier", (f"Maker{number % 8}",)),),
                "colour": (("attr_t_product_colour", (colours[number % 3],)),),
            },
        )
        for number in range(240)
    ]
    same, _ = measure_tagger(items, BUNDLE, most=200)
    scores = {each.name: each for each in same.tagger}
    assert scores["brand"].precision > 0.9
    assert scores["colour"].recall > 0.9
    assert next(each for each in same.rules if each.name == "colour").derived == 0
    assert next(each for each in same.both if each.name == "colour").recall > 0.9
