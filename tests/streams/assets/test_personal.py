"""Personal data in free text: what is found, and what is not mistaken for it."""

from __future__ import annotations

import pytest

from streams.assets.personal import MOST_PHONES, personal_classes


@pytest.mark.parametrize(("text", "classes"), [
    ("jo.smith+shop@mail.example.co.uk", ["email"]),
    ("call +44 20 7946 0958 please", ["phone"]),
    ("4111 1111 1111 1111", ["card"]),
    ("5500-0055-5555-5559 jo@example.com", ["email", "card"]),
    ("+49 30 901820 / 4111111111111111", ["card", "phone"]),
    ("deliver to 10 Downing Street, London SW1A 2AA", ["address"]),
    ("221B Baker Street London NW1 6XE", ["address"]),
    ("350 Fifth Avenue New York, NY 10118", ["address"]),
    ("42 Wallaby Way Sydney NSW 2000", ["address"]),
    ("Musterstraße 12, 10115 Berlin", ["address"]),
    ("Am Marktplatz 3, 8010 Graz", ["address"]),
    ("12 rue de la Paix, 75002 Paris", ["address"]),
    ("Calle de Alcalá 48, 28014 Madrid", ["address"]),
    ("Via Roma 10, 00184 Roma", ["address"]),
    ("Keizersgracht 123, 1015 CJ Amsterdam", ["address"]),
    ("上海市浦东新区世纪大道100号", ["address"]),
])  # fmt: skip
def test_personal_data_is_found(text: str, classes: list[str]) -> None:
    assert list(personal_classes(text)) == classes


@pytest.mark.parametrize("text", [
    "red shoes", "4111 1111 1111 1112", "5901234123457", "@home", "a@b", "64GB 2400MHz", "", "+" * 400, "1" * 400,
    "iphone 13 pro 128 gb 2021", "V7 8GB USB 2.0 Flash Drive", "V7 16 GB Flash Drive 8GB", "16 Wall Street Poster",
    "Bosch Hauptstraße Edition 12", "5000 Mini Road Bikes, 12345 parts",
    "第100号商品", "\u0661\u0662\u0663" * 20,
])  # fmt: skip
def test_other_texts_are_not_mistaken_for_it(text: str) -> None:
    assert not personal_classes(text)


def test_only_a_few_numbers_of_a_long_text_are_compared_with_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def matcher(text: str, _: None) -> list[object]:
        compared.append(text)
        return []

    monkeypatch.setattr("phonenumbers.PhoneNumberMatcher", matcher)
    assert not personal_classes("+1 2" * 75)
    assert compared == []
    personal_classes("+10 000 000 000, " * 10)
    assert len(compared) == MOST_PHONES
