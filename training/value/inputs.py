"""Loads a study from files, the same in each process, and writes a bundle with a ranker that is fitted to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inference.bundle import Bundle, load_bundle
from inference.errors import InferenceError
from streams.contracts.jsonlines import read_items
from streams.contracts.messages import Interaction, occurred_ms
from streams.errors import ConfigurationError
from streams.event_log import Repeats, read_event_log
from streams.factory import load_model, profile_rules
from streams.items.encoded import read_vectors
from streams.replay import Replay
from streams.settings import Settings, load_settings
from training.evaluation.run import settings_of
from training.phases import Progress
from training.ranker.gather import Sampling, ranked_period
from training.ranker.network import to_onnx
from training.value.runner import VERSION, digest_of, digest_of_file
from training.value.study import Study, StudyOptions, fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Files and options.

    Attributes:
        catalog, events: JSON Lines files.
        vectors: vectors of the catalogue, None without.
        options: the options of the study.
        refresh_s: seconds of event time between updates from all shoppers' actions.
        model: the folder of a model bundle, None for that of the settings.
    """

    catalog: Path
    events: Path
    vectors: Path | None
    options: StudyOptions
    refresh_s: float
    model: Path | None = None

    def __call__(self) -> Study:
        """Load the study silently, for a further process."""
        return self.load(lambda _: None)

    def load(self, warn: Callable[[str], object]) -> Study:
        """Load the study. `warn` receives sentences about the file of events.

        Raises:
            InvalidLine: a line breaks the contract.
            ConfigurationError: a file cannot be read, or there are no events.
        """
        settings = self.settings
        bundle = load_model(settings)
        items = [line.message for line in read_items(self.catalog)]
        log = read_event_log(self.events, profile_rules(settings).max_clock_skew_ms, warn=warn)
        repeats = Repeats()
        rows = [row for row in zip(log.interactions, log.producers, strict=True) if not repeats.is_repeat(row[0])]
        if not rows:
            raise ConfigurationError(f"{self.events}: required at least one event, got none")
        rows.sort(key=lambda row: occurred_ms(row[0]))
        encoded = read_vectors(self.vectors, bundle) if self.vectors is not None and self.vectors.exists() else {}
        return Study(
            settings=settings,
            bundle=bundle,
            items=items,
            interactions=[interaction for interaction, _ in rows],
            producers=[producer or context_producer(interaction) for interaction, producer in rows],
            encoded=encoded,
            options=self.options,
        )

    @property
    def settings(self) -> Settings:
        """The settings, with the lists and the intervals of the study."""
        intervals = {"trending_interval_seconds": self.refresh_s, "behaviour_interval_seconds": self.refresh_s}
        model = {} if self.model is None else {"model_path": self.model}
        return load_settings({"list_size": self.options.k, **intervals, **model})

    def digest(self, bundle: Bundle) -> str:
        """Return the digest of everything that results depend on."""
        return digest_of(
            str(VERSION),
            digest_of_file(self.catalog),
            digest_of_file(self.events),
            # The manifest has the checksums of all files of the model, so it stands for their contents.
            str(bundle.manifest),
            msgspec.json.encode(settings_of(self.settings), order="deterministic").decode(),
            str(self.options),
        )


def context_producer(interaction: Interaction) -> str:
    """Return the producer that an event names in its context, empty without one."""
    producer = interaction.context.get("producer")
    return producer if isinstance(producer, str) else ""


def fitted_bundle(
    replay: Replay, known: Sequence[Interaction], sampling: Sampling, paths: tuple[Path, Path], progress: Progress
) -> Bundle:
    """Return the bundle in the first of two folders with a ranker fitted to `known`, written to the second folder.

    If the second folder has been written before, its bundle is returned.

    Raises:
        BundleError: shoppers acted on nothing, or the first folder is no bundle.
    """
    from training.ranker.bundle import with_ranker

    source, target = paths
    try:
        return load_bundle(target)
    except InferenceError:
        # There is none, or a run was interrupted while it wrote it.
        shutil.rmtree(target, ignore_errors=True)
    ranker = fitted(replay, known, sampling, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    return with_ranker(source, target, to_onnx(ranker), ranked_period(known, sampling))
