"""Prometheus and its tools: from PATH, or from Debian's packages, unpacked into a cache."""

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
"""The Debian package of each program."""
DEBIAN_NAMES = {"alertmanager": "prometheus-alertmanager"}
"""Programs with another name in Debian."""
FILES, RELATIVE_FILES = b"/usr/share/prometheus/alertmanager", b"usr/share/prometheus/alertmanager/"
"""The template folder of Debian's Alertmanager, and a relative path of the same length."""
TIMEOUT_S = 300


def tool(name: str) -> Path:
    """Return the path of a program. If it is unavailable, fail in CI and skip elsewhere."""
    try:
        return found(name)
    except StreamsError as error:
        fail_or_skip(str(error))


def found(name: str) -> Path:
    """Return the path of prometheus, promtool, alertmanager or amtool. Raises StreamsError if it is unavailable.

    Alertmanager must run in the folder that contains `usr/bin`: parents[2] of its path.
    """
    package, names = PACKAGES[name], (name, DEBIAN_NAMES.get(name, name))
    for each in names:
        if path := shutil.which(each):
            return Path(path)
    try:
        return _unpacked(package) / "usr" / "bin" / names[-1]
    except (OSError, subprocess.SubprocessError) as error:
        cause = getattr(error, "stderr", None) or error
        required = f"{name} is not on PATH: install Debian's package {package}, or the program of the same project"
        raise StreamsError(f"{required}; the download failed: {cause}") from error


def _unpacked(package: str) -> Path:
    """Return the folder of an unpacked package. Download it on first use."""
    target = CACHE / package
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    # Unpack to a temporary folder first: an interrupted run must not look complete.
    with tempfile.TemporaryDirectory(dir=CACHE) as home:
        _download(package, Path(home))
        (archive,) = Path(home).glob(f"{package}_*.deb")
        content = Path(home, "content")
        _run("dpkg-deb", "-x", str(archive), str(content), home=Path(home))
        for program in content.glob("usr/bin/*alertmanager"):
            program.write_bytes(program.read_bytes().replace(FILES, RELATIVE_FILES))
        try:
            content.rename(target)
        except OSError:
            if not target.is_dir():  # else a concurrent run was faster
                raise
    return target


def _download(package: str, home: Path) -> None:
    """Download a package. If the machine's package lists are missing or old, download new ones."""
    # As root, apt would otherwise download as a user without write permission.
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
    subprocess.run(command, cwd=home, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
