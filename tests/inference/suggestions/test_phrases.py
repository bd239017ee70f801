"""Phrases of the catalogue."""

from __future__ import annotations

from inference.suggestions.phrases import TitleWords, label_phrases, title_phrases
from inference.types import Item

TITLES = [
    "Acme HDMI cable, 2 m",
    "Acme HDMI cable for TV",
    "Bolt HDMI cable with ferrite, black",
    "Bolt case for phone",
    "Bolt case with strap, black",
    "Case for camera, black",
    "Case for phone, red",
]


def found(titles: list[str]) -> dict[str, list[int]]:
    return {phrase.text: phrase.items.tolist() for phrase in title_phrases(titles, TitleWords(), 100)}


def test_phrases_of_several_items_without_function_words_at_their_ends() -> None:
    phrases = found(TITLES)
    assert phrases["hdmi cable"] == [0, 1, 2]
    assert phrases["case for phone"] == [3, 6]
    assert not any(phrase.startswith(("for ", "with ")) or phrase.endswith((" for", " with")) for phrase in phrases)


def test_a_part_of_a_phrase_with_the_same_items_is_dropped() -> None:
    assert "hdmi" not in found(TITLES)
    assert "cable" not in found(TITLES)


def test_phrases_do_not_cross_a_comma_or_repeat_a_word() -> None:
    assert "cable 2" not in found(["HDMI cable, 2 m"] * 3)
    assert all(len(set(phrase.split())) == len(phrase.split()) for phrase in found(["usb usb usb hub"] * 3))


def test_most_frequent_first_and_bounded() -> None:
    phrases = title_phrases(TITLES, TitleWords(), 2)
    assert len(phrases) == 2
    assert len(phrases[0].items) >= len(phrases[1].items)
    assert title_phrases([], TitleWords(), 5) == title_phrases(["¤", ""], TitleWords(), 5) == []


def test_words_known_from_the_last_build_give_the_same_phrases() -> None:
    words = TitleWords()
    title_phrases(["Other case"] * 2 + TITLES, words, 100)
    again = {phrase.text: phrase.items.tolist() for phrase in title_phrases(TITLES, words, 100)}
    assert again == found(TITLES)


def test_labels_and_their_combinations() -> None:
    items = [
        Item(
            item_id=str(number), title="x", category=("Audio", "Headphones"), brand="Sony", attributes={"colour": "red"}
        )
        for number in range(2)
    ] + [Item(item_id="3", title="x", category=("Lamps",), brand="Bolt")]
    phrases = {phrase.text: phrase.items.tolist() for phrase in label_phrases(items)}
    assert phrases == {
        "Audio": [0, 1],
        "Headphones": [0, 1],
        "Sony": [0, 1],
        "Sony Headphones": [0, 1],
        "red Headphones": [0, 1],
        "Lamps": [2],
        "Bolt": [2],
    }
