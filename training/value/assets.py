"""The assets of a shop, and for each of them the shop without it. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from inference.encoding.text import item_text
from inference.ranking.features import FEATURES
from inference.retrieval.columns import Columns
from inference.retrieval.sources import SOURCES
from inference.retrieval.word_index import FIELD_WEIGHTS
from inference.types import Item, stable_key
from streams.contracts.messages import Interaction, ItemAction, Search
from streams.items.live import LiveCatalogue
from streams.profiles.events import Event, Source, pack_events
from training.value.lists import FEATURE_GROUPS
from training.value.study import Part, Study
from training.value.variants import (
    ATTRIBUTES,
    COMPLETE,
    DAY_MS,
    FIELD_TITLES,
    FIELDS,
    Variant,
    context_keys,
    has_attribute,
    has_field,
    without_attributes,
    without_fields,
)

KINDS = {
    "sources": "source", "features": "feature", "types": "type", "producers": "producer", "fields": "field",
    "context": "context", "attributes": "attribute", "history": "history",
}  # fmt: skip
"""Kinds of assets, by their names for `--only`. `features` includes groups of features."""
TYPE_TITLES = {"search": "searches", "view": "views", "click": "clicks", "cart": "cart events", "purchase": "purchases"}
PERIODS = (0.0, 1.0, 7.0, 30.0, 90.0, 100_000.0)
"""Bounds of the periods of history, in days before the test period."""
MOST_PRODUCERS = 20
COMPARED = 2000
"""Events whose arrays are compared to find out whether a field is read."""
State = Literal["measured", "absent", "not read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An asset; see `report.AssetValue`.

    `variant` is the shop without it. For a source or feature, `ranking` names the lists without it instead.
    """

    kind: str
    name: str
    title: str
    state: State = "measured"
    size: int | None = None
    days: float | None = None
    variant: Variant = COMPLETE
    ranking: str = ""


def assets_of(study: Study, part: Part, kinds: Sequence[str]) -> list[Asset]:
    """Return the assets of these KINDS, in their order."""
    makers: dict[str, Callable[[], Iterator[Asset]]] = {
        "sources": lambda: sources(study),
        "features": features,
        "types": lambda: types(part),
        "producers": lambda: producers(part),
        "fields": lambda: event_fields(study, part),
        "context": lambda: contexts(study, part),
        "attributes": lambda: attributes(study),
        "history": lambda: history(part),
    }
    return [asset for kind in KINDS if kind in kinds for asset in makers[kind]()]


def sources(study: Study) -> Iterator[Asset]:
    """Yield the sources that the settings and the model have."""
    for source in SOURCES:
        is_there = source.reads != "sequence" or study.bundle.sequence is not None
        if source.name in study.settings.retrieval.sources and is_there:
            yield Asset(kind="source", name=source.name, title=source.title, ranking=f"source:{source.name}")


def features() -> Iterator[Asset]:
    """Yield the groups of features behind each kind of reason, and each feature."""
    for name, members in FEATURE_GROUPS.items():
        yield Asset(kind="group", name=name, title=", ".join(members), ranking=f"group:{name}")
    for name in FEATURES:
        yield Asset(kind="feature", name=name, title=name, ranking=f"feature:{name}")


def types(part: Part) -> Iterator[Asset]:
    """Yield the types of events. Events that a shop does not collect still count as targets."""
    for name, title in TYPE_TITLES.items():
        size = sum(each.type == name for each in part.log.interactions)
        state: State = "measured" if size else "absent"
        yield Asset(
            kind="type", name=name, title=title, state=state, size=size, variant=Variant(types=frozenset({name}))
        )


def producers(part: Part) -> Iterator[Asset]:
    """Yield the producers of the most events, if there are several. Events without one still count as targets."""
    counts = Counter(part.producers)
    if len(counts) > 1:
        for name, size in counts.most_common(MOST_PRODUCERS):
            variant = Variant(producers=frozenset({name}))
            yield Asset(kind="producer", name=name, title=f"events of {name}", size=size, variant=variant)


def event_fields(study: Study, part: Part) -> Iterator[Asset]:
    """Yield the fields of events."""
    for name in FIELDS:
        variant = Variant(fields=frozenset({name}))
        # A field counts as present if removing it would change the event.
        having = [each for each in part.log.interactions if FIELDS[name](each, 0)]
        yield Asset(kind="field", name=name, title=FIELD_TITLES[name], state=_state(study, having, variant),
                    size=len(having), variant=variant)  # fmt: skip


def contexts(study: Study, part: Part) -> Iterator[Asset]:
    """Yield the keys of the events' context."""
    for key in context_keys(part.log.interactions):
        variant = Variant(context=frozenset({key}))
        having = [each for each in part.log.interactions if key in each.context]
        yield Asset(kind="context", name=key, title=key, state=_state(study, having, variant), size=len(having),
                    variant=variant)  # fmt: skip


def attributes(study: Study) -> Iterator[Asset]:
    """Yield the attributes of items."""
    for name in ATTRIBUTES:
        having = [item for item in study.items if getattr(item, name) != ATTRIBUTES[name]]
        state: State = "absent"
        if having:
            state = "measured" if is_attribute_read(having, name) else "not read"
        yield Asset(kind="attribute", name=name, title=name.replace("_", " "), state=state, size=len(having),
                    variant=Variant(attributes=frozenset({name})))  # fmt: skip


def history(part: Part) -> Iterator[Asset]:
    """Yield the periods before the test period that have events."""
    age_days = (part.log.at_ms[part.start] - part.log.at_ms[: part.start]) / DAY_MS
    for newest, oldest in pairwise(PERIODS):
        # The first period includes the events at the very start of the test period.
        lowest = newest or -1.0
        inside = (age_days > lowest) & (age_days <= oldest)
        if not inside.any():
            continue
        end = min(oldest, float(age_days.max()))
        name = f"{newest:g}-{end:.3g}"
        title = f"{newest:g} to {end:.3g} days before the test"
        yield Asset(kind="history", name=name, title=title, size=int(inside.sum()),
                    days=end - newest, variant=Variant(ages=frozenset({(lowest, oldest)})))  # fmt: skip


def _state(study: Study, having: Sequence[Interaction], variant: Variant) -> State:
    if not having:
        return "absent"
    return "measured" if is_field_read(study, having[:COMPARED], variant) else "not read"


def is_field_read(study: Study, having: Sequence[Interaction], variant: Variant) -> bool:
    """Return whether the arrays that the system reads from events are others without the fields of a variant.

    A field that changes no array cannot change a list.
    """
    before, after = (_packed(study, each) for each in (having, [without_fields(e, variant, 0) for e in having]))
    return before != after


def _packed(study: Study, interactions: Sequence[Interaction]) -> tuple[bytes, list[str | None]]:
    live = LiveCatalogue(study.bundle.vector_space, study.bundle.dim)
    known = {each.item_id for each in interactions if isinstance(each, ItemAction)}
    for record in study.records():
        if record.item.item_id in known:
            live.apply(record.item.item_id, record)
    vector = np.zeros(study.bundle.dim, dtype=np.float32)
    source = Source("events", 0, 0, 0)
    events = [Event(each, source, 0, vector if isinstance(each, Search) else None) for each in interactions]
    # `pack_events` makes all that the kernels read of events: two equal packs give equal lists, whatever else differs.
    packed = pack_events(events, live, study.bundle.dim)
    return packed.batch.events.tobytes(), packed.texts


def is_attribute_read(having: Sequence[Item], name: str) -> bool:
    """Return whether the words, texts or columns that the system keeps of items are others without an attribute."""
    if name in FIELD_WEIGHTS:
        return True
    some = having[:COMPARED]
    return _catalogued(some) != _catalogued(without_attributes(some, frozenset({name})))


def _catalogued(items: Sequence[Item]) -> tuple[list[bytes], list[str]]:
    # The vectors are stored in blocks of 64 rows. The vector does not matter here, so it has one number.
    columns = Columns.empty(-(-len(items) // 64) * 64, 1)
    vector = np.zeros(1, dtype=np.int8)
    for row, item in enumerate(items):
        columns.fill(row, stable_key(item.item_id), item, vector)
    return [column.tobytes() for column in columns], [item_text(item) for item in items]


def groups(study: Study, part: Part) -> Mapping[str, tuple[str, Variant]]:
    """Return the groups of assets whose Shapley values are estimated: the title of each, and the shop without it.

    They are event types, texts, labels, prices, the shopper's id, and the older half of the history, as far as the log
    has them. `old history` is the older half of the time before the test period.
    """
    found = {
        name: (title, Variant(types=frozenset({name}))) for name, title in TYPE_TITLES.items() if name in part.types
    }
    texts = frozenset({"title", "description"})
    found["texts"] = "titles and descriptions", Variant(attributes=texts)
    labels = frozenset(name for name in ("category", "brand") if has_attribute(study.items, name))
    if labels:
        found["labels"] = " and ".join(sorted(labels)), Variant(attributes=labels)
    if has_attribute(study.items, "price") or has_field(part.log.interactions, "price"):
        found["prices"] = "prices", Variant(attributes=frozenset({"price"}), fields=frozenset({"price"}))
    found["shopper ids"] = "shoppers recognised across sessions", Variant(fields=frozenset({"user_id"}))
    before_ms = part.log.at_ms[part.start] - part.log.at_ms[0]
    half_days = float(before_ms) / 2 / DAY_MS
    if half_days > 0:
        title = f"history older than {half_days:.1f} days before the test"
        found["old history"] = title, Variant(ages=frozenset({(half_days, PERIODS[-1])}))
    return found


def described(asset: Asset) -> dict[str, object]:
    """Return the fields of an asset that its value repeats."""
    names = ("kind", "name", "title", "state", "size", "days")
    return {name: getattr(asset, name) for name in names}
