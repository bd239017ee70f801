"""The learning loop without Kafka: records in order of time in, versions of the model out.

`observe` takes records, `advance` does what is due: it gathers lists, checks the click rate of the newest version,
looks for drift, and refits. All times are event times, so a replay of the same records does the same. Without new lists
the loop changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.bundle import Bundle
from inference.errors import InferenceError
from inference.manifest import RANKER, DataInput, FittedPeriod
from inference.types import stable_key
from streams.contracts.messages import Interaction, ModelPin, Recommendations, occurred_ms
from streams.errors import StreamsError
from streams.event_log import Repeats
from streams.replay import Replay
from training.learning import guardrail, judging, refit
from training.learning.gathering import Gathered, Gatherer
from training.learning.metrics import FAILED, FORMER, NEW, PINNED, LearningMetrics
from training.learning.outcomes import Exposures, Outcomes, added
from training.learning.propensities import propensities
from training.learning.rules import HOUR_MS, LearningRules
from training.learning.sessions import Place
from training.learning.store import Lists, ListStore, as_lists, feature_model
from training.learning.versions import Cause, Versions
from training.ranker.network import to_onnx
from training.ranker.provenance import merged

log = logging.getLogger(__name__)

FILE_LISTS, FILE_MS = 500, HOUR_MS
"""Lists of a file, and the event time after which fewer are written."""


class Stopped(Exception):  # noqa: N818 - describes the outcome
    """The loop was stopped between two steps. The files on disk are complete."""


@dataclass(slots=True, kw_only=True)
class LearningLoop:
    """The loop.

    Attributes:
        rules: its rules.
        replay: the shop's state.
        store: the lists on disk.
        versions: the versions of the model.
        metrics: its metrics.
        pinned: the pinned model, None if there is none.
        shopper_key: function from a user id to the shopper's key on disk.
        topics: the topics that the lists come from.
        announce: called with the folder of a published version and its inputs.
        stopping: set by another thread to end `observe` and `advance` with Stopped, between two steps.
    """

    rules: LearningRules
    replay: Replay
    store: ListStore
    versions: Versions
    metrics: LearningMetrics = field(default_factory=LearningMetrics)
    pinned: ModelPin | None = None
    shopper_key: Callable[[str], int] = stable_key
    topics: tuple[str, ...] = ()
    announce: Callable[[Path, Sequence[DataInput]], None] = lambda _bundle, _inputs: None
    stopping: threading.Event = field(default_factory=threading.Event)
    outcomes: Outcomes = field(init=False)
    gatherer: Gatherer = field(init=False)
    now_ms: int = 0
    _bundle: Bundle | None = None
    _repeats: Repeats = field(default_factory=Repeats)
    _unwritten: list[Gathered] = field(default_factory=list)
    _exposures: Exposures = field(default_factory=dict)
    _fitted_to: tuple[FittedPeriod, ...] = ()
    _new_lists: int = 0
    _checked_ms: int = 0
    _has_drifted: bool = False

    def __post_init__(self) -> None:
        self.outcomes = Outcomes(self.rules.outcome_ms)
        self.gatherer = Gatherer(self.replay, self.rules, self.outcomes, self.shopper_key)
        self.metrics.kept.set(len(self.store))
        self.metrics.refitted.set(self.versions.ledger.tried_ms / 1000)
        # Lists that a former process gathered since its last refit are as new to this one.
        lists = self.store.read()
        if lists is not None:
            self._new_lists = int((lists.times > self.versions.ledger.tried_ms).sum())

    def observe(self, record: Interaction | Recommendations, place: Place | None = None) -> None:
        """Take the next record, from a place in Kafka. An interaction whose list is on disk is not gathered again.

        Raises Stopped.
        """
        self._require_running()
        if isinstance(record, Recommendations):
            self.outcomes.show(record)
        elif not self._repeats.is_repeat(record):
            self.now_ms = max(self.now_ms, occurred_ms(record))
            is_new = place is None or place[1] >= self.store.positions.get(place[0], 0)
            self.gatherer.add(record, place, is_new=is_new)

    def advance(self, *, is_current: bool = True) -> None:
        """Do what is due at the time of the newest interaction. Check and refit only if `is_current`: all is read.

        Raises Stopped.
        """
        self.outcomes.advance(self.now_ms)
        failures = self.gatherer.failures
        for gathered in self.gatherer.advance(self.now_ms):
            self._unwritten += gathered
            self.metrics.lists.inc(len(gathered))
            self._write_if_due()
            self._require_running()
        self.metrics.failures.inc(self.gatherer.failures - failures)
        self.metrics.waiting.set(len(self.gatherer))
        if is_current and self.now_ms - self._checked_ms >= self.rules.check_ms:
            self._checked_ms = self.now_ms
            try:
                self._check(self.now_ms)
            except (InferenceError, OSError):
                self.metrics.failures.inc()
                log.exception("a check failed, the present model stays; the next check tries again")

    def forget(self, user_id: str, until_ms: int) -> None:
        """Delete everything about a shopper. Lists on disk that are newer than `until_ms` stay."""
        self._repeats.forget(user_id)
        self.gatherer.forget(user_id)
        self.outcomes.forget(user_id)
        self.flush()
        self.store.forget(self.shopper_key(user_id), until_ms)
        self.metrics.kept.set(len(self.store))

    def flush(self) -> None:
        """Write the lists gathered so far."""
        if self._unwritten:
            # Taken out of their owners, so they are kept here until a write succeeds.
            self._exposures = added([self._exposures, self.outcomes.take_exposures()])
            self._fitted_to = merged([*self._fitted_to, *self.gatherer.take_fitted_to()])
            try:
                self.store.write(as_lists(self._unwritten, self._fitted_to), self._exposures, self.gatherer.positions)
            except OSError:
                self.metrics.failures.inc()
                log.exception("%s lists cannot be written and are kept in memory", len(self._unwritten))
                return
            self._exposures, self._fitted_to = {}, ()
            self._new_lists += len(self._unwritten)
            self._unwritten = []
            self.metrics.kept.set(len(self.store))

    def _require_running(self) -> None:
        if self.stopping.is_set():
            raise Stopped

    def _write_if_due(self) -> None:
        lists = self._unwritten
        if len(lists) >= FILE_LISTS or (lists and lists[-1].at_ms - lists[0].at_ms >= FILE_MS):
            self.flush()

    def _check(self, now_ms: int) -> None:
        model = self.versions.in_use(self.pinned)
        self._guard(model, now_ms)
        self.flush()
        if not self._new_lists:
            return
        lists = self.store.read()
        if lists is None:
            return
        # The guardrail may have published a version since the first look.
        model = self.versions.in_use(self.pinned)
        bundle = self._in_use(model)
        self._has_drifted = self._find_drift(lists, bundle, self.versions.serving_since_ms(model, now_ms))
        if now_ms >= self._paused_until_ms() and (held_out_ms := self._due(lists, now_ms)):
            self._refit(lists, bundle, model, now_ms, held_out_ms)

    def _due(self, lists: Lists, now_ms: int) -> int:
        """Return the length of the period that judges a refit which is due now, 0 if none is.

        After drift, refits are repeated: at each the new behaviour has more lists.
        """
        rules, ledger = self.rules, self.versions.ledger
        if now_ms - (ledger.refitted_ms or int(lists.times.min())) >= rules.every_ms:
            return rules.held_out_ms
        if self._has_drifted:
            ledger.drifted_ms = now_ms
            return rules.recent_ms // 2
        is_later = ledger.drifted_ms and now_ms - ledger.drifted_ms < rules.every_ms
        return rules.recent_ms if is_later and now_ms - ledger.tried_ms >= rules.recent_ms else 0

    def _paused_until_ms(self) -> int:
        """Return the time until which there is no refit: after a rollback the same data would give the same ranker."""
        published = self.versions.ledger.published
        return published[-1].at_ms + self.rules.every_ms if published and published[-1].goes_back else 0

    def _in_use(self, model: ModelPin) -> Bundle:
        """Load the model that workers serve, unless it is loaded. Raises BundleError, StreamsError."""
        bundle = self._bundle
        if bundle is None or (bundle.name, bundle.version) != (model.name, model.version):
            bundle = self.versions.models.load(model)
            if feature_model(bundle) != self.store.model:
                raise StreamsError(
                    f"learn: required a model with the encoder and the sequence model that it started with, got "
                    f"{model.name} {model.version}: start it again, so that it reads the topics with this one"
                )
            self._bundle = bundle
        return bundle

    def _find_drift(self, lists: Lists, bundle: Bundle, since_ms: int) -> bool:
        """Compare the ranker's NDCG in the recent period with that of the time before it, as long as held out.

        The time before begins with the version: it was fitted to older lists, which it orders better than any new ones.
        """
        rules, end_ms = self.rules, int(lists.times.max()) + 1
        recent_ms = end_ms - rules.recent_ms
        found = judging.drift(
            bundle.scorer,
            lists.between(max(recent_ms - rules.held_out_ms, since_ms), recent_ms),
            lists.between(recent_ms, end_ms),
            # Many checks look at nearly the same lists.
            confidence=1 - (1 - rules.confidence) / 10,
            seed=rules.seed,
        )
        is_drift = found.lists > 0 and found.high < -rules.margin * found.before
        self.metrics.drifted(found, is_drift=is_drift)
        if is_drift and not self._has_drifted:
            log.warning("the ranker in use is worse than before: %s", found)
        return is_drift

    def _refit(self, lists: Lists, bundle: Bundle, model: ModelPin, now_ms: int, held_out_ms: int) -> None:
        started = time.monotonic()
        log.info("refitting to %s lists", len(lists))
        try:
            decision = self._decide(lists, bundle, held_out_ms)
            if decision.ranker is not None:
                cause = Cause(now_ms, decision.reason, held_out_ms)
                self._require_running()
                fitted_to = merged(lists.examples.fitted_to)
                inputs = [DataInput(part=RANKER, name=topic, records=len(lists)) for topic in self.topics]
                new = self.versions.publish(to_onnx(decision.ranker), model, cause, fitted_to, inputs)
                self.announce(self.versions.models.path(new), inputs)
                self.versions.prune(model.name, (model, new))
                log.info("published %s %s after %s: %s", new.name, new.version, model.version, decision.reason)
        except (InferenceError, OSError) as error:
            log.exception("the refit failed")
            decision = refit.Decision(FAILED, str(error))
        if decision.ranker is None:
            log.info("%s %s stays: %s: %s", model.name, model.version, decision.outcome, decision.reason)
        ledger = self.versions.ledger
        ledger.tried_ms = now_ms
        if decision.ranker is not None or held_out_ms == self.rules.held_out_ms:
            # A refit after drift that found nothing better must not delay the next scheduled one.
            ledger.refitted_ms = now_ms
        self.versions.save()
        self._new_lists = 0
        self.metrics.refits.labels(decision.outcome).inc()
        self.metrics.judged(decision.comparison)
        self.metrics.refitted.set(now_ms / 1000)
        self.metrics.refit_seconds.set(time.monotonic() - started)

    def _decide(self, lists: Lists, bundle: Bundle, held_out_ms: int) -> refit.Decision:
        if self.pinned is not None:
            name = f"{self.pinned.name} {self.pinned.version}"
            return refit.Decision(PINNED, f"{name} is pinned, workers would not take a new version")
        theta = propensities(self.store.exposures())
        self.metrics.examined(theta)
        return refit.refit(lists, bundle.scorer, theta, held_out_ms, self.rules, self._require_running)

    def _guard(self, model: ModelPin, now_ms: int) -> None:
        """Go back if the click rate of the newest version is lower than that of the version before it."""
        guarded, rules = self.versions.guarded(), self.rules
        if guarded is None:
            return
        since_ms = guarded.at_ms
        if model.version != guarded.version or now_ms - since_ms > rules.guard_ms:
            # Another version serves, or the version has passed.
            self.versions.ledger.guarded = None
            self.versions.save()
            return
        now = guardrail.rate(self.outcomes.counts(guarded.version, since_ms, now_ms))
        # The period on which the version was judged: after drift, older lists had other clicks under any ranker.
        before = guardrail.rate(self.outcomes.counts(guarded.former, since_ms - guarded.held_out_ms, now_ms))
        found = guardrail.evidence(now, before, rules.guard_drop)
        self.metrics.rate.labels(NEW).set(now.value)
        self.metrics.rate.labels(FORMER).set(before.value)
        self.metrics.evidence.set(found)
        if found >= 1 / rules.guard_error:
            reason = (
                f"the share of lists acted on fell from {before.value:.2%} ({before.lists} lists of version "
                f"{guarded.former}) to {now.value:.2%} ({now.lists} lists of version {guarded.version})"
            )
            new = self.versions.go_back(guarded, model.name, now_ms, reason)
            self.metrics.rollbacks.inc()
            log.error("version %s has the ranker of %s again: %s", new.version, guarded.former, reason)
