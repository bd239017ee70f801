"""The parts that a worker and `replay` share, made from settings: what makes both rank alike."""

from __future__ import annotations

from inference.bundle import Bundle, load_bundle
from inference.pipeline import Observer, Recommender, unobserved
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import SOURCES
from streams.contracts.messages import ModelRef
from streams.engine import Engine
from streams.errors import ConfigurationError
from streams.items.live import LiveCatalogue
from streams.items.trending import Trending
from streams.profiles.profile import ProfileRules
from streams.settings import Settings


def load_model(settings: Settings) -> Bundle:
    """Load and verify the bundle that the settings name. Raises ConfigurationError, BundleError, ProviderError."""
    if not settings.model_path.is_dir():
        required = "the folder of a model bundle, absolute or relative to the working directory"
        raise ConfigurationError(f"INTENTSTREAM_MODEL_PATH: required {required}, got {settings.model_path}")
    return load_bundle(settings.model_path, providers=settings.execution_providers, threads=settings.scorer_threads)


def recommender(settings: Settings, bundle: Bundle, observe: Observer = unobserved) -> Recommender:
    """Make the function that ranks, over a catalogue that is still empty."""
    return Recommender(
        Catalogue(bundle.dim, exact_limit=settings.exact_search_limit),
        bundle.scorer,
        [SOURCES[name] for name in settings.sources],
        candidates_per_source=settings.candidates_per_source,
        observe=observe,
    )


def engine(settings: Settings, bundle: Bundle, live: LiveCatalogue, trending: Trending) -> Engine:
    """Make the engine, the same for a worker and for `replay`."""
    return Engine(
        dim=bundle.dim,
        space=bundle.vector_space,
        model=ModelRef(name=bundle.name, version=bundle.version),
        catalogue=live,
        trending=trending,
        rules=profile_rules(settings),
        list_size=settings.list_size,
    )


def profile_rules(settings: Settings) -> ProfileRules:
    """Return the rules of the profile in its units."""
    return ProfileRules(
        short_term_half_life_ms=settings.short_term_half_life_minutes * 60e3,
        long_term_half_life_ms=settings.long_term_half_life_days * 86_400e3,
        session_gap_ms=round(settings.session_gap_minutes * 60e3),
        max_clock_skew_ms=round(settings.max_clock_skew_seconds * 1e3),
        weights={
            "search": settings.weight_search,
            "view": settings.weight_view,
            "click": settings.weight_click,
            "cart": settings.weight_cart,
            "purchase": settings.weight_purchase,
        },
    )
