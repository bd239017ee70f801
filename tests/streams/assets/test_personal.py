"""Personal data in free text: what is found, and what is not mistaken for it."""

from __future__ import annotations

import pytest

from streams.assets.personal import personal_classes


@pytest.mark.parametrize(("text", "classes"), [
    ("jo.smith+shop@mail.example.co.uk", ["email"]),
    ("call +44 20 7946 0958 please", ["phone"]),
    ("4111 1111 1111 1111", ["card"]),
    ("5500-0055-5555-5559 jo@example.com", ["email", "card"]),
    ("+49 30 901820 / 4111111111111111", ["card", "phone"]),
])  # fmt: skip
def test_personal_data_is_found(text: str, classes: list[str]) -> None:
    assert personal_classes(text) == classes


@pytest.mark.parametrize("text", [
    "red shoes", "4111 1111 1111 1112", "5901234123457", "@home", "a@b", "64GB 2400MHz", "", "+" * 400, "1" * 400,
    "iphone 13 pro 128 gb 2021", "\u0661\u0662\u0663" * 20,
])  # fmt: skip
def test_other_texts_are_not_mistaken_for_it(text: str) -> None:
    assert personal_classes(text) == []
