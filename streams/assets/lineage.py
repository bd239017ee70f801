"""The lineage: from producers over topics and tables to sources, features, the ranker and lists. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inference.manifest import Manifest
from inference.retrieval.sources import SOURCES
from streams.assets.inventory import Asset, Edge, Lineage, Node
from streams.assets.observed import Observed
from streams.assets.profile import Stream
from streams.assets.registry import (
    ENCODER,
    EVENT_PURPOSES,
    FEATURE_INPUTS,
    FEEDS,
    LISTS,
    MODEL,
    RANKER,
    SEQUENCE_MODEL,
    SOURCE_INPUTS,
    known_features,
    layer_of,
)

PARTS = {ENCODER: "Encoder", SEQUENCE_MODEL: "Sequence model", RANKER: "Ranker"}


def lineage_of(assets: Iterable[Asset], observed: Observed) -> Lineage:
    """Return the graph of assets, producers, sources, features and lists.

    The profiles of the streams name the producers. Without a manifest the ranker reads every feature.
    """
    manifest, serving = observed.manifest, observed.manifest or observed.absent
    model = MODEL if serving is None else f"model/{serving.name}/{serving.version}"
    titles = {each.id: each.name for each in assets}
    edges = [
        *_from_producers(observed.profiles, {full: name for name, full in observed.names.items()}),
        *(
            Edge(source=each.id, target=whole, label="is part of", kind="data")
            for each in assets
            if each.kind in ("event", "context", "attribute")
            for whole in each.part_of
        ),
        *(Edge(source=source, target=target, label=label, kind=kind) for source, target, label, kind in FEEDS),
        *_of_model(manifest, observed.sources),
    ]
    renamed = [
        Edge(
            source=model if each.source == MODEL else each.source,
            target=model if each.target == MODEL else each.target,
            label=each.label,
            kind=each.kind,
        )
        for each in edges
    ]
    reached = dict.fromkeys([*titles, *(end for each in renamed for end in (each.source, each.target))])
    titles |= {f"source/{each.name}": each.title for each in SOURCES} | {LISTS: "Lists", MODEL: "Model", **PARTS}
    nodes = [
        Node(
            id=each,
            kind=each.partition("/")[0],
            title=titles.get(each, each.partition("/")[2]),
            layer=layer_of(each),
            is_asset=any(asset.id == each for asset in assets),
        )
        for each in reached
    ]
    nodes.sort(key=lambda each: each.layer)
    return Lineage(nodes=tuple(nodes), edges=tuple(dict.fromkeys(renamed)))


def _from_producers(streams: Iterable[Stream], logical: Mapping[str, str]) -> Iterable[Edge]:
    for topic, kind, producer in sorted(streams):
        if kind in EVENT_PURPOSES:
            yield Edge(source=f"producer/{producer}", target=f"event/{kind}", label="sends", kind="data")
        elif topic in logical:
            yield Edge(
                source=f"producer/{producer}",
                target=f"topic/{logical[topic]}",
                label="sends refused messages",
                kind="data",
            )


def _of_model(manifest: Manifest | None, sources: tuple[str, ...]) -> Iterable[Edge]:
    """Return the edges from data over sources and features to the model and the lists."""
    features = known_features(tuple(FEATURE_INPUTS) if manifest is None else manifest.features)
    has_sequence = manifest is None or manifest.sequence is not None
    used = [name for name in sources if name != "sequence" or has_sequence]
    if has_sequence:
        yield Edge(source=MODEL, target=SEQUENCE_MODEL, label="contains", kind="data")
    for name in used:
        for read in SOURCE_INPUTS[name]:
            yield Edge(source=read, target=f"source/{name}", label="is read by", kind="data")
        yield Edge(source=f"source/{name}", target=LISTS, label="proposes items", kind="data")
    for name in features:
        inputs = [each for each in FEATURE_INPUTS[name] if not each.startswith("source/") or each[7:] in used]
        for read in inputs:
            yield Edge(source=read, target=f"feature/{name}", label="is computed from", kind="data")
        if inputs:
            yield Edge(source=f"feature/{name}", target=RANKER, label="is weighed by", kind="data")
