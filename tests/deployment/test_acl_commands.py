"""The ACL commands of docs/operations.md grant each user the rights of its KafkaUser."""

from __future__ import annotations

import subprocess
from argparse import ArgumentParser

from tests.deployment.compose import ROOT
from tests.deployment.kustomize import build

TOPIC_CREATOR = "User:intentstream-topics"
"""With Strimzi, no user creates topics."""
Right = tuple[str, str, str, str, str]
"""Principal, kind of resource, name, kind of pattern, operation."""


def rights_of_the_commands() -> set[Right]:
    """Run the page's commands with a `kafka-acls.sh` that prints its arguments, one a line."""
    page = (ROOT / "docs" / "operations.md").read_text()
    (commands,) = [block for block in page.split("```") if block.startswith("sh\nacl() {")]
    script = 'kafka-acls.sh() { printf "%s\\n" "$@" ""; }\n' + commands.removeprefix("sh\n")
    printed = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True).stdout
    return {right for words in printed.split("\n\n") if words.strip() for right in _parse(words.split("\n"))}


def _parse(words: list[str]) -> set[Right]:
    parser = ArgumentParser()
    for ignored in ("--bootstrap-server", "--command-config"):
        parser.add_argument(ignored)
    for flag in ("--add", "--cluster"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", required=True)
    parser.add_argument("--resource-pattern-type", default="literal")
    kinds = {"topic": "topic", "group": "group", "transactional-id": "transactionalId"}
    for option, kind in kinds.items():
        parser.add_argument(f"--{option}", dest=kind)
    given = parser.parse_args(words)
    resources = [(kind, name) for kind in kinds.values() if (name := getattr(given, kind))]
    resources += [("cluster", "")] if given.cluster else []
    pattern = given.resource_pattern_type.removesuffix("ed")
    return {(given.allow_principal, *resource, pattern, each) for resource in resources for each in given.operation}


def rights_of_the_manifests() -> set[Right]:
    return {
        (f"User:{user['metadata']['name']}", *_resource(acl["resource"]), operation)
        for user in build("prod").all("KafkaUser")
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }


def _resource(resource: dict[str, str]) -> tuple[str, str, str]:
    return resource["type"], resource["name"], resource.get("patternType", "literal")


def test_the_commands_grant_the_rights_of_the_manifests() -> None:
    assert {right for right in rights_of_the_commands() if right[0] != TOPIC_CREATOR} == rights_of_the_manifests()


def test_the_topic_creator_can_create_topics() -> None:
    rights = {
        (kind, operation) for principal, kind, _, _, operation in rights_of_the_commands() if principal == TOPIC_CREATOR
    }
    assert rights >= {("cluster", "Create"), ("topic", "Describe"), ("topic", "DescribeConfigs")}
