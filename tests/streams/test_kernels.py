"""Every kernel is compiled before a worker joins its group."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

LIST_MODULES = "import sys; from importlib import import_module; from streams.kernels import MODULES\n" + (
    "[import_module(each) for each in MODULES]; print(*sys.modules)"
)

REPLAY_KERNELS = {"streams.behaviour.array_kernels"}
"""Kernels that only a replay calls: `streams.replay` imports them, and compiles them with the others."""


def test_the_compiled_modules_include_every_kernel_of_a_worker() -> None:
    kernel_modules = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for package in ("inference", "streams")
        for file in (ROOT / package).rglob("*.py")
        if re.search(r"^@kernel\(", file.read_text(), re.MULTILINE)
    }
    printed = subprocess.run([sys.executable, "-c", LIST_MODULES], check=True, capture_output=True, text=True, cwd=ROOT)
    assert len(kernel_modules) > 10
    assert kernel_modules - set(printed.stdout.split()) == REPLAY_KERNELS
