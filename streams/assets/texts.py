"""Numbers of the inventory as short texts, for tables and pages. No I/O."""

from __future__ import annotations

from datetime import datetime

UNKNOWN = "unknown"


def size_text(size: float | None) -> str:
    """Return a size in bytes.

    >>> size_text(1_234_567)
    '1.2 MB'
    """
    if size is None:
        return UNKNOWN
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{size:.0f} B"
        size /= 1000
    return f"{size:,.4g} TB"


def rate_text(rate: float | None) -> str:
    """Return a rate: by second, minute or hour, whichever is a readable number.

    >>> rate_text(0.05)
    '3/min'
    """
    if rate is None:
        return UNKNOWN
    for unit, factor in (("s", 1), ("min", 60), ("h", 3600)):
        if rate * factor >= 1 or unit == "h":
            return f"{rate * factor:,.3g}/{unit}"
    raise AssertionError


def count_text(number: float | None) -> str:
    """Return a count with separators."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def share_text(share: float | None) -> str:
    """Return a share. One that is not quite all is never shown as all.

    >>> share_text(0.9999)
    '99.9%'
    """
    if share is None:
        return ""
    return f"{share:.0%}" if share in (0, 1) else f"{min(max(share, 0.001), 0.999):.1%}"


def retention_text(hours: float | None, *, is_compacted: bool | None) -> str:
    """Return how long messages are kept."""
    if hours is None:
        return UNKNOWN if is_compacted is None else "newest of each key" if is_compacted else "for ever"
    kept = f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"
    return f"newest of each key, {kept}" if is_compacted else kept


def moment_text(at: datetime | None) -> str:
    """Return a time in UTC to the second."""
    return UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def number_text(value: float) -> str:
    """Return a number with at most four digits, without an exponent for usual sizes."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
