"""Execution providers: the choice of the hardware that runs the graphs, with warnings if it is not the wanted one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from importlib import metadata

from inference.errors import ProviderError

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")


def installed_distributions() -> tuple[str, ...]:
    """Return the distributions of ONNX Runtime in this environment."""
    return tuple(name for name in _DISTRIBUTIONS if _is_installed(name))


def check_distributions(installed: Collection[str]) -> None:
    """Require exactly one distribution of ONNX Runtime.

    Raises:
        ProviderError: none is installed, or both, which write to the same folder and break each other. The text has
            the command that fixes it.
    """
    if not installed:
        raise ProviderError(
            "ONNX Runtime is not installed: `pip install 'intentstream[cpu]'`, or `pip install 'intentstream[gpu]'` "
            "on a machine with an NVIDIA GPU"
        )
    if len(installed) > 1:
        raise ProviderError(
            f"{' and '.join(sorted(installed))} are installed together and overwrite each other's files: "
            f"`pip uninstall --yes {' '.join(sorted(installed))}`, then `pip install 'intentstream[cpu]'` "
            "or `pip install 'intentstream[gpu]'`"
        )


def choose_providers(wanted: Sequence[str], available: Collection[str]) -> tuple[str, ...]:
    """Return the wanted providers that this ONNX Runtime has, in their order, with the CPU as the last one."""
    for name in wanted:
        if name not in available:
            logger.warning(
                "Execution provider %s is wanted, but this ONNX Runtime has only %s: the next wanted one is used",
                name,
                ", ".join(available),
            )
    chosen = [name for name in dict.fromkeys(wanted) if name in available]
    return tuple(chosen if CPU in chosen else [*chosen, CPU])


def confirm_provider(requested: Sequence[str], active: Sequence[str]) -> str:
    """Return the provider that a session runs on, and warn if it is not the first one that was requested.

    ONNX Runtime lists CUDA even on a machine without a GPU, and then opens the session on the CPU without a warning.
    """
    in_use = active[0]
    if in_use != requested[0]:
        logger.warning(
            "Execution provider %s was requested, but the session runs on %s: everything works, but slower. "
            "Check that the machine has a GPU and that its driver matches",
            requested[0],
            in_use,
        )
    return in_use


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
