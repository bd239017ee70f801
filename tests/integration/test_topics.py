from __future__ import annotations

import pytest

from streams.errors import ConfigurationError
from streams.kafka import topics
from streams.settings import Settings, load_settings
from tests.integration.commands import run
from tests.integration.conftest import isolated_settings


async def test_created_topics_pass_the_check(settings: Settings) -> None:
    created = await topics.create(settings)
    assert created == topics.Created(topics.declare(settings), ())
    checked = await topics.check(settings)
    assert checked.problems == checked.advice == ()
    assert checked.unchecked is None


async def test_creating_again_changes_nothing(settings: Settings) -> None:
    await topics.create(settings)
    assert await topics.create(settings) == topics.Created((), topics.declare(settings))


async def test_check_reports_missing_topics(settings: Settings) -> None:
    problems = (await topics.check(settings)).problems
    assert [problem.topic for problem in problems] == [topic.name for topic in topics.declare(settings)]
    assert "is missing" in problems[0].text


async def test_check_reports_wrong_topics_with_the_requirement(settings: Settings) -> None:
    await topics.create(settings)
    swapped = settings.replace(partitions=3, clicks_topic=settings.topics.items, items_topic=settings.topics.clicks)
    texts = {(problem.topic, problem.text) for problem in (await topics.check(swapped)).problems}
    assert (settings.topics.searches, "has 2 partitions, 3 are required") in texts
    assert (settings.topics.items, "has cleanup.policy=compact, delete is required") in texts
    assert (settings.topics.items, "has message.timestamp.type=CreateTime, LogAppendTime is required") in texts
    assert (settings.topics.clicks, "has cleanup.policy=delete, compact is required") in texts


@pytest.mark.kafka
async def test_check_advises_a_shorter_retention_and_a_worker_starts_all_the_same(
    kafka: str, request: pytest.FixtureRequest
) -> None:
    settings = isolated_settings(kafka, request.node.name)
    await topics.create(settings.replace(dead_letters_retention_days=30))
    checked = await topics.check(settings)
    assert checked.problems == ()
    assert [(each.topic, each.text) for each in checked.advice] == [
        (settings.topics.dead_letters, "keeps messages for 30 days, 14 days are advised")
    ]
    result = await run(settings, "topics", "check")
    assert result.exit_code == 0
    assert "keeps messages for 30 days, 14 days are advised" in result.stdout


async def test_an_error_about_an_unreachable_broker_has_its_address(unused_port: int) -> None:
    settings = load_settings({"bootstrap_servers": f"127.0.0.1:{unused_port}"}, env_file=None)
    with pytest.raises(
        ConfigurationError, match=rf"no connection to 127\.0\.0\.1:{unused_port} over PLAINTEXT: Unable connect"
    ):
        await topics.check(settings)


@pytest.mark.parametrize("command", ["create", "check"])
async def test_the_command_prints_a_line_for_each_topic(settings: Settings, command: str) -> None:
    result = await run(settings, "topics", command)
    assert result.exit_code == (0 if command == "create" else 1), result.output
    assert result.stdout.count("created" if command == "create" else "is missing") == len(topics.declare(settings))
