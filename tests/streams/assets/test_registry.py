"""The static facts cover everything that the code declares: topics, tables, types, fields, sources, features."""

from __future__ import annotations

from typing import get_args

from inference.ranking.features import FEATURES
from inference.retrieval.sources import NAMES, SOURCES
from streams.asset_catalogue import topic_names
from streams.assets import registry
from streams.assets.building import TYPE_OF_TOPIC
from streams.assets.fields import FIELDS, ITEM, OPEN_FIELDS
from streams.assets.registry import FEATURE_INPUTS, FEEDS, SOURCE_INPUTS, TABLES, TOPICS, layer_of
from streams.assets.schemas import contract_fields
from streams.contracts.messages import Interaction
from streams.contracts.schema import MESSAGES
from streams.kafka import topics
from streams.settings import load_settings
from streams.settings_groups import Topics

SETTINGS = load_settings(env_file=None)


def test_every_declared_topic_and_table_has_its_facts() -> None:
    assert set(TOPICS) == set(Topics.aliases())
    assert set(TABLES) == set(topics.TABLES)
    assert set(topic_names(SETTINGS).values()) == {topic.name for topic in topics.declare(SETTINGS)}
    assert {name.replace("-", "_") for name in MESSAGES} <= set(TOPICS)


def test_every_source_and_feature_has_its_inputs() -> None:
    assert set(SOURCE_INPUTS) == set(NAMES)
    assert set(FEATURE_INPUTS) == set(FEATURES)
    learned = {"transitions": "topic/item_neighbours", "clicked": "topic/item_neighbours", "sessions": "topic/sessions"}
    for spec in SOURCES:
        inputs = SOURCE_INPUTS[spec.name]
        for what, topic in learned.items():
            assert (topic in inputs) == (spec.reads == what or (spec.reads in learned and learned[spec.reads] == topic))
        assert (registry.SEQUENCE_MODEL in inputs) == (spec.reads == "sequence")


def test_every_type_of_message_has_a_purpose_and_its_fields_are_those_of_the_contract() -> None:
    assert set(registry.EVENT_PURPOSES) == {*(str(kind.__struct_config__.tag) for kind in get_args(Interaction)), ITEM}
    assert set(registry.OPEN_PURPOSES) == set(OPEN_FIELDS.values())
    for topic, kind in TYPE_OF_TOPIC.items():
        contract = {field.name: field for field in contract_fields(TOPICS[topic])}
        for spec in FIELDS[kind]:
            assert contract[spec.name].required == spec.required
            assert (contract[spec.name].personal != "none") == spec.shopper
        assert OPEN_FIELDS[kind] in contract


def test_the_readers_of_topics_are_those_of_the_settings() -> None:
    known = SETTINGS.topics
    by_workers = {*known.consumed, *known.broadcast, known.asset_profiles}
    for name, spec in TOPICS.items():
        assert (registry.WORKERS in spec.consumers) == (getattr(known, name) in by_workers), name


def test_lineage_names_only_what_exists() -> None:
    nodes = {f"topic/{name}" for name in TOPICS} | {
        f"{kind}/{name}" for kind in ("table", "changelog") for name in TABLES
    }
    nodes |= {registry.MODEL, registry.LISTS, registry.ENCODER, registry.RANKER, registry.SEQUENCE_MODEL}
    named = {end for source, target, *_ in FEEDS for end in (source, target)}
    named |= {each for inputs in SOURCE_INPUTS.values() for each in inputs}
    assert named <= nodes
    assert {each for inputs in FEATURE_INPUTS.values() for each in inputs} <= nodes | {
        f"source/{name}" for name in NAMES
    }
    assert all(layer_of(node) >= 0 for node in nodes)
