from __future__ import annotations

from datetime import datetime

import pytest

from streams.errors import ConfigurationError
from training.importing.values import Unusable, Values, description, event_key, make_values, path, text


@pytest.mark.parametrize(
    ("written", "locale", "amount", "currency"),
    [
        ("1.299,00 €", None, 1299.0, "EUR"),
        ("$1,299.00", None, 1299.0, None),
        ("$1,299.00", "en_US", 1299.0, "USD"),
        ("$1,299.00", "en_CA", 1299.0, "CAD"),
        ("1 299,00 kr", None, 1299.0, None),
        ("1 299,00 kr", "sv_SE", 1299.0, "SEK"),
        ("1\u202f299,00\u00a0€", "fr_FR", 1299.0, "EUR"),
        ("CHF 1’299.00", "de_CH", 1299.0, "CHF"),
        ("1'299.50 CHF", None, 1299.5, "CHF"),
        ("15.00 USD", None, 15.0, "USD"),
        ("EUR 12", None, 12.0, "EUR"),
        ("£3.99", None, 3.99, "GBP"),
        ("199,90 zł", None, 199.9, "PLN"),
        ("1.234.567,89 EUR", None, 1234567.89, "EUR"),
        ("1,234,567.89", None, 1234567.89, None),
        ("1.234.567", None, 1234567.0, None),
        ("1,00,000.00 ₹", "en_IN", 100000.0, "INR"),
        ("1.299", "de_DE", 1299.0, None),
        ("1.299", "en_US", 1.299, None),
        ("0.125", None, 0.125, None),
        ("12,5", None, 12.5, None),
        ("19,– €", None, 19.0, "EUR"),
        (19.9, None, 19.9, None),
        ("0", None, 0.0, None),
    ],
)
def test_prices_of_many_countries(written: object, locale: str | None, amount: float, currency: str | None) -> None:
    price = make_values(locale=locale).price(written)
    assert (price.amount, price.currency) == (amount, currency)


@pytest.mark.parametrize(
    ("written", "locale", "reason"),
    [
        ("1.299", None, "price is ambiguous: give --locale"),
        ("1,299 €", None, "price is ambiguous: give --locale"),
        ("1,299.00", "de_DE", "price is not a number"),
        ("1299.5", "de_DE", "price is not a number"),
        ("on request", None, "price is not a number"),
        ("-5.00", None, "price is negative or not finite"),
        (float("nan"), None, "price is negative or not finite"),
        (float("inf"), None, "price is negative or not finite"),
    ],
)
def test_an_unclear_price_is_left_out_with_a_remark(written: object, locale: str | None, reason: str) -> None:
    values = make_values(locale=locale)
    assert values.price(written).amount is None
    assert [remark.reason for remark in values.remarks] == [reason]


def test_a_price_gets_the_currency_of_its_column_or_the_default() -> None:
    assert Values(currency="EUR").price("5.00").currency == "EUR"
    assert Values(currency="EUR").price("5.00", "SEK").currency == "SEK"
    assert Values(currency="CAD").price("$5.00").currency == "CAD"
    unclear = Values()
    assert unclear.price("$5.00").currency is None
    assert [remark.reason for remark in unclear.remarks] == ["currency is unclear: give --currency or --locale"]


@pytest.mark.parametrize(
    ("written", "zone", "utc"),
    [
        ("2026-01-31T14:03:05.120+01:00", None, "2026-01-31T13:03:05.120000"),
        ("2026-01-31T13:03:05Z", "Europe/Berlin", "2026-01-31T13:03:05"),
        ("2026-01-31 14:03:05", "Europe/Berlin", "2026-01-31T13:03:05"),
        ("2026-07-31 14:03:05", "Europe/Berlin", "2026-07-31T12:03:05"),
        ("2026-01-31 12:00:00.5 UTC", "Europe/Berlin", "2026-01-31T12:00:00.500000"),
        ("31.01.2026 14:00", "Europe/Berlin", "2026-01-31T13:00:00"),
        ("02.01.2026 14:00", "UTC", "2026-01-02T14:00:00"),
        ("01/31/2026 2:00 PM", "UTC", "2026-01-31T14:00:00"),
        ("31 Jan 2026 14:00", "UTC", "2026-01-31T14:00:00"),
        ("Sat, 31 Jan 2026 14:00:00 +0100", None, "2026-01-31T13:00:00"),
        ("20260131", "UTC", "2026-01-31T00:00:00"),
        ("20260131140000", "UTC", "2026-01-31T14:00:00"),
        (1769868000, None, "2026-01-31T14:00:00"),
        ("1769868000123", None, "2026-01-31T14:00:00.123000"),
        ("1769868000123456", None, "2026-01-31T14:00:00.123456"),
        (1439694000000, None, "2015-08-16T03:00:00"),
    ],
)
def test_times_become_utc(written: object, zone: str | None, utc: str) -> None:
    values = make_values(zone=zone)
    assert values.time(written) == datetime.fromisoformat(f"{utc}+00:00")
    assert values.remarks == []


def test_a_time_without_an_offset_is_utc_with_a_remark() -> None:
    values = Values()
    assert values.time("2026-01-31 14:00:00").isoformat() == "2026-01-31T14:00:00+00:00"
    assert [remark.reason for remark in values.remarks] == ["time without an offset was read as UTC: give --timezone"]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, "time is missing"),
        ("", "time is missing"),
        ("yesterday", "time cannot be read"),
        ("2026-02-30", "time cannot be read"),
        ("14:00", "time has no full date"),
        ("January 2026", "time has no full date"),
        ("01/02/2026 14:00", "date has two readings: give --day-first or --month-first"),
        ("2026/01/31 14:00 CST", "time zone abbreviation has several meanings"),
        ("99999999999999999999", "time cannot be read"),
    ],
)
def test_a_time_that_is_unclear_is_refused(written: object, reason: str) -> None:
    with pytest.raises(Unusable) as refused:
        Values().time(written)
    assert refused.value.reason == reason


def test_the_order_of_day_and_month_is_an_option() -> None:
    assert make_values(zone="UTC", day_first=True).time("01/02/2026").month == 2
    assert make_values(zone="UTC", day_first=False).time("01/02/2026").month == 1


@pytest.mark.parametrize(
    ("written", "available"),
    [("in stock", True), ("in_stock", True), ("out_of_stock", False), ("Preorder", True), ("TRUE", True), ("0", False),
     ("12", True), ("-3", False), (False, False), ("", None), (None, None), ("perhaps", None)],
)  # fmt: skip
def test_availability(written: object, available: bool | None) -> None:
    assert Values().available(written) is available


def test_texts_paths_and_keys() -> None:
    assert (text(" a "), text("(not set)"), text(None), text(507.0), text(0)) == ("a", None, None, "507", "0")
    assert (text("None"), text("nan")) == ("None", "nan")  # a brand, and a bread
    assert path("Home > Garden &amp; Patio >") == ("Home", "Garden & Patio")
    assert path("a/b", "/") == ("a", "b")
    assert path(None) == ()
    assert description("<p>Soft\ncotton</p>") == "Soft cotton"
    assert len(description("x" * 9000) or "") == 2000
    assert event_key("a", 1) == event_key("a", 1) != event_key("a1", "")


@pytest.mark.parametrize("option", [{"zone": "Mars/Base"}, {"locale": "xx_YY"}, {"currency": "euro"}])
def test_an_unknown_convention_is_an_error(option: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="required"):
        make_values(**option)  # type: ignore[arg-type]


def test_only_urls_of_http_are_kept() -> None:
    values = Values()
    assert values.url(" https://shop.example/tea?a=1 ") == "https://shop.example/tea?a=1"
    assert values.url(None) is None
    assert values.remarks == []
    for wrong in (
        "javascript:alert(1)",
        "//shop.example",
        "https://",
        "https://a b",
        'https://a"b',
        "https://a\nb",
        "tea.jpg",
    ):
        assert values.url(wrong) is None
    assert {remark.reason for remark in values.remarks} == {"URL is not one of http or https"}
