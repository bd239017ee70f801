"""Execution providers: one distribution, the requested order, and a warning if another provider is in use."""

from __future__ import annotations

import logging

import pytest

from inference.encoding.providers import (
    CPU,
    CUDA,
    check_distributions,
    choose_providers,
    confirm_provider,
    installed_distributions,
)
from inference.errors import ProviderError


def test_this_environment_holds_exactly_one_distribution() -> None:
    check_distributions(installed_distributions())


def test_a_missing_runtime_is_an_error_with_the_package() -> None:
    with pytest.raises(ProviderError, match=r"not installed: `pip install 'intentstream\[cpu\]'`.*intentstream\[gpu\]"):
        check_distributions(())


def test_two_runtimes_are_an_error_with_the_remedy() -> None:
    with pytest.raises(ProviderError, match="pip uninstall --yes onnxruntime onnxruntime-gpu"):
        check_distributions(("onnxruntime-gpu", "onnxruntime"))


def test_the_wanted_order_is_kept() -> None:
    assert choose_providers((CUDA, CPU), (CPU, CUDA)) == (CUDA, CPU)


def test_the_cpu_is_always_the_last_provider() -> None:
    assert choose_providers((CUDA,), (CPU, CUDA)) == (CUDA, CPU)


def test_a_missing_provider_is_logged_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert choose_providers((CUDA, CPU), (CPU,)) == (CPU,)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert CUDA in record.getMessage()


def test_a_silent_fallback_of_the_provider_is_logged_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert confirm_provider((CUDA, CPU), (CPU,)) == CPU
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "runs on CPUExecutionProvider" in record.getMessage()


def test_the_requested_provider_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert confirm_provider((CPU,), (CPU,)) == CPU
    assert not caplog.records
