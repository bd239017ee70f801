"""The worker's pod agrees with the code: settings, memory, time to stop."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from streams.cli import cli
from streams.kafka.topics import TABLES
from streams.settings import Settings
from streams.worker.faust.consumer import LEAVE_S
from streams.worker.paths import PUBLISH_S
from streams.worker.service import DISCONNECT_S
from tests.deployment.kustomize import OVERLAYS, SECRET, Overlay, build, container, cpus, mebibytes, ports

PROCESS_MIB = 700
"""Memory of a worker without its stores: 420 MiB with 5,000 items (benchmarks/results.md), and a second model with a
second catalogue during a model change (docs/model-swap.md)."""
WRITE_BUFFERS = 2
"""Write buffers of each store: one is written while the other is flushed (streams/state/rocksdb.py)."""
CACHE_SHARE = 8

overlays = pytest.mark.parametrize("overlay", [pytest.param(name, id=name) for name in OVERLAYS])


@pytest.fixture
def built_overlay(overlay: str) -> Overlay:
    return build(overlay)


def stores_mib(settings: Settings) -> int:
    """Return the largest memory of the stores of a worker that owns all partitions."""
    buffers = settings.topics.partitions * len(TABLES) * WRITE_BUFFERS * settings.state.rocksdb_write_buffer_mb
    return settings.state.rocksdb_block_cache_mb + buffers


@overlays
def test_the_environment_has_valid_settings_that_match_the_mounts(built_overlay: Overlay) -> None:
    settings = built_overlay.settings
    mounts = {mount["mountPath"] for mount in container(built_overlay.worker)["volumeMounts"]}
    assert str(settings.state.data_dir) in mounts
    assert settings.kafka.ssl_ca_file is None or str(settings.kafka.ssl_ca_file.parent) in mounts
    assert settings.kafka.uses_tls is settings.kafka.uses_sasl is (built_overlay.name != "dev")


@overlays
def test_pods_run_existing_commands(built_overlay: Overlay) -> None:
    for pod in built_overlay.pods:
        program, *arguments = container(pod)["command"]
        assert program == "intentstream"
        result = CliRunner().invoke(cli, [*arguments, "--help"])
        assert result.exit_code == 0, result.output
        assert f"Usage: {cli.name} {' '.join(arguments)} [OPTIONS]\n" in result.output


@overlays
def test_probes_and_service_use_the_workers_port(built_overlay: Overlay) -> None:
    main, settings = container(built_overlay.worker), built_overlay.settings
    assert ports(built_overlay.worker)["metrics"] == settings.http.port
    assert settings.http.host == "0.0.0.0"
    pages = {name: main[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {page["port"] for page in pages.values()} == {"metrics"}
    assert {name: page["path"] for name, page in pages.items()} == {
        "startup": "/livez", "liveness": "/livez", "readiness": "/readyz",
    }  # fmt: skip
    (port,) = built_overlay.one("Service")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (settings.http.port, "metrics")


@overlays
def test_a_worker_has_enough_time_to_start_and_stop(built_overlay: Overlay) -> None:
    pod, main = built_overlay.worker["spec"], container(built_overlay.worker)
    startup = main["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300
    needed = main["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed += built_overlay.settings.state.shutdown_drain_seconds + PUBLISH_S + DISCONNECT_S + LEAVE_S
    assert pod["terminationGracePeriodSeconds"] >= 2 * needed


@overlays
def test_the_memory_limit_covers_the_settings(built_overlay: Overlay) -> None:
    resources, settings = container(built_overlay.worker)["resources"], built_overlay.settings
    limit = mebibytes(resources["limits"]["memory"])
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert settings.state.rocksdb_block_cache_mb == limit / CACHE_SHARE
    assert PROCESS_MIB + stores_mib(settings) <= limit


@overlays
def test_the_scorer_has_as_many_threads_as_requested_cpus(built_overlay: Overlay) -> None:
    requested = cpus(container(built_overlay.worker)["resources"]["requests"]["cpu"])
    assert requested <= built_overlay.settings.model.scorer_threads < requested + 1


@overlays
def test_selectors_match_only_the_worker(built_overlay: Overlay) -> None:
    stateful = built_overlay.one("StatefulSet")["spec"]
    spread = [constraint["labelSelector"] for constraint in stateful["template"]["spec"]["topologySpreadConstraints"]]
    monitors = [monitor["spec"]["selector"] for monitor in built_overlay.all("PodMonitor")]
    budget = built_overlay.one("PodDisruptionBudget")["spec"]["selector"]
    service = {"matchLabels": built_overlay.one("Service")["spec"]["selector"]}
    for selector in (stateful["selector"], budget, service, *spread, *monitors):
        labels = selector["matchLabels"].items()
        found = [pod for pod in built_overlay.pods if labels <= pod["metadata"]["labels"].items()]
        assert found == [built_overlay.worker]
    assert stateful["serviceName"] == built_overlay.one("Service")["metadata"]["name"]


@overlays
def test_the_disruption_budget_keeps_a_worker_if_there_are_several(built_overlay: Overlay) -> None:
    stateful = built_overlay.one("StatefulSet")["spec"]
    scaled = [scaled["spec"]["minReplicaCount"] for scaled in built_overlay.all("ScaledObject")]
    # Replicas in the manifest would conflict with KEDA.
    assert ("replicas" in stateful) is not bool(scaled)
    replicas = scaled[0] if scaled else stateful["replicas"]
    allowed = built_overlay.one("PodDisruptionBudget")["spec"]["maxUnavailable"]
    assert 0 < allowed < max(replicas, 2)


@overlays
def test_each_worker_has_its_own_volume_for_its_state(built_overlay: Overlay) -> None:
    stateful = built_overlay.one("StatefulSet")["spec"]
    (claim,) = stateful["volumeClaimTemplates"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container(built_overlay.worker)["volumeMounts"]}
    assert mounted[claim["metadata"]["name"]] == str(built_overlay.settings.state.data_dir)
    assert stateful["podManagementPolicy"] == "Parallel"
    assert stateful["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete"


def test_a_gpu_worker_requests_and_uses_a_gpu() -> None:
    gpu = build("gpu")
    assert container(gpu.worker)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu.settings.model.execution_providers == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert build("prod").settings.model.execution_providers == ("CPUExecutionProvider",)


def test_the_login_comes_from_a_secret() -> None:
    password = build("prod").settings.kafka.sasl_password
    assert password is not None
    assert password.get_secret_value() == SECRET
