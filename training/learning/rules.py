"""The rules of the learning loop, with times in milliseconds of event time."""

from __future__ import annotations

from dataclasses import dataclass

from streams.factory import profile_rules
from streams.settings import Settings

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRules:
    """When the loop refits, what it requires of a new ranker, and what it keeps.

    Attributes:
        every_ms: time between two scheduled refits.
        held_out_ms: length of the period, the newest lists, on which a scheduled refit is judged.
        recent_ms: length of the newest period that is checked for drift. A refit after drift is judged on half of it.
        check_ms: time between two checks for drift, and of the guardrail.
        half_life_ms: half-lives of a list's weight in a fit. One ranker is fitted for each, and the best is judged.
        lists_per_day: lists that are gathered in a day, at most.
        lists_kept: newest lists that are kept on disk.
        least_lists: fewest lists with an action, in the part that fits and in the part that judges.
        margin: least gain in NDCG@20, as a share of the present ranker's.
        confidence: of a gain, and of drift, one-sided.
        versions_kept: newest versions of this loop that stay in the model folder.
        guard_ms: time after a publication in which the click rate is compared with that before.
        guard_drop: relative drop of the click rate that is accepted.
        guard_error: probability of a rollback although the rate did not drop by more than that, over all checks.
        outcome_ms: time in which an action on a listed item is an outcome of the list, and in which actions are labels.
        session_gap_ms: a longer pause ends a session.
        horizon: items that a shopper acts on next in the session and that are labels.
        negatives: candidates of a list that are kept beside those acted on.
        units, decay: of the fit, see `training.ranker.fit`.
        clip: least propensity, so that no list counts more than 1 / clip times.
        seed: seed of the samples and of the fits.
    """

    every_ms: int = DAY_MS
    held_out_ms: int = DAY_MS
    recent_ms: int = 6 * HOUR_MS
    check_ms: int = HOUR_MS
    half_life_ms: tuple[int, ...] = (14 * DAY_MS, DAY_MS)
    lists_per_day: int = 5000
    lists_kept: int = 30_000
    least_lists: int = 200
    margin: float = 0.01
    confidence: float = 0.95
    versions_kept: int = 5
    guard_ms: int = 2 * DAY_MS
    guard_drop: float = 0.1
    guard_error: float = 0.05
    outcome_ms: int = HOUR_MS // 2
    session_gap_ms: int = HOUR_MS // 2
    horizon: int = 5
    negatives: int = 60
    units: int = 8
    decay: float = 1e-2
    clip: float = 0.1
    seed: int = 0


def learning_rules(settings: Settings) -> LearningRules:
    """Return the rules of the settings."""
    learner, gap_ms = settings.learner, profile_rules(settings).session_gap_ms
    held_out_ms = round(learner.held_out_hours * HOUR_MS)
    recent_ms = round(learner.drift_hours * HOUR_MS)
    return LearningRules(
        every_ms=round(learner.every_hours * HOUR_MS),
        held_out_ms=held_out_ms,
        recent_ms=recent_ms,
        check_ms=max(recent_ms // 6, 1),
        half_life_ms=(round(learner.half_life_days * DAY_MS), held_out_ms),
        lists_per_day=learner.lists_per_day,
        lists_kept=learner.lists_kept,
        least_lists=learner.least_lists,
        margin=learner.margin,
        confidence=learner.confidence,
        versions_kept=learner.versions_kept,
        guard_ms=round(learner.guard_hours * HOUR_MS),
        guard_drop=learner.guard_drop,
        guard_error=1 - learner.confidence,
        outcome_ms=gap_ms,
        session_gap_ms=gap_ms,
    )
