"""Look up the locked packages of the images in PyPI's advisories: `python requirements/audit.py`.

It fails for a known advisory only. Without a network, or with an index that has no advisories, it says that the audit
is skipped, and succeeds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCKS = ("cpu.lock", "gpu.lock", "learn.lock")
"""The locks of everything that a worker and the learning loop run."""
TIMEOUT_S = 300


def run(locks: Sequence[str] = LOCKS) -> tuple[str, str]:
    """Run pip-audit on locks. Return its report as JSON, empty if there is none, and its last line of messages."""
    files = [argument for lock in locks for argument in ("--requirement", str(HERE / lock))]
    # The locks name every package, so nothing is resolved or installed.
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format=json", *files]
    try:
        done = subprocess.run(  # noqa: S603
            [*command, "--progress-spinner=off", "--timeout=10"],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {TIMEOUT_S} s"
    return done.stdout, (done.stderr.strip().splitlines() or ["no report"])[-1]


def verdict(report: str, message: str) -> tuple[int, str]:
    """Return the exit code, and the text to print, for a report of pip-audit and its last message."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 0, f"audit skipped: no advisories could be read ({message})"
    found = [
        f"{package['name']} {package['version']}: {advisory['id']}, "
        + (f"fixed in {', '.join(advisory['fix_versions'])}" if advisory["fix_versions"] else "not fixed yet")
        for package in packages
        for advisory in package.get("vulns", ())
    ]
    audited = sum("vulns" in package for package in packages)
    if found:
        return 1, "\n".join(["locked packages have advisories; update them with `make lock`:", *sorted(set(found))])
    if not audited:
        return 0, f"audit skipped: the package index has no advisories for any of {len(packages)} packages"
    unknown = len(packages) - audited
    return 0, f"audit: no advisory for {audited} packages" + (f"; {unknown} could not be looked up" if unknown else "")


def main() -> int:
    """Audit the locks, print the result, and return the exit code."""
    code, text = verdict(*run())
    sys.stdout.write(f"{text}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
