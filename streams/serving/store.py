"""Loading of bundles, and the choice of the model that a worker starts with."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from inference.bundle import Bundle, load_bundle
from inference.errors import BundleError, InferenceError, one_line
from streams.contracts.messages import ModelPin
from streams.factory import load_model
from streams.serving.folders import ModelFolders, configured_at
from streams.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BundleStore(ModelFolders):
    """Bundles that a worker can serve. Every method may block."""

    settings: Settings = field(kw_only=True)

    @classmethod
    def of(cls, settings: Settings) -> BundleStore:
        """Return the bundles that the settings name."""
        return cls(settings.model.directory, configured_at(settings.model.path), settings=settings)

    def load(self, model: ModelPin) -> Bundle:
        """Load and verify a bundle. Raises BundleError, ProviderError."""
        path, settings = self.path(model), self.settings
        bundle = load_bundle(path, providers=settings.model.execution_providers, threads=settings.model.scorer_threads)
        if (bundle.name, bundle.version) != (model.name, model.version):
            required = f"the bundle of {model.name} {model.version}"
            raise BundleError(f"{path}: required {required}, got {bundle.name} {bundle.version} in its manifest")
        return bundle

    def first(self, pinned: ModelPin | None) -> Bundle:
        """Load the first model: the pinned one, else the newest, else the one at INTENTSTREAM_MODEL_PATH.

        If the pinned or newest one cannot be loaded, the error is logged. Errors of the last one are raised.
        """
        model = pinned
        try:
            if pinned is None and self.settings.model.watch_seconds:
                model = self.newest()
            if model is not None and (self.configured is None or model != self.configured.model):
                return self.load(model)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with that model, the worker has another one
            name = "the newest model" if model is None else f"model {model.name} {model.version}"
            log.error(  # noqa: TRY400 - the text is enough
                "%s cannot be loaded, starting with INTENTSTREAM_MODEL_PATH: %s", name, reason(error)
            )
        return load_model(self.settings)


def reason(error: Exception) -> str:
    """Return why a model is refused, on one line. A text of another library needs the kind of the error as well."""
    return one_line(str(error) if isinstance(error, InferenceError) else f"{type(error).__name__}: {error}")
