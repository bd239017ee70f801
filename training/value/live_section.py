"""The section on the live value model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.console import RenderableType

from training.evaluation.figures import change, relation, share
from training.value.live_retention import PREDICTED, LiveValue, live_value
from training.value.sections import Workplace
from training.value.session_section import SessionSection, study_of
from training.value.session_views import Rows, html_table, terminal_table

TENTHS = ("tenth of the sessions", "predicted", "on later days, 95%")
RETENTION = ("kept sessions", "of", "by", "life in days", "newest first", "MRR@20 minus newest first, 95%", "relative")
WEIGHTS = ("feature", "weight")


@dataclass(frozen=True, slots=True)
class LiveSection:
    """The section."""

    found: LiveValue

    def to_json(self) -> object:
        """Return the figures."""
        return self.found

    def sentence(self) -> str:
        """Say whether the predicted value should choose the sessions that are kept."""
        found = self.found
        own = [each for each in found.retention if each.policy == PREDICTED]
        parts = ", ".join(f"{relation(each.relative)} with {each.capacity:,} sessions" for each in own)
        verdict = "beats" if found.is_better else "does not beat"
        return (
            f"A regression predicts the value of a session on later days with a rank correlation of "
            f"{found.correlation:.2f}. Keeping sessions by it {verdict} newest-first at every size ({parts} in MRR@20)."
        )

    def tables(self) -> Sequence[RenderableType]:
        """Return the tables of the calibration and of the bounded tables."""
        return [
            terminal_table("Live value model: value of a session, 1 = mean", TENTHS, _tenths(self.found)),
            terminal_table("Bounded tables of sessions", RETENTION, _retention(self.found)),
        ]

    def html(self) -> str:
        """Return the tables and plots."""
        from training.value import session_charts as charts

        found = self.found
        ages = ", ".join(f"{value:.2f} after {day} days" for day, value in found.by_age.items())
        return f"""<h2>Live value model</h2>
<p>A ridge regression over {found.sessions:,} sessions, fitted to the first part of the lists before the test. It reads
only what the stream knows when it learns a session. Rank correlation on later days: {found.correlation:.2f}. The value
of a session falls with its age: {escape(ages)}.</p>
<figure>{charts.calibration(found)}</figure>
{html_table(TENTHS, _tenths(found))}
{html_table(WEIGHTS, [(name, f"{value:+.2f}") for name, value in found.weights.items()])}
<h3>Which sessions to keep</h3>
<figure>{charts.retention(found.retention)}</figure>
{html_table(RETENTION, _retention(found))}"""


def _tenths(found: LiveValue) -> Rows:
    return [
        (str(number), f"{each.predicted:+.2f}", change(each.observed))
        for number, each in enumerate(found.tenths, start=1)
    ]


def _retention(found: LiveValue) -> Rows:
    return [
        (f"{each.capacity:,}", f"{each.sessions:,}", each.policy,
         "" if each.life_days is None else f"{each.life_days:g}", share(each.newest_first), change(each.change),
         relation(each.relative))
        for each in found.retention
    ]  # fmt: skip


def live_values(workplace: Workplace) -> LiveSection | None:
    """Fit the live value model and compare it with newest-first; None if the log is too short."""
    made = workplace.made.get("sessions")
    study = made.study if isinstance(made, SessionSection) else study_of(workplace)
    if min(len(study.known), len(study.valued.shoppers), len(study.tested.shoppers)) < FEWEST:
        return None
    return LiveSection(live_value(study))


FEWEST = 100
"""Fewest sessions, and fewest lists of either period."""
