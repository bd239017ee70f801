"""Numbers, rates, durations and sizes as short texts for people."""

from __future__ import annotations

from datetime import UTC, datetime

from streams.console.words import gettext

DURATIONS = {
    "ms": "%(number)s ms", "s": "%(number)s s", "min": "%(number)s min", "h": "%(number)s h", "d": "%(number)s d",
}  # fmt: skip
"""Durations by unit."""
RATES = {"s": "%(number)s/s", "min": "%(number)s/min", "h": "%(number)s/h"}
"""Rates by unit of time."""
_MS_UNITS = ((86_400e3, "d"), (3_600e3, "h"), (60e3, "min"), (1e3, "s"), (1.0, "ms"))


def number_text(value: float) -> str:
    """Return a number with three significant digits, and all digits before the point.

    >>> number_text(1234.5), number_text(0.04567), number_text(3.0), number_text(1.5e12)
    ('1,234', '0.0457', '3', '1.5e+12')
    """
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration_text(seconds: float) -> str:
    """Return a duration in its greatest unit that is not above it. A negative one keeps its sign.

    >>> duration_text(0.0123), duration_text(90), duration_text(3 * 86_400)
    ('12.3 ms', '1.5 min', '3 d')
    """
    milliseconds = abs(seconds) * 1e3
    size, unit = next((each for each in _MS_UNITS if milliseconds >= each[0]), _MS_UNITS[-1])
    number = number_text(milliseconds / size)
    return gettext(DURATIONS[unit]) % {"number": f"-{number}" if seconds < 0 and milliseconds else number}


def rate_text(per_second: float) -> str:
    """Return a rate by second, minute or hour, so that it is at least 1 if possible.

    >>> rate_text(60.0), rate_text(0.5), rate_text(0.001), rate_text(0.0)
    ('60/s', '30/min', '3.6/h', '0/s')
    """
    if per_second >= 1 or not per_second:
        unit, factor = "s", 1
    elif per_second * 60 >= 1:
        unit, factor = "min", 60
    else:
        unit, factor = "h", 3600
    return gettext(RATES[unit]) % {"number": number_text(per_second * factor)}


def bytes_text(size: float) -> str:
    """Return a number of bytes.

    >>> bytes_text(512), bytes_text(20_480), bytes_text(5_000_000)
    ('512 B', '20.5 kB', '5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{number_text(size)} {unit}"
        size /= 1000
    return f"{number_text(size)} TB"


def clock_text(at_ms: float) -> str:
    """Return a time of the day in UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1e3, UTC):%H:%M:%S}"


def date_text(at_s: float) -> str:
    """Return a date in UTC, and the number itself if it is none."""
    try:
        return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return number_text(at_s)
