"""Parts that a worker and `replay` share, made from the settings, so that both rank alike."""

from __future__ import annotations

from inference.bundle import Bundle, load_bundle
from inference.pipeline import Observer, RankingOptions, Recommender, unobserved
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import WORDS, make_sources
from streams.behaviour.pairs import PairRules
from streams.contracts.messages import ModelRef
from streams.engine import Engine
from streams.errors import ConfigurationError
from streams.items.live import LiveCatalogue
from streams.items.trending import Trending
from streams.profiles.profile import ProfileRules
from streams.settings import Settings


def load_model(settings: Settings) -> Bundle:
    """Load and verify the bundle in the settings. Raises ConfigurationError, BundleError, ProviderError."""
    if not settings.model_path.is_dir():
        required = "the folder of a model bundle, absolute or relative to the working directory"
        raise ConfigurationError(f"INTENTSTREAM_MODEL_PATH: required {required}, got {settings.model_path}")
    return load_bundle(settings.model_path, providers=settings.execution_providers, threads=settings.scorer_threads)


def recommender(
    settings: Settings,
    bundle: Bundle,
    behaviour: Behaviour,
    observe: Observer = unobserved,
    catalogue: Catalogue | None = None,
) -> Recommender:
    """Make the recommender. Its catalogue is empty, unless one in the bundle's vector space is given."""
    if catalogue is None:
        catalogue = Catalogue(
            bundle.dim,
            exact_limit=settings.exact_search_limit,
            index_words=WORDS in settings.sources,
            numbers=behaviour.numbers,
        )
    return Recommender(
        catalogue,
        bundle.scorer,
        make_sources(settings.sources, behaviour),
        partners=behaviour.transitions.partners,
        options=RankingOptions(
            candidates_per_source=settings.candidates_per_source,
            candidates_ranked=settings.candidates_ranked,
            diversity=settings.diversity,
            places_for_new=settings.places_for_new,
        ),
        observe=observe,
    )


def engine(settings: Settings, bundle: Bundle, live: LiveCatalogue) -> Engine:
    """Make the engine, the same for a worker and for `replay`."""
    return Engine(
        dim=bundle.dim,
        space=bundle.vector_space,
        model=ModelRef(name=bundle.name, version=bundle.version),
        catalogue=live,
        rules=profile_rules(settings),
        list_size=settings.list_size,
        pairs_window=settings.pairs_window,
    )


def trending_counts(settings: Settings) -> Trending:
    """Make the counters of trending items."""
    return Trending(settings.trending_half_life_hours * 3600e3, settings.trending_lasting_half_life_days * 86_400e3)


def behaviour_known(settings: Settings) -> Behaviour:
    """Make the shoppers' behaviour that the sources read, still empty."""
    return Behaviour(half_life_ms=pair_rules(settings).half_life_ms, sessions=settings.sessions_kept)


def pair_rules(settings: Settings) -> PairRules:
    """Return the rules of co-occurrence, with times in milliseconds."""
    return PairRules(half_life_ms=settings.pairs_half_life_days * 86_400e3)


def profile_rules(settings: Settings) -> ProfileRules:
    """Return the rules of profiles, with times in milliseconds."""
    return ProfileRules(
        short_term_half_life_ms=settings.short_term_half_life_minutes * 60e3,
        long_term_half_life_ms=settings.long_term_half_life_days * 86_400e3,
        habit_half_life_ms=settings.habit_half_life_days * 86_400e3,
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
