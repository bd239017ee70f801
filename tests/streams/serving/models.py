"""Fake models for the tests of serving: computed vectors in their own space, with faults and pauses."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from inference.bundle import Bundle
from inference.errors import BundleError, ScoringError
from inference.pipeline import Recommender
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import quantise
from inference.types import Vector
from streams.contracts.internal import ItemVector
from streams.contracts.messages import ModelPin, ModelRef
from streams.engine import Engine, EngineOptions
from streams.items.live import LiveCatalogue
from streams.metrics import Metrics
from streams.scoring import Scoring
from streams.serving.folders import ConfiguredModel, Fingerprint
from streams.serving.servable import Servable
from tests.streams.shoppers import DIM, RULES, item_of, unit_vector


@dataclass(eq=False)
class FakeModel:
    """A fake bundle. Its scores are a linear function of the feature sum, plus `shift`."""

    version: str
    vector_space: str
    shift: float = 0.0
    dim: int = DIM
    name: str = "m"
    provider: str = "CPUExecutionProvider"
    fails: bool = False
    features: tuple[str, ...] = ("any",) * 14

    @property
    def scorer(self) -> FakeModel:
        return self

    def encode(self, texts: Sequence[str]) -> Vector:
        return np.stack([unit_vector(f"{self.vector_space}/{text}", self.dim) for text in texts])

    def encode_items(self, texts: Sequence[str]) -> Vector:
        return self.encode(texts)

    def score(self, features: Vector) -> Vector:
        if self.fails:
            raise ScoringError("fake")
        return np.asarray(0.25 + features.sum(axis=1) / 64 + self.shift, dtype=np.float32)


def pin_of(model: FakeModel) -> ModelPin:
    return ModelPin(name=model.name, version=model.version)


@dataclass
class FakeBundleStore:
    """A fake bundle store. Loading blocks until `gate` is set, and fails for unknown models."""

    models: dict[ModelPin, FakeModel] = field(default_factory=dict)
    newest_model: ModelPin | None = None
    loaded: list[ModelPin] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    fingerprints: dict[ModelPin, int] = field(default_factory=dict)
    configured: ConfiguredModel | None = None

    def newest(self, passed_over: Collection[ModelPin] = ()) -> ModelPin | None:
        return None if self.newest_model in passed_over else self.newest_model

    def fingerprint(self, model: ModelPin) -> Fingerprint:
        return (("manifest.json", self.fingerprints.get(model, 0), 0),)

    def load(self, model: ModelPin) -> Bundle:
        self.loaded.append(model)
        assert self.gate.wait(10)
        if model not in self.models:
            raise BundleError("fake: not there")
        return cast("Bundle", self.models[model])


@dataclass
class ServableFactory:
    """Creates servables as the worker's composition root does."""

    thread: ThreadPoolExecutor
    metrics: Metrics
    behaviour: Behaviour = field(default_factory=Behaviour)

    def make(self, bundle: Bundle, before: Servable | None = None) -> Servable:
        same = before is not None and before.live.space == bundle.vector_space
        if before is not None and same:
            live, catalogue = before.live, before.scoring.recommender.catalogue
        else:
            live = LiveCatalogue(bundle.vector_space, bundle.dim)
            catalogue = Catalogue(bundle.dim, numbers=self.behaviour.numbers)
        sources = make_sources(("short_term", "query", "together"), self.behaviour)
        return Servable(
            bundle=bundle,
            live=live,
            engine=Engine(
                model=ModelRef(name=bundle.name, version=bundle.version),
                catalogue=live,
                rules=RULES,
                options=EngineOptions(list_size=5),
            ),
            scoring=Scoring(
                bundle,
                Recommender(catalogue, bundle.scorer, sources),
                self.thread,
                OrderedDict(),
            ),
        )


def record(item_id: str, *models: FakeModel) -> ItemVector:
    """Return an item's record with a vector of each model."""
    item = item_of(item_id)
    first, *others = ((model.vector_space, quantise(model.encode([item.title])[0]).tobytes()) for model in models)
    return ItemVector(item=item, space=first[0], text_hash=1, vector=first[1], also=dict(others))
