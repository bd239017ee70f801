"""Texts that are never suggested."""

from __future__ import annotations

import pytest

from inference.suggestions.cleaning import BlockList, publishable

NOTHING_BLOCKED = BlockList()


@pytest.mark.parametrize(
    "text",
    [
        "anna.smith@example.org",
        "mail to anna＠example",
        "anna (at) example dot org",
        "anna at example.org",
        "anna at example dot org",
        "https://example.test/x",
        "www.example.test",
        "shop.de",
        "example.com/cart",
        "bit.ly/3xyz",
        "+49 (0)30 123456",
        "555-123-4567",
        "555.123.4567 call",
        "4111 1111 1111 1111",
        "4111111111111111",
        "de89 3704 0044 0532 0130 00",
        "order12345678",
        "1_2_3_4_5_6_7",
        "１２３４５６７８",
        "٠١٢٣٤٥٦٧٨",
        "5 / 5 / 5 - 1 2 3 4",
        "a" * 33,
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c",
        "word " * 20,
        "tea " * 1_000_000,
        "x\ue000y",
        "",
        "  \x00\x1b[31m ",
        "😀",
    ],
)
def test_personal_and_unreadable_texts_are_refused(text: str) -> None:
    assert publishable(text, NOTHING_BLOCKED) is None


@pytest.mark.parametrize(
    "text",
    [
        "iphone 12 pro max 256 gb",
        "sony wh-1000xm4",
        "205/55 r16",
        "1920x1080 monitor",
        "usb 3.0 cable",
        "dr. martens 1460",
        "no.7 serum",
        "7up",
        "lamp for reading at night",
        "蓝牙耳机",
        "кофе в зёрнах 1 кг",
        "h&m",
        "st.ives",
    ],
)
def test_usual_queries_are_kept(text: str) -> None:
    assert publishable(text, NOTHING_BLOCKED) == text


def test_control_characters_and_markup_are_removed() -> None:
    assert publishable("\x1b[31mRed\x07 <b>tea\u202e</b>", NOTHING_BLOCKED) == "red tea"


def test_blocked_words_are_whole_words_in_any_spelling() -> None:
    blocked = BlockList(["# a comment", "", "  Crème  ", "bad words", "坏"])
    for text in ("creme puff", "CRÈME", "the bad-word shop", "bad words", "好坏好"):
        assert publishable(text, blocked) is None
    for text in ("cremes puffed"[1:], "badword", "words bad", "comment"):
        assert publishable(text, blocked) == text
