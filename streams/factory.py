"""Parts that a worker and `replay` share, made from the settings, so that both rank alike."""

from __future__ import annotations

from inference.bundle import Bundle, load_bundle
from inference.kernels.support import CLAIMED_BY, SHOPPERS, Support
from inference.pipeline import Observer, Recommender, unobserved
from inference.placements import RankingOptions
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import CLICKED_NEAR, WORDS
from streams.behaviour.cooccurrence import CooccurrenceRules
from streams.contracts.messages import ModelRef
from streams.engine import Engine, EngineOptions
from streams.errors import ConfigurationError
from streams.items.live import LiveCatalogue
from streams.items.trending import Trending
from streams.placements import DEFAULT_ONLY, VARIABLE, Placements, parse_placements
from streams.profiles.layout import MOST_EVENTS
from streams.profiles.profile import ProfileRules
from streams.protection import Cipher, Pseudonyms
from streams.settings import Settings
from streams.settings_values import secret_bytes

WEIGHT_EACH = 0.5
"""Greatest weight of one shopper in a pair, a search or a trend, as a share of the heaviest action's weight. A smaller
share protects better against many acts of few shoppers, and finds less (docs/quality.md)."""

READ_WORDS = frozenset({WORDS, CLICKED_NEAR})
"""Sources that read the words of the items."""


def load_model(settings: Settings) -> Bundle:
    """Load and verify the bundle in the settings. Raises ConfigurationError, BundleError, ProviderError."""
    model = settings.model
    if not model.path.is_dir():
        required = "the folder of a model bundle, absolute or relative to the working directory"
        raise ConfigurationError(f"INTENTSTREAM_MODEL_PATH: required {required}, got {model.path.absolute()}")
    return load_bundle(model.path, providers=model.execution_providers, threads=model.scorer_threads)


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
            exact_limit=settings.retrieval.exact_search_limit,
            index_words=not READ_WORDS.isdisjoint(settings.retrieval.sources),
            numbers=behaviour.numbers,
            derived=settings.retrieval.derive_attributes,
        )
    return Recommender(
        catalogue,
        bundle.scorer,
        make_sources(settings.retrieval.sources, behaviour, bundle.sequence),
        partners=behaviour.transitions.partners,
        options=RankingOptions(
            candidates_per_source=settings.retrieval.candidates_per_source,
            candidates_ranked=settings.retrieval.candidates_ranked,
            diversity=settings.retrieval.diversity,
            places_for_new=settings.retrieval.places_for_new,
            fairness=settings.retrieval.fairness,
        ),
        observe=observe,
    )


def engine(settings: Settings, bundle: Bundle, live: LiveCatalogue, shown_at: Placements = DEFAULT_ONLY) -> Engine:
    """Make the engine, the same for a worker and for `replay`."""
    return Engine(
        model=ModelRef(name=bundle.name, version=bundle.version),
        catalogue=live,
        rules=profile_rules(settings),
        options=EngineOptions(
            list_size=settings.retrieval.list_size,
            pairs_window=settings.learning.pairs_window,
            shopper_key=pseudonyms(settings).key,
            language=settings.retrieval.language,
            placements=shown_at,
        ),
    )


def placements(settings: Settings) -> Placements:
    """Read the placements. Raises ConfigurationError."""
    path = settings.retrieval.placements_file
    if path is None:
        return DEFAULT_ONLY
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{VARIABLE}: required a file that can be read, got {path}: {error}") from error
    return parse_placements(content, path, settings.retrieval.sources)


def pseudonyms(settings: Settings) -> Pseudonyms:
    """Make the pseudonyms of shoppers."""
    secret = settings.privacy.pseudonym_key
    return Pseudonyms(None if secret is None else secret_bytes(secret.get_secret_value()))


def cipher(settings: Settings) -> Cipher:
    """Make the cipher of stored values."""
    keys = settings.privacy.encryption_keys
    return Cipher([] if keys is None else [secret_bytes(key) for key in keys.get_secret_value().split(",")])


def trending_counts(settings: Settings) -> Trending:
    """Make the counters of trending items."""
    learning, is_private = settings.learning, settings.learning.trends_epsilon_per_day is not None
    return Trending(
        learning.trending_half_life_hours * 3600e3,
        learning.trending_lasting_half_life_days * 86_400e3,
        # A limit estimated from all shoppers would make a count depend on one shopper by more than its own weight.
        Support(learning.min_shoppers) if is_private else support(settings),
        is_private=is_private,
    )


def empty_behaviour(settings: Settings) -> Behaviour:
    """Make the shoppers' behaviour that the sources read, still empty."""
    return Behaviour(
        half_life_ms=cooccurrence_rules(settings).half_life_ms,
        sessions=settings.learning.sessions_kept,
        min_shoppers=settings.learning.min_shoppers,
        claimed_above=float(SHOPPERS[CLAIMED_BY - 1]) * support(settings).weight_each,
    )


def support(settings: Settings) -> Support:
    """Return the conditions for the use of what shoppers taught."""
    return Support(settings.learning.min_shoppers, WEIGHT_EACH * max(profile_rules(settings).weights.values()))


def cooccurrence_rules(settings: Settings) -> CooccurrenceRules:
    """Return the rules of co-occurrence, with times in milliseconds."""
    return CooccurrenceRules(settings.learning.pairs_half_life_days * 86_400e3, support(settings))


def profile_rules(settings: Settings) -> ProfileRules:
    """Return the rules of profiles, with times in milliseconds."""
    return ProfileRules(
        short_term_half_life_ms=settings.profile.short_term_half_life_minutes * 60e3,
        long_term_half_life_ms=settings.profile.long_term_half_life_days * 86_400e3,
        habit_half_life_ms=settings.learning.habit_half_life_days * 86_400e3,
        session_gap_ms=round(settings.profile.session_gap_minutes * 60e3),
        max_clock_skew_ms=round(settings.profile.max_clock_skew_seconds * 1e3),
        robot_events_per_minute=settings.learning.robot_events_per_minute,
        robot_events_per_day=settings.learning.robot_events_per_day,
        trends_events_per_day=(
            MOST_EVENTS if settings.learning.trends_epsilon_per_day is None else settings.learning.trends_events_per_day
        ),
        weights={
            "search": settings.profile.weight_search,
            "view": settings.profile.weight_view,
            "click": settings.profile.weight_click,
            "cart": settings.profile.weight_cart,
            "purchase": settings.profile.weight_purchase,
        },
    )
