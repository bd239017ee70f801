"""Figures as text, the same in the terminal, in the page and in sentences."""

from __future__ import annotations

from streams.value.estimates import Estimate

TITLES = {"hr": "HR", "mrr": "MRR", "ndcg": "NDCG", "recall": "recall", "precision": "precision", "f1": "F1"}
FAR = 9.995
"""A relative change from this value on is shown as a factor."""


def metric_title(metric: str, k: int) -> str:
    """Return a metric's name, such as HR@20."""
    return f"{TITLES[metric]}@{k}"


def share(value: float) -> str:
    """Return a share without its leading zero, as is usual in the field."""
    text = f"{value:.4f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def with_margin(found: Estimate) -> str:
    """Return a mean and half of its interval."""
    return f"{share(found.value)} ±{share((found.high - found.low) / 2)}"


def change(found: Estimate) -> str:
    """Return a difference with its sign and interval."""
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def relation(relative: float | None) -> str:
    """Return a relative change in percent, or as a factor if it is large."""
    if relative is None:
        return ""
    return f"{relative:+.1%}" if relative < FAR else f"×{1 + relative:.0f}"


def percent(found: Estimate) -> str:
    """Return a relative change with its interval, in percent, or as a factor if it is large."""
    return f"{relation(found.value)} [{relation(found.low)}, {relation(found.high)}]"
