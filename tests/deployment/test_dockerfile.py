"""The Dockerfile agrees with the code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from streams.settings import SETTINGS
from streams.settings_groups import PREFIX
from tests.deployment.compose import ROOT

FINAL = ("runtime", "gpu")
PIN = re.compile(r"^([A-Za-z0-9_.-]+==\S+)", re.MULTILINE)


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage. Those before the first stage have the name ""."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found: dict[str, list[tuple[str, str]]] = {"": []}
    for line in lines:
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            found[arguments.rpartition(" AS ")[2]] = []
        list(found.values())[-1].append((instruction, arguments))
    return found


STAGES = stages()


def only(stage: str, instruction: str) -> str:
    (arguments,) = [arguments for name, arguments in STAGES[stage] if name == instruction]
    return arguments


def environment(stage: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for name, pairs in STAGES[stage] if name == "ENV" for pair in pairs.split())


def test_hadolint_has_no_findings() -> None:
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_base_images_are_arguments_with_a_version() -> None:
    bases = {arguments.partition(" ")[0] for stage in STAGES.values() for name, arguments in stage if name == "FROM"}
    outside = bases - STAGES.keys()
    defaults = dict(arguments.split("=") for name, arguments in STAGES[""] if name == "ARG")
    assert outside == {f"${{{name}}}" for name in defaults}
    assert all(re.search(r":\d+\.\d+\.\d+-", image) for image in defaults.values())


def test_the_default_target_is_the_cpu_image() -> None:
    assert list(STAGES)[-1] == "cpu"
    assert STAGES["cpu"] == [("FROM", "runtime AS cpu")]


@pytest.mark.parametrize("stage", FINAL)
def test_an_image_runs_one_process_as_an_unprivileged_user(stage: str) -> None:
    assert json.loads(only(stage, "ENTRYPOINT")) == ["intentstream"]
    assert json.loads(only(stage, "CMD")) == ["worker"]
    assert only(stage, "STOPSIGNAL") == "SIGTERM"
    user, _, group = only(stage, "USER").partition(":")
    assert user == group
    assert int(user) >= 10_000
    assert f"--uid {user}" in only(stage, "RUN")


@pytest.mark.parametrize("stage", FINAL)
def test_an_image_has_a_health_check(stage: str) -> None:
    options, _, command = only(stage, "HEALTHCHECK").partition(" CMD ")
    # The first start compiles the kernels: 30 s to 3 minutes.
    assert "--start-period=300s" in options.split()
    assert json.loads(command) == ["python", "/opt/intentstream/healthcheck.py"]
    assert ("COPY", "docker/healthcheck.py /opt/intentstream/") in STAGES[stage]


@pytest.mark.parametrize("stage", FINAL)
def test_the_settings_of_an_image_are_valid_and_match_its_content(stage: str) -> None:
    given = {name for name in environment(stage) if name.startswith(PREFIX)}
    assert {name.removeprefix(PREFIX).lower() for name in given} <= SETTINGS.keys()
    assert environment(stage)[f"{PREFIX}DATA_DIR"] == only(stage, "VOLUME")
    assert f"{PREFIX}METRICS_HOST" not in given, "the default is loopback"
    models = SETTINGS["model_dir"].default
    assert ("COPY", f"exported_models {only(stage, 'WORKDIR')}/{models}") in STAGES[stage]


def test_the_images_differ_only_in_the_device() -> None:
    def instructions(stage: str) -> list[tuple[str, str]]:
        return [(name, arguments) for name, arguments in STAGES[stage] if name not in {"FROM", "LABEL"}]

    for name, arguments in [*instructions("gpu"), *instructions("runtime")]:
        if name == "COPY" and "--from" in arguments:
            assert re.fullmatch(r"--from=[cg]pu-venv /opt/venv /opt/venv", arguments)
    gpu_setting = f" {PREFIX}EXECUTION_PROVIDERS=CUDAExecutionProvider,CPUExecutionProvider"
    gpu = [
        (name, arguments.replace("gpu-venv", "cpu-venv").replace(gpu_setting, ""))
        for name, arguments in instructions("gpu")
    ]
    assert gpu == instructions("runtime")


def test_labels_agree_with_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for stage in FINAL:
        label = only(stage, "LABEL")
        assert ("ARG", f"VERSION={project['version']}") in STAGES[stage]
        assert f'image.licenses="{project["license"]}"' in label
        assert 'image.version="${VERSION}"' in label


def test_copied_files_are_not_ignored() -> None:
    included = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = [a for stage in STAGES.values() for name, a in stage if name == "COPY" and "--from" not in a]
    for copy in copies:
        for source in copy.split()[:-1]:
            assert (ROOT / source).exists()
            assert any(fnmatch(source, pattern) for pattern in included)


@pytest.mark.parametrize("lock", ["build", "cpu", "demo", "gpu", "learn"])
def test_the_locked_versions_are_those_of_the_tests(lock: str) -> None:
    pins, tested = (set(PIN.findall((ROOT / "requirements" / f"{name}.lock").read_text())) for name in (lock, "dev"))
    assert pins
    assert {pin.partition("==")[0] for pin in pins - tested} <= {"onnxruntime-gpu"}


def test_packages_are_installed_with_hashes() -> None:
    installs = [a for stage in STAGES.values() for name, a in stage if name == "RUN" and "pip install" in a]
    assert installs
    assert all("--require-hashes" in a or "--no-index" in a for a in installs)
