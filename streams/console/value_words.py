"""The words and numbers of the page Value: names of assets, what a test shows of them, and advice, for people."""

from __future__ import annotations

import re
from datetime import datetime

from inference.plain_text import printable
from inference.ranking.features import FEATURES
from streams.console.data_streams import TYPES
from streams.console.explain import SOURCE_TITLES, feature_title, source_title
from streams.console.numbers import number_text
from streams.console.words import gettext
from streams.value.estimates import Estimate
from streams.value.file import Fault
from streams.value.report import Effect

LONGEST_TEXT = 120
"""Most characters of a text of the report that are shown."""
KINDS = {
    "type": "Event types",
    "history": "Days of history",
    "field": "Fields of events",
    "context": "Keys of the context",
    "attribute": "Attributes of items",
    "source": "Candidate sources",
    "feature": "Features of the ranker",
}
"""Kinds of assets with a table of their own, in the order of the page. Producers have more columns."""
KIND_NOTES = {
    "type": "Actions of shoppers. Events of the type are missing for all shoppers.",
    "history": "Events before the test, by age. Longer periods hold more events.",
    "field": "Content of an event beside its item.",
    "context": "Values that the shop adds to its events.",
    "attribute": "Content of the catalogue.",
    "source": "Ways in which the recommender finds items. Each can be switched off in the settings.",
    "feature": "Signals by which the model orders a list.",
}
"""Notes on the kinds."""
FIELDS = {
    "user_id": "Shopper's id",
    "session_id": "Session's id",
    "occurred_at": "Time of day",
    "query": "Text of searches",
    "price": "Price paid",
    "quantity": "Quantity",
    "recommendation_id": "List that led to the action",
}
FIELD_NOTES = {
    "user_id": "without it, each visit is that of a new shopper",
    "session_id": "without it, pauses separate visits",
    "occurred_at": "without it, only the date is known",
}
ATTRIBUTES = {
    "title": "Title", "description": "Description", "category": "Category", "brand": "Brand", "price": "Price",
    "attributes": "Further attributes", "released_at": "Release date", "seller": "Seller", "currency": "Currency",
    "list_price": "Price before the discount", "url": "Address of its page", "image_url": "Address of its picture",
}  # fmt: skip
GROUPS = {
    "texts": "Titles and descriptions",
    "labels": "Categories and brands",
    "prices": "Prices",
    "shopper ids": "Shoppers recognised across visits",
    "old history": "Older half of the history",
}
"""Groups of assets that overlap, beside the event types."""
SESSION_GROUPS = {
    "sessions of the shopper": "visits of the shopper",
    "items": "items in the visit",
    "robots": "robots and people",
}
"""Properties that group the sessions."""
MEMBERS = {"robots": "robots", "people": "people"}
EFFECTS: dict[Effect, str] = {
    "helps": "helps",
    "harms": "harmful",
    "undecided": "no difference shown",
    "unused": "changes no list",
    "unmeasured": "not measured",
}
STATES = {"absent": "The shop has none", "not read": "Not used by the recommender"}
ADVICE = {
    "collect more": "collect more",
    "sample": "keep a sample",
    "stop collecting": "stop collecting",
    "switch off": "switch off",
    "shorten retention": "keep for a shorter time",
    "measure longer": "measure longer",
    "measure otherwise": "measure otherwise",
    "keep": "keep",
}
"""The advice, in the order of the page."""
REASONS = {
    "collect more": "It helps, and many events or items lack it.",
    "sample": "It helps, but it costs far more than its part of the value.",
    "stop collecting": "Without it, the lists lose nothing that counts.",
    "switch off": "Without it, the lists lose nothing that counts.",
    "shorten retention": "Without it, the lists lose nothing that counts.",
    "measure longer": "These lists do not show whether it helps: compare more of them (--sample, --minutes).",
    "measure otherwise": "No list of this test depends on it. Another test may (--protocol).",
    "keep": "It helps, and is worth its cost.",
}
WHOLE = {
    "hr": "of the lists contain the shopper's next item",
    "recall": "of the items of the next basket are in the lists",
    "ndcg": "of an ideal order (NDCG)",
}
"""The meaning of the primary metric with all data, after its value in percent."""
LOSSES = {
    "hr": "A bar is the part of these lists that would no longer contain the shopper's next item without the data.",
    "recall": "A bar is the part of these items that the lists would no longer contain without the data.",
    "ndcg": "A bar is the part of this value that is lost without the data.",
}
PROTOCOLS = {"next-item": "next item", "next-basket": "next basket", "search": "search"}
MODELS = {
    "bundle": "frozen",
    "fitted": "fitted once, then frozen",
    "retrained": "retrained without each part",
}
"""Whether models were retrained, by the origin of the ranker."""
MODEL_NOTES = {
    "bundle": "The model is the same with and without each part of the data. A model that is trained without the part "
    "makes up for some of the loss, so the real loss is smaller.",
    "fitted": "The model is the same with and without each part of the data. A model that is trained without the part "
    "makes up for some of the loss, so the real loss is smaller.",
    "retrained": "A model was trained without each part of the data. Candidate sources and features were measured with "
    "the model of all data.",
}
FAULTS: dict[Fault, str] = {
    "missing": "There is no such file.",
    "unreadable": "The worker cannot read this file.",
    "large": "This file is too large for a report.",
    "content": "This file is damaged, or no report of intentstream value.",
    "format": "This file is no report of intentstream value.",
    "version": "Another version of Intentstream wrote this file. Make the report again with the workers' version.",
}
_PERIOD = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?(?:e\+0?\d)?)")


def shown(text: str) -> str:
    """Return a text of the report, which is untrusted, in a form and a length for the page."""
    text = printable(text)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def upper_first(text: str) -> str:
    """Return a text that begins with a capital."""
    return text[:1].upper() + text[1:]


def asset_title(kind: str, name: str, title: str) -> str:
    """Return the name of an asset for people: its own title if the page has no words for it."""
    if kind == "source" and name in SOURCE_TITLES:
        return source_title(name)
    if kind == "feature" and name in FEATURES:
        return feature_title(name)
    if kind == "type" and name in TYPES:
        return upper_first(gettext(TYPES[name]))
    if kind == "history" and (found := _PERIOD.fullmatch(name)):
        since, until = float(found[1]), float(found[2])
        return gettext("History of %(since)s to %(until)s days before the test") % {
            "since": f"{since:g}",
            "until": f"{until:.0f}" if until >= since + 1 else f"{until:g}",
        }
    words = {"field": FIELDS, "attribute": ATTRIBUTES}.get(kind, {})
    return gettext(words[name]) if name in words else shown(title)


def group_title(name: str, title: str) -> str:
    """Return the name of a group of assets for people."""
    return gettext(GROUPS[name]) if name in GROUPS else asset_title("type", name, title)


def share_text(share: float) -> str:
    """Return a share in percent, with one digit after the point below a tenth.

    >>> share_text(0.384), share_text(-0.0155), share_text(0.0), share_text(12.0)
    ('38%', '−1.6%', '0%', '1,200%')
    """
    text = f"{share:.1%}" if 0.0005 <= abs(share) < 0.0995 else f"{share:,.0%}"
    if len(text) > 12:
        text = f"{number_text(100 * share)}%"
    return "0%" if text == "-0%" else text.replace("-", "−")


def interval_text(found: Estimate) -> str:
    """Return an interval in percent."""
    return gettext("%(low)s to %(high)s") % {"low": share_text(found.low), "high": share_text(found.high)}


def date_of(text: str) -> str:
    """Return the date of an RFC 3339 time of a report, and its text if it is none."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d}"
    except ValueError:
        return shown(text)
