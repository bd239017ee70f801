"""Prometheus and its tools for the tests: those of the machine, or Debian's packages, unpacked into a cache."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from streams.errors import StreamsError
from tests.requirements import fail_or_skip

CACHE = Path(__file__).parents[2] / "build" / "tools"
PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
"""Debian's package of each tool."""
DEBIAN_NAMES = {"alertmanager": "prometheus-alertmanager"}
"""What Debian calls a program that has another name upstream."""
FILES, FILES_HERE = b"/usr/share/prometheus/alertmanager", b"usr/share/prometheus/alertmanager/"
"""Where Debian's Alertmanager looks for its templates, and the same, as long, from the folder that it runs in."""
PATIENCE_S = 300


def tool(name: str) -> Path:
    """Return the path of a program. Where it cannot be had: a failure in CI, a skip with the reason elsewhere."""
    try:
        return found(name)
    except StreamsError as error:
        fail_or_skip(str(error))


def found(name: str) -> Path:
    """Return the path of prometheus, promtool, alertmanager or amtool; raises StreamsError where there is none.

    Alertmanager is to run in the folder that holds `usr/bin`: parents[2] of its path.
    """
    package, names = PACKAGES[name], (name, DEBIAN_NAMES.get(name, name))
    for each in names:
        if path := shutil.which(each):
            return Path(path)
    try:
        return _unpacked(package) / "usr" / "bin" / names[-1]
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        wanted = f"{name} is not on PATH: install Debian's package {package}, or the program of the same project"
        raise StreamsError(f"{wanted}; to fetch it here did not work: {said}") from error


def _unpacked(package: str) -> Path:
    """Return the folder that a package was unpacked to, now or in an earlier run."""
    target = CACHE / package
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    # Into a folder beside it first: an interrupted unpacking must not look like a whole one.
    with tempfile.TemporaryDirectory(dir=CACHE) as home:
        _download(package, Path(home))
        (archive,) = Path(home).glob(f"{package}_*.deb")
        content = Path(home, "content")
        _run("dpkg-deb", "-x", str(archive), str(content), home=Path(home))
        for program in content.glob("usr/bin/*alertmanager"):
            program.write_bytes(program.read_bytes().replace(FILES, FILES_HERE))
        try:
            content.rename(target)
        except OSError:
            if not target.is_dir():  # else another run was faster
                raise
    return target


def _download(package: str, home: Path) -> None:
    """Download a package, with lists of its own where the machine's are missing or too old."""
    # As root, apt would hand the work to a user who may not write here.
    download = ("apt-get", "-q", "-o", "APT::Sandbox::User=root")
    try:
        _run(*download, "download", package, home=home)
    except subprocess.CalledProcessError:
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (home / folder).mkdir(parents=True)
        own = ("-o", f"Dir::State={home / 'state'}", "-o", f"Dir::Cache={home / 'cache'}")
        _run(*download, *own, "update", home=home)
        _run(*download, *own, "download", package, home=home)


def _run(*command: str, home: Path) -> None:
    subprocess.run(command, cwd=home, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
