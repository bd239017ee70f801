"""The kernels agree with the reference implementation, event by event and in batches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.vectors import inverse_norms, quantise
from inference.types import Item, Vector, stable_key
from streams.contracts.messages import Interaction, Search
from streams.engine import FADED
from streams.errors import ProfileCodecError
from streams.profiles import codec, kernels
from streams.profiles.batch import DUPLICATE, LATE, OK, REPLAYED, AnswerBatch, Scratch, rules_record, texts_of
from streams.profiles.codec import Shoppers
from streams.profiles.events import Event, Source, pack_events, session_key
from streams.profiles.float16 import from_half, to_half
from streams.profiles.profile import Profile
from tests.conftest import a_quarter_of_the_examples
from tests.streams.profiles import reference
from tests.streams.shoppers import (
    DIM,
    LIST_SIZE,
    NOW_MS,
    RULES,
    SPACE,
    TIME_SPANS,
    UNENCODABLE,
    WINDOW,
    OnDemandCatalogue,
    SourcedInteraction,
    TimeSpan,
    act,
    fold_batch,
    item_of,
    read,
    search,
    unit_vector,
)

pytestmark = pytest.mark.kernel

TOPICS = ("clicks", "searches", "carts", "orders")


def known_item(item_id: str) -> Item | None:
    """Return an item with a price and labels; None for some ids."""
    key = stable_key(item_id)
    if key % 7 == 0:
        return None
    category = () if key % 11 == 0 else ("Shop", f"c{key % 17}")
    price = None if key % 5 == 0 else float(key % 1000) / 10
    return msgspec.structs.replace(item_of(item_id), category=category, brand=f"b{key % 13}", price=price)


def interaction_histories(time_span: TimeSpan, max_size: int = 40) -> st.SearchStrategy[list[SourcedInteraction]]:
    """Events of one shopper: replays, late events, wrong clocks, several topics, and more items than each bound."""
    times = st.integers(NOW_MS - time_span.width_ms, NOW_MS)
    ids = st.sampled_from([f"i{number}" for number in range(60)])
    sessions = st.sampled_from([None, None, "s1", "s2"])
    words = st.sampled_from(["boots", "red shoes", "чайник", "茶壶" * 30, "tent", "x" * 64, "x" * 65, "x", UNENCODABLE])
    kinds = st.sampled_from(["view", "click", "cart", "purchase", "purchase"])
    priced = st.builds(
        lambda action, price: msgspec.structs.replace(action, price=price),
        st.builds(act, kinds, ids, times, sessions),
        st.one_of(st.none(), st.floats(0, 1e6)),
    )
    interactions = priced | st.builds(search, words, times, sessions)
    sources = st.builds(
        Source,
        st.sampled_from(TOPICS),
        st.integers(0, 3),
        st.integers(0, 50),
        st.integers(NOW_MS - time_span.width_ms - 10 * 60_000, NOW_MS + 1000),
    )
    return st.lists(st.tuples(interactions, sources), min_size=1, max_size=max_size)


def vector_of(interaction: Interaction) -> Vector | None:
    if isinstance(interaction, Search):
        return None if interaction.query == UNENCODABLE else unit_vector(interaction.query)
    return None if known_item(interaction.item_id) is None else unit_vector(interaction.item_id)


def assert_profiles_agree(got: Profile, rounded: Profile, expected: Profile) -> None:
    """Assert that `got` equals `expected` up to rounding. `rounded` is the profile before the last event."""
    assert got.updated_ms == expected.updated_ms
    assert got.session_started_ms == expected.session_started_ms
    assert got.queries == expected.queries
    assert got.positions == expected.positions
    assert [(past.key, reference.place_of(past)) for past in got.events] == [
        (past.key, reference.place_of(past)) for past in expected.events
    ]
    assert got.recent.tobytes() == expected.recent.tobytes()
    assert got.habits.tobytes() == expected.habits.tobytes()
    assert got.earlier == expected.earlier
    assert got.prices == pytest.approx(expected.prices, rel=1e-12)
    for actual, reference_labels in ((got.categories, expected.categories), (got.brands, expected.brands)):
        assert actual["key"].tolist() == reference_labels["key"].tolist()
        assert actual["weight"] == pytest.approx(reference_labels["weight"], rel=1e-6)
    for own, other in ((got.short_term, expected.short_term), (got.long_term, expected.long_term)):
        largest = float(np.abs(other).max())
        assert np.abs(own - other).max() <= max(largest / 32767 * 0.51, 1e-20)
    assert rounded.space == got.space


@pytest.mark.parametrize("time_span", TIME_SPANS, ids=lambda time_span: time_span.name)
@a_quarter_of_the_examples()
@given(st.data())
def test_every_event_changes_a_profile_as_the_reference_does(time_span: TimeSpan, data: st.DataObject) -> None:
    stored = codec.load(None, DIM, SPACE)
    for interaction, source in data.draw(interaction_histories(time_span)):
        before = read(stored)
        item = None if isinstance(interaction, Search) else known_item(interaction.item_id)
        expected = reference.apply(before, interaction, source, vector=vector_of(interaction), item=item, rules=RULES)
        after, answers = fold_batch(stored, [(interaction, source)], item_of=known_item)
        got = read(after)
        assert_profiles_agree(got, before, expected)
        outcome = int(answers.answers["outcome"][0])
        if reference.is_duplicate(before, interaction, source):
            assert outcome == DUPLICATE
        elif expected is before:
            assert (outcome, after) == (REPLAYED, stored)
        else:
            at_ms = reference.event_time_ms(interaction, source, RULES)
            assert outcome == (LATE if at_ms < before.updated_ms else OK)
        assert_answers_agree(answers, 0, got, interaction, source)
        stored = after


def assert_answers_agree(
    answers: AnswerBatch, row: int, profile: Profile, interaction: Interaction, source: Source
) -> None:
    """Assert that the answer agrees with the profile after the event."""
    query, own = answers.queries[row], answers.answers[row]
    at_ms = reference.event_time_ms(interaction, source, RULES)
    session = reference.in_session(profile, interaction.session_id, at_ms, RULES.session_gap_ms)
    keys = session["key"].tolist()
    assert query["session"][: query["session_length"]].tolist() == keys
    start, end = answers.exclude_starts[row : row + 2]
    assert answers.exclude[start:end].tolist() == keys
    assert query["recent"][: query["recent_length"]].tolist() == profile.recent["key"].tolist()
    assert query["recent_actions"][: query["recent_length"]].tolist() == profile.recent["action"].tolist()
    for labels, name in ((profile.categories, "categories"), (profile.brands, "brands")):
        length, shares = query[f"{name}_length"], query["category_shares" if name == "categories" else "brand_shares"]
        total = float(labels["weight"].sum())
        assert length == (len(labels) if total > 0 else 0)
        assert query[name][:length].tolist() == labels["key"].tolist()[:length]
        assert shares[:length].tolist() == pytest.approx((labels["weight"] / total).tolist()[:length], rel=1e-6)
    habits = reference.known(profile.habits, profile.updated_ms, RULES.habit_half_life_ms)
    number = query["habits_length"]
    assert query["habits"][:number].tolist() == habits.keys.tolist()
    for name, values in (
        ("weights", habits.weights),
        ("elapsed_days", habits.elapsed_days),
        ("interval_days", habits.interval_days),
    ):
        assert query[f"habit_{name}"][:number].tolist() == pytest.approx(values.tolist(), rel=1e-6)
    price = reference.price_habit(profile.prices)
    got = (float(query["price_mean"]), float(query["price_deviation"]))
    assert got == pytest.approx((np.nan, np.nan) if price is None else price, abs=1e-6, nan_ok=True)
    assert (query["k"], query["searching"]) == (LIST_SIZE, isinstance(interaction, Search))
    for place, vector in enumerate((profile.short_term, profile.long_term, vector_of_search(interaction))):
        assert_quantised(answers.vectors[row, place], answers.inverse_norms[row, place], vector)
    assert own["at_ms"] == at_ms
    assert own["weight"] == RULES.weights[interaction.type]
    earlier = reference.earlier_keys(profile, interaction.session_id, at_ms, RULES.session_gap_ms)
    assert query["earlier"][: query["earlier_length"]].tolist() == earlier
    led = [past.text for past in profile.queries if past.at_ms < at_ms <= past.at_ms + RULES.session_gap_ms][:1]
    assert one_text(own["led_query"], own["led_query_length"]) == "".join(led)
    last = profile.queries[0].text if profile.queries else ""
    assert one_text(own["last_query"], own["last_query_length"]) == last
    if not isinstance(interaction, Search):
        key = stable_key(interaction.item_id)
        others = [(then_ms, other) for then_ms, other, *_ in session.tolist() if other != key]
        shares, tied = shares_before(others, at_ms)
        length, end = own["before_length"], own["before_length"] + own["tied_length"]
        assert dict(zip(own["before"][:length].tolist(), own["before_shares"].tolist(), strict=False)) == pytest.approx(
            shares
        )
        assert own["before"][length:end].tolist() == tied
        is_old = len(session) > 0 and session["at_ms"][0] < profile.session_started_ms
        is_named = session_key(interaction.session_id) != 0
        started_ms = session["at_ms"][-1] if is_named and is_old else profile.session_started_ms
        assert own["session_started_ms"] == started_ms
        if len(session):
            assert own["session_at_ms"] == session["at_ms"][0]


def shares_before(others: Sequence[tuple[int, int]], at_ms: int) -> tuple[dict[int, float], list[int]]:
    """Return the shares of the items before an event, and the items of its time. Items of one time share steps."""
    shares: dict[int, float] = {}
    for _, group in groupby((each for each in others if each[0] < at_ms), key=lambda each: each[0]):
        keys, steps = [key for _, key in group], len(shares)
        if steps < WINDOW:
            total = sum(1 / step for step in range(steps + 1, min(steps + len(keys), WINDOW) + 1))
            shares |= dict.fromkeys(keys, total / len(keys))
    return shares, [key for then_ms, key in others if then_ms == at_ms]


def one_text(text: npt.NDArray[np.uint8], length: int) -> str:
    return texts_of(text[None], np.array([length], dtype=np.uint8))[0] or ""


def vector_of_search(interaction: Interaction) -> Vector | None:
    return vector_of(interaction) if isinstance(interaction, Search) else None


def assert_quantised(integers: Vector, inverse_norm: float, vector: Vector | None) -> None:
    """Assert that the integers quantise the vector's direction, up to ties in rounding."""
    unit = None if vector is None else reference.normalise(vector)
    if unit is None:
        assert not integers.any()
        assert inverse_norm == 0
    else:
        assert np.abs(integers.astype(int) - quantise(unit)).max() <= 1
        assert (integers == quantise(unit)).mean() > 0.8
        assert inverse_norm == inverse_norms(integers.astype(np.float32))


@given(interaction_histories(TIME_SPANS[2]), st.data())
def test_a_batch_equals_single_folds(history: list[SourcedInteraction], data: st.DataObject) -> None:
    stored: bytes | None = None
    rows = []
    for sourced in history:
        stored, answers = fold_batch(stored, [sourced], item_of=known_item)
        rows.append(row_of(answers, 0))
    together, answers = fold_batch(None, history, item_of=known_item)
    assert together == stored
    assert [row_of(answers, row) for row in range(len(history))] == rows
    cut = data.draw(st.integers(0, len(history)))
    first, _ = fold_batch(None, history[:cut], item_of=known_item)
    assert fold_batch(first, history[cut:], item_of=known_item)[0] == stored


def row_of(answers: AnswerBatch, row: int) -> tuple[bytes, ...]:
    """Return all outputs of a batch for one event."""
    start, end = answers.exclude_starts[row : row + 2]
    columns = (answers.queries, answers.vectors, answers.inverse_norms, answers.answers)
    return (*(column[row].tobytes() for column in columns), answers.exclude[start:end].tobytes())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=30))
def test_shoppers_of_one_batch_are_independent(picks: list[tuple[int, int]]) -> None:
    catalogue = OnDemandCatalogue(DIM, item_of)
    events = []
    for offset, (shopper, number) in enumerate(picks):
        catalogue.add(f"i{number}")
        action = act("purchase", f"i{number}", NOW_MS + offset, user_id=str(shopper))
        events.append(Event(action, Source("clicks", 0, offset, NOW_MS + offset), shopper, None))
    assert fold_events(events, 4, catalogue) == [
        fold_events([each._replace(shopper=0) for each in events if each.shopper == shopper], 1, catalogue)[0]
        for shopper in range(4)
    ]


def fold_events(events: Sequence[Event], shoppers: int, catalogue: OnDemandCatalogue) -> list[bytes]:
    profiles_of = Shoppers([None] * shoppers, DIM, SPACE)
    answers = AnswerBatch.empty(len(events), DIM)
    rules = rules_record(RULES, window=WINDOW, list_size=LIST_SIZE, faded=FADED)
    kernels.fold(profiles_of.arrays, pack_events(events, catalogue, DIM).batch, rules, answers, Scratch.empty(DIM))
    return profiles_of.stored()


@given(interaction_histories(TIME_SPANS[0]), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_profile_is_readable_after_any_timestamp_and_offset(
    history: list[SourcedInteraction], timestamp_ms: int, offset: int
) -> None:
    odd = [(interaction, Source("odd", 0, offset, timestamp_ms)) for interaction, _ in history]
    stored, _ = fold_batch(None, [*history, *odd, *history], item_of=known_item)
    assert codec.load(stored, DIM, SPACE) == stored


@given(st.binary(max_size=40), st.data())
def test_a_damaged_profile_that_is_read_can_be_folded(noise: bytes, data: st.DataObject) -> None:
    """A kernel never indexes outside its arrays, whatever damage the codec accepts."""
    history = data.draw(interaction_histories(TIME_SPANS[1], 8))
    stored = bytearray(fold_batch(None, history, item_of=known_item)[0])
    start = data.draw(st.integers(1, len(stored) - 1))
    stored[start : start + len(noise)] = noise[: len(stored) - start]
    try:
        shoppers = Shoppers([bytes(stored)], DIM, SPACE)
    except ProfileCodecError:
        return
    after, _ = fold_batch(shoppers.stored()[0], history[::-1], item_of=known_item)
    assert len(after) >= len(codec.load(None, DIM, SPACE))


def test_float16_conversions_equal_numpys() -> None:
    bits = np.arange(0x7C01, dtype=np.uint16)
    numbers = bits.view(np.float16).astype(np.float64)
    assert [from_half(int(each)) for each in bits] == numbers.tolist()
    between = (numbers[1:-1] + numbers[:-2]) / 2
    drawn = np.exp(np.random.default_rng(1).normal(size=2000) * 6)
    for number in (*numbers.tolist(), *between.tolist(), *np.nextafter(between, np.inf).tolist(), *drawn.tolist()):
        with np.errstate(over="ignore"):
            assert to_half(number) == np.float64(number).astype(np.float16).view(np.uint16)


def test_a_new_topic_replaces_the_longest_silent_one() -> None:
    history = [
        (act("view", f"i{number}", NOW_MS + number), Source(f"t{number}", 0, 7, NOW_MS + number)) for number in range(6)
    ]
    stored, _ = fold_batch(None, history)
    assert set(read(stored).positions) == {stable_key(f"t{number}") for number in range(2, 6)}
    again, answers = fold_batch(stored, [history[-1]])
    assert (again, answers.answers["outcome"].tolist()) == (stored, [REPLAYED])


def test_decay_changes_only_the_largest_component() -> None:
    stored, _ = fold_batch(None, [(act("view", "a"), Source("clicks", 0, 0, NOW_MS))])
    later_ms = NOW_MS + 10 * 86_400_000
    unknown = (act("view", "unknown", later_ms), Source("clicks", 0, 1, later_ms))
    before = Shoppers([stored], DIM, SPACE).arrays
    faded = Shoppers([fold_batch(stored, [unknown], item_of=lambda _: None)[0]], DIM, SPACE).arrays
    assert np.array_equal(faded.shares[0, 1], before.shares[0, 1])
    assert faded.records["largest"][0, 1] == pytest.approx(before.records["largest"][0, 1] * 2 ** (-1 / 3), rel=1e-6)
    assert (faded.records["largest"][0, 0], faded.shares[0, 0].any()) == (0, False)
