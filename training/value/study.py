"""The data of a study: a log, a catalogue and a model, and replays of a shop that has less of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle
from inference.encoding.text import normalise_query
from inference.errors import BundleError
from inference.pipeline import ScoresFeatures
from inference.types import Item, Vector
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Interaction
from streams.factory import profile_rules
from streams.items.encoded import Encoded, encode_catalogue
from streams.replay import QUERY_CACHE_SIZE, Replay
from streams.settings import Settings
from training.evaluation.cases import Cases, cases, sampled
from training.evaluation.metrics import at_k, gains
from training.evaluation.plan import PRIMARY
from training.evaluation.system_pass import item_numbers
from training.log import Log, first_tested, read_log
from training.phases import Progress, no_progress
from training.ranker.gather import Sampling, as_examples, example_lists, first_ranked
from training.ranker.network import Ranker
from training.value.lists import Ablations, ListPass, Rankings, ablated_features, full_ranking, moments
from training.value.variants import NO_NAMES, Variant, remaining_events, without_attributes

METRICS = ("hr", "mrr", "ndcg", "recall", "predicted")
"""The columns of a result. `predicted` is the number of actions on the list's items that the ranker expects."""
LISTS, AFTER, NEGATIVES = 6000, 0.3, 60
"""A ranker is fitted to about LISTS lists, after the share AFTER of the learning period, with NEGATIVES each."""
UNUSED = 6
"""Replays that are kept to be copied, the latest used, each with its catalogue."""
SECONDS = "seconds"
"""The name of a result's times: of making the replay with its ranker, of the events, and of the lists, float64 (3,)."""
FITTED = "fitted"
"""The name of a result's flag of whether its ranker was fitted to the events of the variant, bool (1,)."""
UNNAMED = "(unnamed)"
"""The producer of events without a name, as on the page Data of the console."""

Floats = npt.NDArray[np.float64]


class Scope(NamedTuple):
    """The part of a log that is replayed: its newest events, and the number of lists, drawn at random."""

    events: int
    lists: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """The options of a study that change its results.

    Attributes:
        protocol: next-item, next-basket or search.
        test_share: share of the log that is tested, at its end.
        seed: seed of all draws.
        retrained: whether a ranker is fitted for each variant of the shop.
    """

    protocol: str = "next-item"
    test_share: float = 0.2
    seed: int = 0
    retrained: bool = False

    @property
    def k(self) -> int:
        """The length of the lists."""
        return PRIMARY[self.protocol][0][1]

    @property
    def primary(self) -> str:
        """The metric that ranks the assets."""
        return PRIMARY[self.protocol][0][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A replay: of which part of the log, what the shop lacks, and whether sources and features are left out too."""

    scope: Scope
    variant: Variant
    ablated: bool = False

    @property
    def key(self) -> str:
        """A text that is equal for equal jobs, in every process."""
        return f"{self.scope.events}/{self.scope.lists}/{int(self.ablated)}/{self.variant.key}"


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the log as numbers, with its cases.

    `start` is the first interaction of the test period. `producers` are those of the events, UNNAMED without a name.
    """

    log: Log
    cases: Cases
    found: int
    start: int
    producers: Sequence[str]

    @cached_property
    def types(self) -> frozenset[str]:
        """The types of its events."""
        return frozenset(each.type for each in self.log.interactions)


@dataclass(frozen=True, eq=False)
class Study:
    """A shop's data, and what is measured on them.

    Attributes:
        settings: the settings, with lists of `options.k`.
        bundle: the model.
        items: the catalogue.
        interactions: the events in order of time, without repeats.
        encoded: vectors of texts, by the stable key of the text. Others are encoded when they are needed.
        options: the options.
        producers: the producer of each event, empty without a name; or () if no event has one.
    """

    settings: Settings
    bundle: Bundle
    items: Sequence[Item]
    interactions: Sequence[Interaction]
    encoded: Encoded
    options: StudyOptions
    producers: Sequence[str] = ()
    _parts: dict[Scope, Part] = field(default_factory=dict)
    _records: dict[frozenset[str], list[ItemVector]] = field(default_factory=dict)
    _query_vectors: dict[str, Vector] = field(default_factory=dict)
    _unused: dict[frozenset[str], Replay] = field(default_factory=dict)

    def part(self, scope: Scope) -> Part:
        """Return a part of the log. Raises ConfigurationError if it has no case."""
        found = self._parts.get(scope)
        if found is None:
            log = read_log(self.interactions[-scope.events :], self.items, self._gap_ms)
            start = first_tested(log, self.options.test_share, None)
            names = [name or UNNAMED for name in self.producers[-len(log) :]] or [UNNAMED] * len(log)
            every = cases(log, log.acts(), self.options.protocol, start)
            found = Part(log, sampled(every, scope.lists, self.options.seed), len(every), start, names)
            self._parts[scope] = found
        return found

    def records(self, attributes: frozenset[str] = NO_NAMES, progress: Progress = no_progress) -> list[ItemVector]:
        """Return the encoded catalogue without some attributes."""
        found = self._records.get(attributes)
        if found is None:
            items = without_attributes(self.items, attributes)
            found = encode_catalogue(self.bundle, items, known=self.encoded, progress=progress)
            # Texts that several variants share are encoded once.
            self.encoded.update({record.text_hash: record.vector for record in found})
            self._records[attributes] = found
        return found

    def new_replay(self, attributes: frozenset[str] = NO_NAMES) -> Replay:
        """Return a replay at the beginning of the log, of a catalogue without some attributes.

        It is a copy of one that is never used, which takes an eighth of the time of making one. The copy shares what no
        replay changes: the settings, the model, the items and the vectors of searches.
        """
        unused = self._unused.pop(attributes, None)
        records = self.records(attributes)
        if unused is None:
            unused = Replay(self.settings, self.bundle, records, query_vectors=self._query_vectors)
            while len(self._unused) >= UNUSED:
                del self._unused[next(iter(self._unused))]
        # Put back at the end, so that the first key is the one that was used longest ago.
        self._unused[attributes] = unused
        bundle = self.bundle
        shared: list[object] = [self.settings, bundle, bundle.scorer, bundle.sequence, self._query_vectors]
        for record in records:
            shared += (record, record.item, record.vector)
        # The second argument is what `deepcopy` takes as copied already, so it shares these objects.
        return deepcopy(unused, {id(each): each for each in shared})

    def replay(self, job: Job, progress: Progress = no_progress) -> dict[str, npt.NDArray[np.generic]]:
        """Return the metrics of each case, float32 (cases, METRICS), by the name of the ranking; SECONDS and FITTED."""
        part, variant = self.part(job.scope), job.variant
        events = remaining_events(part.log, variant, part.start, part.producers)
        began = perf_counter()
        replay = self.new_replay(variant.attributes)
        learned = int(np.searchsorted(events.numbers, part.start)) if variant.fitted else 0
        ranker = self._fitted(replay, events.interactions[:learned], variant) if variant.fitted else None
        scorer: ScoresFeatures = ranker or self.bundle.scorer
        replay.recommender.set_scorer(scorer)
        made_s = perf_counter() - began
        wanted = moments(part.log, part.cases, events, is_anonymous="user_id" in variant.fields)
        rankings: Rankings = full_ranking
        if job.ablated:
            rankings = Ablations(scorer, replay.recommender.source_names, ablated_features())
        began = perf_counter()
        list_pass = ListPass(replay, item_numbers(replay, part.log), self.options.k, rankings)
        listed = list_pass.run(events, wanted, learned, progress)
        elapsed_s = perf_counter() - began
        found: dict[str, npt.NDArray[np.generic]] = {
            SECONDS: np.array([made_s, elapsed_s - listed.rank_s, listed.rank_s]),
            FITTED: np.array([ranker is not None]),
        }
        targets = part.cases.targets
        for name, lists in listed.lists.items():
            metrics = at_k(gains(lists, targets), targets, self.options.k)
            columns = [metrics[each] for each in METRICS[:-1]]
            found[f"ranking:{name}"] = np.stack([*columns, listed.predicted[name]], axis=1).astype(np.float32)
        return found

    def _fitted(self, replay: Replay, known: Sequence[Interaction], variant: Variant) -> Ranker | None:
        """Learn the events, and return a ranker fitted to them; None if a shop with less data has no list to fit it to.

        Without the order within a day, for example, no list is made between two actions of a session.
        """
        try:
            return fitted(replay, known, self.fitting_rules(len(known)))
        except BundleError:
            if variant == Variant(fitted=True):
                raise
            return None

    def baseline_job(self, scope: Scope, *, ablated: bool = False) -> Job:
        """Return the replay of the shop with all data."""
        return Job(scope=scope, variant=Variant(fitted=self.options.retrained), ablated=ablated)

    def job(self, scope: Scope, variant: Variant) -> Job:
        """Return the replay of a variant of the shop, with the ranker that the options ask for."""
        own = replace(variant, fitted=self.options.retrained)
        return Job(scope=scope, variant=own.canonical(self.part(scope).types))

    def fitting_rules(self, learning: int) -> Sampling:
        """Return the rules that select the examples of a ranker from a learning period of so many events."""
        return rules(learning, self.options.seed, self._gap_ms, with_arrivals=self.options.protocol == "next-basket")

    def encode_queries(self, scope: Scope) -> None:
        """Encode the searches of a part of the log, so that the time of the first replay is that of any other."""
        for text in dict.fromkeys(self.part(scope).log.queries.values()):
            known = normalise_query(text)
            if known and len(self._query_vectors) < QUERY_CACHE_SIZE:
                self._query_vectors[known] = self.bundle.encode_query(known)

    @property
    def _gap_ms(self) -> int:
        return profile_rules(self.settings).session_gap_ms


def ranking(result: Mapping[str, npt.NDArray[np.generic]], name: str = "") -> Floats:
    """Return the metrics of a ranking of a result, (cases, METRICS)."""
    return result[f"ranking:{name}"].astype(np.float64)


def rules(learning: int, seed: int, session_gap_ms: int, *, with_arrivals: bool) -> Sampling:
    """Return the rules that select examples from a learning period of so many events."""
    share = min(1.0, LISTS / max((1 - AFTER) * learning, 1))
    return Sampling(seed, AFTER, share, share if with_arrivals else 0.0, NEGATIVES, session_gap_ms=session_gap_ms)


def fitted(
    replay: Replay, known: Sequence[Interaction], sampling: Sampling, progress: Progress = no_progress
) -> Ranker:
    """Learn the events of the learning period, and return a ranker that is fitted to them. Needs scipy.

    Raises:
        BundleError: shoppers acted on nothing.
    """
    from training.ranker.fit import fit

    first = first_ranked(known, sampling)
    replay.learn(known[:first])
    progress(first)
    return fit(as_examples(list(example_lists(replay, known, sampling, progress, learned=first))), seed=sampling.seed)
