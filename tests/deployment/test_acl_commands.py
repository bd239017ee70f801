"""The commands of docs/operations.md give each user the rights of its KafkaUser."""

from __future__ import annotations

import subprocess
from argparse import ArgumentParser

from tests.deployment.compose import ROOT
from tests.deployment.kustomize import built

MAKES_TOPICS = "User:intentstream-topics"
"""Where Strimzi makes the topics, nobody else does."""
Right = tuple[str, str, str, str, str]
"""Principal, kind of resource, name, kind of pattern, operation."""


def commanded() -> set[Right]:
    """Run the page's commands, with a `kafka-acls.sh` that only says what it was given, a word a line."""
    page = (ROOT / "docs" / "operations.md").read_text()
    (commands,) = [block for block in page.split("```") if block.startswith("sh\nacl() {")]
    script = 'kafka-acls.sh() { printf "%s\\n" "$@" ""; }\n' + commands.removeprefix("sh\n")
    said = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True).stdout
    return {right for words in said.split("\n\n") if words.strip() for right in _given(words.split("\n"))}


def _given(words: list[str]) -> set[Right]:
    parser = ArgumentParser()
    for ignored in ("--bootstrap-server", "--command-config"):
        parser.add_argument(ignored)
    for flag in ("--add", "--cluster"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", required=True)
    parser.add_argument("--resource-pattern-type", default="literal")
    for kind in ("topic", "group"):
        parser.add_argument(f"--{kind}")
    given = parser.parse_args(words)
    resources = [(kind, name) for kind in ("topic", "group") if (name := getattr(given, kind))]
    resources += [("cluster", "")] if given.cluster else []
    pattern = given.resource_pattern_type.removesuffix("ed")
    return {(given.allow_principal, *resource, pattern, each) for resource in resources for each in given.operation}


def granted() -> set[Right]:
    return {
        (f"User:{user['metadata']['name']}", *_resource(acl["resource"]), operation)
        for user in built("prod").all("KafkaUser")
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }


def _resource(resource: dict[str, str]) -> tuple[str, str, str]:
    return resource["type"], resource["name"], resource.get("patternType", "literal")


def test_the_commands_give_what_the_manifests_give() -> None:
    assert {right for right in commanded() if right[0] != MAKES_TOPICS} == granted()


def test_whoever_makes_topics_can() -> None:
    rights = {(kind, operation) for principal, kind, _, _, operation in commanded() if principal == MAKES_TOPICS}
    assert rights >= {("cluster", "Create"), ("topic", "Describe"), ("topic", "DescribeConfigs")}
