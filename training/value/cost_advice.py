"""Advice on an asset from its value and its cost, by rules with fixed thresholds. No I/O."""

from __future__ import annotations

from typing import NamedTuple

from streams.value.costs import Advice
from streams.value.estimates import Estimate
from training.evaluation.figures import percent

NEGLIGIBLE = 0.005
"""A relative loss below this is negligible."""
RARE = 0.5
"""An asset that helps, and that fewer than this share of the events or items have, should be collected more."""
EXPENSIVE = 4.0
"""An event type whose part of the cost is so many times its part of the value can be sampled."""
RULES = (
    "measure otherwise: no list depends on it, so this protocol does not use it (--protocol)",
    f"stop collecting (sources: switch off; history: shorten retention): the interval of the loss ends below "
    f"{NEGLIGIBLE:.1%} of the metric",
    f"collect more: the interval of the loss is above 0, and less than {RARE:.0%} of the events or items have it",
    f"sample: the interval of the loss is above 0, and the part of the cost is over {EXPENSIVE:g} times that of the "
    f"value; event types only",
    "keep: the interval of the loss is above 0 otherwise",
    "measure longer: the interval of the loss includes 0 and more than a negligible loss",
)
"""The rules in words, in the order in which they are tried."""
COLLECTED = ("field", "context", "attribute")


class AdviceInput(NamedTuple):
    """The figures that the rules read; see `AssetCost`."""

    kind: str
    value: Estimate
    cost_share: float
    value_share: float
    coverage: float | None


def advise(facts: AdviceInput) -> tuple[Advice, str]:
    """Return the advice on an asset, and why."""
    value, between = facts.value, f"{percent(facts.value)}"
    # The order matters: each rule assumes that those above do not hold.
    if value.low == value.high == 0.0:
        return "measure otherwise", "no list changed without it: another protocol may use it"
    if value.high < NEGLIGIBLE:
        advice: Advice = {"source": "switch off", "history": "shorten retention"}.get(  # type: ignore[assignment]
            facts.kind, "stop collecting"
        )
        harm = "does harm" if value.high < 0 else "loses nothing that counts"
        return advice, f"{harm}: {between}"
    if value.low <= 0:
        return "measure longer", f"the lists do not show whether it helps: {between}"
    if facts.kind in COLLECTED and facts.coverage is not None and facts.coverage < RARE:
        return "collect more", f"it helps, {between}, and {facts.coverage:.0%} have it"
    if facts.kind == "type" and facts.cost_share > EXPENSIVE * facts.value_share:
        return "sample", f"it helps, {between}, but has {facts.cost_share:.0%} of the cost"
    return "keep", f"it helps: {between}"
