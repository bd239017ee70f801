"""A Docker engine with its own network, mounts and data, all removed at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.deployment.compose import COMPOSE

TIMEOUT_S = 60


class Engine:
    """`with Engine(home) as engine: ...`. Needs root and Debian's docker.io.

    Published ports are on the loopback of the engine's network, which only `request` can reach.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._socket = home / "docker.sock"
        self._log = home / "dockerd.log"
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self._socket}"}

    def __enter__(self) -> Self:
        daemon = ["dockerd", "--host", f"unix://{self._socket}", "--data-root", str(self._home / "data")]
        daemon += ["--exec-root", str(self._home / "exec"), "--pidfile", str(self._home / "docker.pid")]
        start = f"ip link set lo up && exec {' '.join(daemon)}"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "--mount", "sh", "-c", start], stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while subprocess.run(["docker", "version"], env=self.environment, capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the engine does not answer:\n{self._log.read_text()[-4000:]}")
            time.sleep(0.1)  # polling, because the engine sends no notification

    def _stop(self) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT_S)

    def docker(self, *arguments: str) -> str:
        """Run a command of the Docker client and return its output."""
        return run(["docker", *arguments], self.environment)

    def request(self, port: int, path: str, **headers: str) -> Any:
        """Return the answer of an HTTP API at a published port."""
        asked = f"Request('http://127.0.0.1:{port}{path}', headers={headers!r})"
        program = f"from urllib.request import Request, urlopen; print(urlopen({asked}).read().decode())"
        namespace = f"--net=/proc/{self._process.pid}/ns/net"
        return json.loads(run(["nsenter", namespace, sys.executable, "-c", program], self.environment))


class Project:
    """The shipped Compose file on an engine, with overrides."""

    def __init__(self, engine: Engine, *files: Path) -> None:
        self._engine = engine
        self._command = [str(COMPOSE), "--env-file", os.devnull]
        self._command += [part for file in files for part in ("--file", str(file))]

    def compose(self, *arguments: str, given: str = "", profile: str = "") -> str:
        """Run Compose with `given` as its standard input, and return its output."""
        chosen = ["--profile", profile] if profile else []
        return run([*self._command, *chosen, *arguments], self._engine.environment, given)

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's containers."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, container: str, field: str) -> str:
        """Return a field of `docker inspect`, such as .State.Health.Status."""
        return self._engine.docker("inspect", "--format", f"{{{{{field}}}}}", container).strip()


def run(command: list[str], environment: Mapping[str, str], given: str = "") -> str:
    """Run a command and return its output. Fails with the output if the command fails."""
    done = subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-8000:])
    return done.stdout
