"""The Compose file as `docker compose config` resolves it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
PROFILES = ("demo", "gpu", "learn")
Service = Mapping[str, Any]


def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Compose on the shipped file, without this machine's environment."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [str(COMPOSE), "--env-file", os.devnull, "--file", str(ROOT / "docker-compose.yml"), *arguments]
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)


def configuration(*profiles: str) -> Mapping[str, Any]:
    """Return the resolved file with these profiles."""
    options = [option for profile in profiles for option in ("--profile", profile)]
    done = compose(*options, "config", "--no-env-resolution", "--format", "json")
    if done.returncode:
        raise AssertionError(done.stderr)
    model: Mapping[str, Any] = json.loads(done.stdout)
    return model


SERVICES: dict[str, Service] = dict(configuration(*PROFILES)["services"])
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("intentstream:")}
WORKERS = {name: service for name, service in OURS.items() if not service["command"]}
