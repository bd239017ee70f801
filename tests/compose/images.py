"""The images for the test of Compose: ours from the shipped Dockerfile, and stand-ins for the others.

Debian's packages, Kafka's jars and the wheels come from their registries and are cached. A build fetches nothing else.
Needs root, mmdebstrap, buildah and Maven.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deployment.compose import OURS, ROOT
from tests.integration.brokers import jars

HERE = Path(__file__).parent / "stand_ins"
PACKAGES = {
    "python": ("bookworm", "python3,python3-venv"),
    "kafka": ("bookworm", "openjdk-17-jre-headless,netcat-openbsd"),
    "prometheus": ("trixie", "prometheus,prometheus-alertmanager,wget"),
}
"""The Debian release and the packages of each base. Python has the version of the shipped image."""
STAND_INS = {"kafka": "kafka", "prometheus": "prometheus", "alertmanager": "prometheus"}
TARGETS = {service["image"]: service["build"]["target"] for name, service in OURS.items() if name != "worker-gpu"}


@dataclass(frozen=True, slots=True)
class Images:
    """Builds images in `home`, which is temporary, from files in `cache`, which is kept."""

    home: Path
    cache: Path

    def build(self) -> list[Path]:
        """Build all images and return their archives, for `docker load`."""
        self.cache.mkdir(parents=True, exist_ok=True)
        for name, (release, packages) in PACKAGES.items():
            self._base(name, release, packages)
        archives = [self._stand_in(name, base) for name, base in STAND_INS.items()]
        wheels = self._wheels()
        return [*archives, *(self._ours(tag, target, wheels) for tag, target in TARGETS.items())]

    def _base(self, name: str, release: str, packages: str) -> None:
        rootfs = self.cache / f"{release}-{name}.tar"
        if not rootfs.exists():
            part = rootfs.with_suffix(".part.tar")
            call("mmdebstrap", "--variant=minbase", f"--include={packages}", release, str(part))
            part.rename(rootfs)
        recipe = ("--file", str(HERE / "base.Dockerfile"), "--build-arg", f"ROOTFS={rootfs.name}")
        self._buildah("build", *recipe, "--tag", f"{name}-base", str(self.cache))

    def _stand_in(self, name: str, base: str) -> Path:
        context = self.home / name
        shutil.copytree(HERE, context)
        if name == "kafka":
            shutil.copytree(jars(), context / "jars")
        tag = f"intentstream-test/{name}:1"
        self._buildah("build", "--file", str(HERE / f"{name}.Dockerfile"), "--tag", tag, str(context))
        return self._archive(tag)

    def _ours(self, tag: str, target: str, wheels: Path) -> Path:
        """Build a target of the shipped Dockerfile. A mounted pip.conf points to the wheels."""
        settings = self.home / "pip.conf"
        settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        mounts = ("--volume", f"{wheels}:/wheels:ro", "--volume", f"{settings}:/etc/pip.conf:ro")
        base = ("--build-arg", "PYTHON_IMAGE=python-base")
        self._buildah("build", *mounts, *base, "--layers", "--target", target, "--tag", tag, str(ROOT))
        return self._archive(tag)

    def _wheels(self) -> Path:
        wheels = self.cache / "wheels"
        for lock in ("build", "demo"):  # the demo's lock includes that of cpu
            file = ROOT / "requirements" / f"{lock}.lock"
            download = ["download", "--quiet", "--require-hashes", "--requirement", str(file), "--dest", str(wheels)]
            call(sys.executable, "-m", "pip", *download)
        return wheels

    def _archive(self, tag: str) -> Path:
        archive = self.home / f"{tag.replace('/', '-').replace(':', '-')}.tar"
        self._buildah("push", "--quiet", tag, f"docker-archive:{archive}:{tag}")
        return archive

    def _buildah(self, action: str, *arguments: str) -> None:
        # Docker's image format, because OCI's has no HEALTHCHECK.
        own = {"BUILDAH_ISOLATION": "chroot", "BUILDAH_FORMAT": "docker", "TMPDIR": str(self.home)}
        storage = ["--root", str(self.home / "storage"), "--runroot", str(self.home / "run")]
        # In its own mount namespace, which removes its mounts at the end.
        call("unshare", "--mount", "buildah", *storage, action, *arguments, environment={**os.environ, **own})


def call(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a tool. Fails with its output."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-8000:])
