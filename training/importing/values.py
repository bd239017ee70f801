"""Conversion of a shop's texts: prices, times, categories, identifiers and availability.

A value that cannot be read is left out with a remark, so that one bad price does not drop an item. A time that cannot
be read raises `Unusable`, because an event needs one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.numbers import NumberFormatError, list_currencies, parse_decimal
from dateutil import parser as dateutil_parser

from inference.plain_text import readable
from streams.errors import ConfigurationError

PLACEHOLDERS = frozenset({"", "(not set)", "null", "undefined"})
"""Texts that stand for no value, in lower case."""
DESCRIPTION_CHARS = 2000
"""Characters of a description that are kept, without markup. The model reads the beginning only."""
_CODE = re.compile(r"(?<![A-Za-z])([A-Z]{3})(?![A-Za-z])")
_NUMBER = re.compile(r"-?\d[\d.,'’\s]*|-?[.,]\d+")
_GROUP_SPACE = re.compile(r"(?<=\d)[\s'’](?=\d{3})")
_AMBIGUOUS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
"""One separator with three digits behind it: thousands in one country, decimals in another."""
_UNCLEAR_SYMBOLS = frozenset({"$", "¥", "kr", "Kr", "£E", "Rs"})
"""Symbols of several currencies. Only a locale decides which."""
_NUMERIC_DATE = re.compile(r"\s*(\d{1,2})([./-])(\d{1,2})\2\d{2,4}\b")
_URL = re.compile(r"https?://[^/?#\s\x00-\x1f\x7f\"<>\\^`{|}][^\s\x00-\x1f\x7f\"<>\\^`{|}]{0,1900}")
_DIGITS = re.compile(r"-?\d+(?:\.\d+)?")
_TRUE = frozenset({"true", "yes", "y", "t", "on", "instock", "available", "preorder", "backorder", "visible"})
_FALSE = frozenset({"false", "no", "n", "f", "off", "outofstock", "unavailable", "soldout", "discontinued"})


class Unusable(ValueError):  # noqa: N818 - describes the record
    """A record cannot be imported. `reason` is the same for all records with this fault, `detail` shows the value."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Remark(NamedTuple):
    """A value that was left out or assumed, for the report."""

    reason: str
    detail: str


class Price(NamedTuple):
    """An amount with its currency, either of which may be unknown."""

    amount: float | None = None
    currency: str | None = None


NO_PRICE = Price()


@dataclass(slots=True)
class Values:
    """The conventions of one import. `remarks` collects what was left out since the caller last cleared it."""

    timezone: tzinfo | None = None
    locale: str | None = None
    currency: str | None = None
    day_first: bool | None = None
    remarks: list[Remark] = field(default_factory=list)

    def price(self, value: Any, currency: Any = None) -> Price:
        """Read a price such as `1.299,00 €`, `$1,299.00` or `1 299,00 kr`. It is without an amount if it is unclear."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._checked(Decimal(str(value)), text(currency), str(value))
        written = text(value)
        if written is None:
            return NO_PRICE
        match = _NUMBER.search(written)
        if match is None:
            self.remarks.append(Remark("price is not a number", written))
            return NO_PRICE
        around = f"{written[: match.start()]} {written[match.end() :]}".strip(" –-")
        amount = self._amount(match[0].strip().rstrip(".,"), written)
        return self._checked(amount, text(currency) or around, written) if amount is not None else NO_PRICE

    def _amount(self, digits: str, written: str) -> Decimal | None:
        digits = _GROUP_SPACE.sub("", digits)
        try:
            if self.locale is not None:
                return parse_decimal(digits, self.locale, strict=True)
            if _AMBIGUOUS.fullmatch(digits):
                self.remarks.append(Remark("price is ambiguous: give --locale", written))
                return None
            # The last separator is the decimal one, unless it occurs twice: then it parts thousands.
            decimal_comma = digits.rfind(",") > digits.rfind(".") if digits.count(",") < 2 else False
            if digits.count(".") > 1:
                decimal_comma = True
            return parse_decimal(digits, "de" if decimal_comma else "en", strict=True)
        except NumberFormatError:
            self.remarks.append(Remark("price is not a number", written))
            return None

    def _checked(self, amount: Decimal, around: str | None, written: str) -> Price:
        if not amount.is_finite() or amount < 0:
            self.remarks.append(Remark("price is negative or not finite", written))
            return NO_PRICE
        found = _currency(around.strip(), self.locale) if around else None
        if found is None and around and around.strip() in _UNCLEAR_SYMBOLS and self.currency is None:
            self.remarks.append(Remark("currency is unclear: give --currency or --locale", written))
        return Price(float(amount), found or self.currency)

    def url(self, value: Any) -> str | None:
        """Read the address of a page or a picture. Any other than of http and https is left out: it may be a script."""
        written = text(value)
        if written is None or _URL.fullmatch(written):
            return written
        self.remarks.append(Remark("URL is not one of http or https", written))
        return None

    def number(self, value: Any) -> float | None:
        """Read a plain number with a decimal point, None if there is none."""
        if isinstance(value, bool) or value is None:
            return None
        try:
            found = float(value)
        except (TypeError, ValueError):
            self.remarks.append(Remark("number cannot be read", str(value)))
            return None
        return found if abs(found) < float("inf") else None

    def quantity(self, value: Any) -> float | None:
        """Read a number of pieces, None if it is not positive."""
        found = self.number(text(value))
        return found if found is not None and found > 0 else None

    def available(self, value: Any) -> bool | None:
        """Read whether an item can be bought: a word, or a number of pieces. None if that is unknown."""
        if isinstance(value, bool):
            return value
        written = text(value)
        if written is None:
            return None
        if _DIGITS.fullmatch(written):
            return float(written) > 0
        word = re.sub(r"[\s_-]", "", written.lower())
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        self.remarks.append(Remark("availability is not known, so the item counts as in stock", written))
        return None

    def time(self, value: Any) -> datetime:
        """Read a time: ISO 8601, seconds, milliseconds or microseconds since 1970, or a common notation.

        Raises:
            Unusable: the time is missing, cannot be read, or has two readings.
        """
        written = text(value)
        if written is None:
            raise Unusable("time is missing")
        try:
            found = _of_digits(written) if written.isdigit() else None
            if found is None:
                found = self._of_text(written)
            if found.tzinfo is None:
                if self.timezone is None:
                    self.remarks.append(Remark("time without an offset was read as UTC: give --timezone", written))
                found = found.replace(tzinfo=self.timezone or UTC)
            return found.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise error if isinstance(error, Unusable) else Unusable("time cannot be read", written) from error

    def _of_text(self, written: str) -> datetime:
        try:
            return datetime.fromisoformat(written)
        except ValueError:
            pass
        day_first = self.day_first
        if day_first is None and (match := _NUMERIC_DATE.match(written)):
            first, separator, second = int(match[1]), match[2], int(match[3])
            # 3/4 is read in two ways, 3.4. is not, 13/4 has one reading, and 3/3 is the same day in both.
            if separator != "." and max(first, second) <= 12 and first != second:
                raise Unusable("date has two readings: give --day-first or --month-first", written)
            day_first = separator == "." or first > 12
        # The parser fills missing parts from a default. Two defaults that differ in every part find them.
        readings: list[datetime] = [
            dateutil_parser.parse(written, default=default, dayfirst=bool(day_first), tzinfos=_zone)
            for default in (datetime(2001, 1, 1), datetime(2003, 2, 3))
        ]
        if readings[0] != readings[1]:
            raise Unusable("time has no full date", written)
        return readings[0]


def _of_digits(written: str) -> datetime | None:
    """Return the time that a text of digits stands for: a compact date, or a count since 1970."""
    length = len(written)
    if length in (8, 14):
        return datetime.strptime(written, "%Y%m%d" if length == 8 else "%Y%m%d%H%M%S")
    # The number of digits shows the unit for all times from 1973 to 2286: a count with one digit less is older than
    # September 2001.
    for digits, per_second in ((10, 1), (13, 1_000), (16, 1_000_000), (19, 1_000_000_000)):
        if length in (digits, digits - 1):
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(written) * 1_000_000 // per_second)
    return None


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Return the zone of a parsed time. An abbreviation is refused: CST is a zone of three countries."""
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name is None:
        return None
    raise Unusable("time zone abbreviation has several meanings", name)


def text(value: Any) -> str | None:
    """Return a value as a text without surrounding white space, None for a placeholder such as `(not set)`."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    written = str(value).strip()
    return None if written.lower() in PLACEHOLDERS else written


def description(value: Any) -> str | None:
    """Return the beginning of a description as plain text."""
    written = text(value)
    return (readable(written)[:DESCRIPTION_CHARS] or None) if written else None


def path(value: Any, separator: str = ">") -> tuple[str, ...]:
    """Return a category as a path, root first: `Home > Garden` has two parts."""
    written = text(value)
    return tuple(part for each in written.split(separator) if (part := readable(each))) if written else ()


def event_key(*parts: Any) -> str:
    """Return an event id that is a function of the event: the same in every import."""
    return blake2b("\0".join(map(str, parts)).encode(), digest_size=12).hexdigest()


def make_values(
    *,
    zone: str | None = None,
    locale: str | None = None,
    currency: str | None = None,
    day_first: bool | None = None,
) -> Values:
    """Return the conventions from their names. Raises ConfigurationError for an unknown one."""
    try:
        found = ZoneInfo(zone) if zone is not None else None
    except (KeyError, OSError, ValueError) as error:
        raise ConfigurationError(f"--timezone: required a zone, as in Europe/Berlin, got {zone}") from error
    try:
        if locale is not None:
            Locale.parse(locale)
    except (UnknownLocaleError, ValueError) as error:
        raise ConfigurationError(f"--locale: required a locale, as in de_DE, got {locale}") from error
    if currency is not None and currency not in _currencies():
        raise ConfigurationError(f"--currency: required a code of ISO 4217, as in EUR, got {currency}")
    return Values(found, locale, currency, day_first)


@cache
def _currency(around: str, locale: str | None) -> str | None:
    """Return the currency that the text around an amount names, by its code or its symbol."""
    for code in _CODE.findall(around):
        if code in _currencies():
            return str(code)
    symbols = _symbols(locale)
    return symbols.get(around) or symbols.get(around.replace(" ", ""))


@cache
def _currencies() -> frozenset[str]:
    return frozenset(list_currencies())


@cache
def _symbols(locale: str | None) -> dict[str, str]:
    """Return the currencies by symbol: those that are clear everywhere, and those of the locale."""
    clear = {symbol: code for code, symbol in Locale.parse("en").currency_symbols.items()}
    clear = {symbol: code for symbol, code in clear.items() if symbol not in _UNCLEAR_SYMBOLS}
    clear |= {"zł": "PLN", "Kč": "CZK", "₺": "TRY", "₴": "UAH", "Ft": "HUF", "US$": "USD"}
    if locale is not None:
        clear |= {symbol: code for code, symbol in Locale.parse(locale).currency_symbols.items()}
    return clear
