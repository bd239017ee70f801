"""A template process that has imported the program, and workers that are forked from it.

A worker that is started as a command needs 4 s of CPU time, 3 of them to import modules and to load kernels. A forked
worker skips these 3 s. It is a separate process, with its own environment, signals and files. A fork copies no threads,
because the template has none. Tests of SIGTERM, and tests that need a `sitecustomize`, start the command itself.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from streams.kernels import prepare

ROOT = Path(__file__).parents[2]
POLL_S = 0.01
MODULES = (
    "faust.transport.drivers.aiokafka",
    "streams.app",
    "streams.commands.worker",
    "streams.worker.endpoint",
    "streams.worker.faust.app",
    "uvicorn",
)
"""What `intentstream worker` imports."""


class ForkedWorker:
    """`intentstream worker` in a process that was forked from the template, with the interface of a `Popen`.

    Args:
        environment: all of its variables.
        home: its working directory.
        log: file to which its output is appended.
    """

    def __init__(self, environment: Mapping[str, str], home: Path, log: Path) -> None:
        self._ended = home / f"exit-code-{time.monotonic_ns()}"
        log.touch()
        start = {"environment": dict(environment), "home": str(home), "log": str(log), "ended": str(self._ended)}
        pipes = _template()
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        pipes.stdin.write(json.dumps(start) + "\n")
        pipes.stdin.flush()
        self.pid = int(pipes.stdout.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None if the process runs."""
        if self.returncode is None and self._ended.exists():
            self.returncode = int(self._ended.read_text())
        return self.returncode

    def wait(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        while (code := self.poll()) is None:
            time.sleep(POLL_S)  # the exit code appears as a file, which cannot be awaited
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process. No handler runs."""
        self.send_signal(signal.SIGKILL)


def command(environment: Mapping[str, str], home: Path, log: Path, name: str = "worker") -> subprocess.Popen[bytes]:
    """Start a command itself, with the arguments of `ForkedWorker`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-W", "default", "-m", "streams", name],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def modules() -> str:
    """Return the path of this source tree and the inherited ones, as PYTHONPATH."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


@cache
def _template() -> subprocess.Popen[str]:
    """Start the template. It ends with this process, and its workers with it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "default", "-m", "tests.integration.template"],
        env={**os.environ, "PYTHONPATH": modules()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)
    return process


def load() -> None:
    """Import what a worker imports, and load the kernels."""
    for module in MODULES:
        import_module(module)
    with TemporaryDirectory() as directory:
        prepare(Path(directory))
    # Faust asks for the module of each agent's frame. The first question reads the paths of all modules, for 0.1 s.
    inspect.getmodule(inspect.currentframe())
    # A worker collects garbage when it starts. Only what it makes itself has to be searched.
    gc.collect()
    gc.freeze()


def serve() -> dict[str, Any] | None:
    """Fork a process for each line of the input. Return what to start in the forked process, None at the end."""
    children: dict[int, Path] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        readable, _, _ = select.select([sys.stdin, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            while children and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                _write(children.pop(ended[0]), os.waitstatus_to_exitcode(ended[1]))
        if sys.stdin in readable:
            # Starts come one at a time, each after the answer to the last one.
            if not (line := sys.stdin.readline()):
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
                return None
            start: dict[str, Any] = json.loads(line)
            if pid := os.fork():
                children[pid] = Path(start["ended"])
                sys.stdout.write(f"{pid}\n")
                sys.stdout.flush()
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.close(woken)
            os.close(wake)
            return start


def _write(path: Path, code: int) -> None:
    """Write an exit code, all at once. A test that is over has deleted the folder."""
    if path.parent.exists():
        unready = path.with_suffix(".new")
        unready.write_text(str(code))
        unready.rename(path)


def run(start: dict[str, Any]) -> None:
    """Run the command in this forked process."""
    os.environ.clear()
    os.environ.update(start["environment"])
    os.chdir(start["home"])
    log = os.open(start["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    from streams.cli import main

    sys.argv = ["intentstream", "worker"]
    main()


if __name__ == "__main__":
    load()
    if (found := serve()) is not None:
        run(found)
