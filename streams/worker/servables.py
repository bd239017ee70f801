"""Makes what serves a model bundle: its catalogue, engine and ranking."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from inference.bundle import Bundle
from streams.factory import engine, recommender
from streams.items.live import LiveCatalogue
from streams.metrics import Metrics
from streams.placements import DEFAULT_ONLY, Placements
from streams.scoring import Scoring, TimedScorer
from streams.serving.servable import Servable
from streams.settings import Settings
from streams.worker.behaviour_updates import BehaviourUpdates


@dataclass(frozen=True, slots=True)
class ServableFactory:
    """Factory of servables. All share the scorer's thread and the behaviour; those of different spaces no vectors."""

    settings: Settings
    metrics: Metrics
    behaviour: BehaviourUpdates
    placements: Placements = DEFAULT_ONLY

    def make(self, bundle: Bundle, before: Servable | None = None) -> Servable:
        """Make a servable. If `before` has the same vector space, share its catalogue and cached query vectors."""
        settings, metrics = self.settings, self.metrics
        if before is not None and before.live.space == bundle.vector_space:
            live, catalogue, vectors = before.live, before.scoring.recommender.catalogue, before.scoring.vectors
        else:
            live, catalogue, vectors = LiveCatalogue(bundle.vector_space, bundle.dim), None, OrderedDict()
        ranks = recommender(settings, bundle, self.behaviour.behaviour, metrics.observe_stage, catalogue)
        ranks.set_scorer(TimedScorer(bundle.scorer, metrics.inference.labels(bundle.provider)))
        if catalogue is None:
            self.behaviour.mark_all_seen(ranks.catalogue)
        return Servable(
            bundle=bundle,
            live=live,
            engine=engine(settings, bundle, live, self.placements),
            scoring=Scoring(bundle, ranks, self.behaviour.thread, vectors),
        )
