"""Loading of bundles, and the choice of the model that a worker starts with."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from inference.bundle import Bundle, load_bundle
from inference.errors import BundleError
from streams.contracts.messages import ModelPin
from streams.parts import load_model
from streams.serving.folders import Fingerprint, ModelFolders, home_at
from streams.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BundleStore:
    """Bundles that a worker can serve."""

    settings: Settings
    folders: ModelFolders

    @classmethod
    def of(cls, settings: Settings) -> BundleStore:
        """Return the bundles that the settings name."""
        return cls(settings, ModelFolders(settings.model.directory, home_at(settings.model.path)))

    @property
    def home(self) -> ModelPin | None:
        """Model at INTENTSTREAM_MODEL_PATH, None if there is no readable one."""
        return None if self.folders.home is None else self.folders.home.model

    def newest(self, passed_over: Collection[ModelPin] = ()) -> ModelPin | None:
        """Return the newest version of the model at INTENTSTREAM_MODEL_PATH, without those in `passed_over`."""
        return self.folders.newest(passed_over)

    def fingerprint(self, model: ModelPin) -> Fingerprint:
        """Return the state of a bundle's folder, which differs after a change."""
        return self.folders.fingerprint(model)

    def load(self, model: ModelPin) -> Bundle:
        """Load and verify a bundle. Raises BundleError, ProviderError."""
        path, settings = self.folders.path(model), self.settings
        bundle = load_bundle(path, providers=settings.model.execution_providers, threads=settings.model.scorer_threads)
        if (bundle.name, bundle.version) != (model.name, model.version):
            required = f"the bundle of {model.name} {model.version}"
            raise BundleError(f"{path}: required {required}, got {bundle.name} {bundle.version} in its manifest")
        return bundle

    def first(self, pinned: ModelPin | None) -> Bundle:
        """Load the first model: the pinned one, else the newest, else the one at INTENTSTREAM_MODEL_PATH.

        If the pinned or newest one cannot be loaded, the error is logged. Errors of the last one are raised.
        """
        wished = [pinned]
        if pinned is None and self.settings.model.watch_seconds:
            wished.append(self.newest())
        for model in wished:
            if model is not None and model != self.home:
                try:
                    return self.load(model)
                except BundleError as error:
                    log.error(  # noqa: TRY400 - the text is enough
                        "model %s %s cannot be loaded, starting with INTENTSTREAM_MODEL_PATH: %s",
                        model.name, model.version, error,
                    )  # fmt: skip
        return load_model(self.settings)
