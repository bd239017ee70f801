"""A report on the value of data with every section, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from streams.value.costs import Advice, AssetCost, Costs
from streams.value.estimates import Estimate
from streams.value.live import LiveValue
from streams.value.report import Assets, AssetValue, Data, Overlap, Sections, ShapleyValue, ValueReport
from streams.value.sessions import WORST, Age, Candidate, Consent, Group, Removal, SessionValues

WHOLE = 0.25
MEASURED_AT = "2026-11-28T09:30:00+00:00"


def estimate(value: float, margin: float = 0.01) -> Estimate:
    """Return a value with its interval."""
    return Estimate(value, value - margin, value + margin)


def asset(kind: str, name: str, relative: float = 0.2, **fields: object) -> AssetValue:
    """Return an asset without which the lists lose a share of HR@20, ± .04."""
    loss = {each: estimate(relative * WHOLE) for each in ("hr", "mrr", "ndcg", "recall", "predicted")}
    given: dict[str, object] = {"title": name, "size": 900, "cases": 100, "loss": loss}
    given |= {"whole": estimate(WHOLE), "without": estimate(WHOLE * (1 - relative))}
    return AssetValue(kind=kind, name=name, relative=estimate(relative, 0.04), **{**given, **fields})  # type: ignore[arg-type]


def unmeasured(kind: str, name: str, state: str) -> AssetValue:
    """Return an asset that was not measured."""
    return AssetValue(kind=kind, name=name, title=name, state=state, size=0)  # type: ignore[arg-type]


def cost(kind: str, name: str, advice: Advice, **fields: object) -> AssetCost:
    """Return the cost of an asset."""
    given: dict[str, object] = {"bytes": 5000, "cost_share": 0.3, "value_share": 0.4, "coverage": 0.5}
    return AssetCost(kind=kind, name=name, title=name, value=estimate(0.2), advice=advice, reason="it helps",
                     **{**given, **fields})  # type: ignore[arg-type]  # fmt: skip


VALUES = (
    asset("source", "repeat", 0.16),
    asset("source", "new", -0.06),
    asset("feature", "popularity", 0.05),
    asset("group", "taste", 0.05),
    asset("type", "purchase", 0.38),
    asset("type", "cart", 0.01),
    unmeasured("type", "click", "absent"),
    asset("producer", "shop-web", 0.3),
    asset("producer", "shop-app", -0.01),
    asset("field", "user_id", 0.4),
    unmeasured("field", "recommendation_id", "not read"),
    unmeasured("context", "page", "not read"),
    asset("attribute", "title", 0.02),
    asset("history", "1-7", 0.06, days=6.0, title="1 to 7 days before the test"),
)


def shapley(name: str, title: str, value: float) -> ShapleyValue:
    """Return the value of a group of assets."""
    found = estimate(value)
    return ShapleyValue(
        name=name, title=title, value=found, error=0.01, alone=estimate(2 * value), last=estimate(value / 2),
        metrics={"hr": found}, running=[value],
    )  # fmt: skip


def group(by: str, name: str, share: float) -> Group:
    """Return a group of sessions."""
    return Group(by=by, name=name, sessions=50, shoppers=20, share=share, per_session=estimate(0.04), negative=0.3)


def sessions(*candidates: Candidate, producers: tuple[str, ...] = ("shop-web", "shop-app")) -> SessionValues:
    """Return the section on sessions. The mean session is worth .02."""
    return SessionValues(
        lists=100, valued_since=MEASURED_AT, tested_since=MEASURED_AT, sessions=100, used=0.9, negative=0.31,
        neighbours=100, utility=0.02, agreement=0.4, stable={"Shapley": 0.6, "leave-one-out": 0.1},
        consent=Consent(shoppers=40, mean=estimate(0.05), quantiles={"0.5": 0.01}, top=0.44, negative=0.2),
        groups=[
            group("sessions of the shopper", "20+", 0.7), group("items", "2", 0.3), group("robots", "robots", -0.02),
            *(group("producer", name, 0.5) for name in producers),
        ],
        ages=[Age(since=0, until=1, share=0.4, uses=0.5)],
        removals=[
            Removal(by=WORST, share=0.01, sessions=1, whole=False, lists=100, before=0.1, change=estimate(0.002, 0.001),
                    relative=0.02),
        ],
        planted=[],
        candidates=[*candidates] or [
            Candidate(session_id="visit-17", began="2026-10-02T10:00:00+00:00", items=9, lists=12, value=-0.01),
        ],
    )  # fmt: skip


def report(**fields: object) -> ValueReport:
    """Return a report. `fields` are other values of it."""
    hr = estimate(WHOLE)
    overlap = Overlap(
        events=900, cases=100, metric="hr", whole=hr, nothing=estimate(0.05),
        values=[shapley("view", "views", 0.12), shapley("old history", "history older than 9 days", 0.08)],
        gap=0.0, pairs=4, coalitions=9, cut=0.1, tolerance=0.001, model="frozen",
    )  # fmt: skip
    costs = Costs(
        assets=[
            cost("source", "repeat", "keep", bytes=None, cpu_us=4.0, coverage=None),
            cost("source", "new", "switch off", bytes=None, cpu_us=75.0, coverage=None),
            cost("type", "purchase", "keep"), cost("type", "cart", "measure longer"), cost("field", "user_id", "keep"),
            cost("attribute", "title", "collect more", coverage=0.4), cost("history", "1-7", "keep"),
        ],
        days=30.0, event_bytes=90_000, memory={"sessions": 5000}, event_us=430.0, list_us=520.0, running=None,
        rules=["keep: it helps"],
    )  # fmt: skip
    live = LiveValue(
        sessions=100, weights={"items": 0.5}, correlation=0.3, tenths=[], by_age={"0": 1.0}, retention=[],
        is_better=False,
    )  # fmt: skip
    assets = Assets(events=900, cases=100, metric="hr", k=20, whole={"hr": hr, "predicted": hr}, values=[*VALUES])
    given: dict[str, object] = {
        "protocol": "next-item",
        "measured_at": MEASURED_AT,
        "verdict": "Without its most valuable asset, purchases (type), the shop loses .0950 HR@20.",
        "data": Data(
            items=300, events=900, shoppers=40, sessions=120, since="2026-10-01T08:00:00+00:00",
            tested_since="2026-10-24T08:00:00+00:00", until="2026-10-30T08:00:00+00:00",
            producers={"shop-web": 600, "shop-app": 300}, duplicates={"shop-app": 150},
        ),
        "model": {"name": "m", "version": "1", "vector_space": "m/1", "ranker": "bundle", "known_share": 0.0},
        "options": {"k": 20, "ranker": "bundle", "events": None},
        "settings": {"list_size": 20},
        "plan": ["Single assets: 9 replays"],
        "replays": {"run": 9, "found": 0},
        "sections": Sections(assets=assets, cost=costs, sessions=sessions(), live=live, overlap=overlap),
    }  # fmt: skip
    return ValueReport(**{**given, **fields})  # type: ignore[arg-type]


def with_values(*values: AssetValue) -> ValueReport:
    """Return a report with these assets only."""
    plain = report()
    assert plain.sections.assets is not None
    assets = msgspec.structs.replace(plain.sections.assets, values=[*values])
    return msgspec.structs.replace(plain, sections=Sections(assets=assets))


def write(folder: Path, found: ValueReport | Mapping[str, object] | bytes) -> Path:
    """Write a file, and return its path."""
    path = folder / "value.json"
    path.write_bytes(found if isinstance(found, bytes) else msgspec.json.encode(found))
    return path
