"""The worker's CPU time under load, by layer and by function, sampled with py-spy."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import load
from benchmarks.held import WORKER, Serving, at_rate
from benchmarks.layers import EVERY_LAYER, Stack, by_function, by_layer, parse
from benchmarks.process import Process
from benchmarks.report import Section, Table
from benchmarks.schedule import Schedule
from benchmarks.stage import Stage
from benchmarks.usage import Usage
from streams.errors import ConfigurationError, StreamsError
from streams.settings import Settings

READY_S, ATTACH_S, PATIENCE_S = 60.0, 3.0, 60.0
SAMPLES_PER_S = 250
MODEL = ("retrieve", "score", "choose and explain", "encode a query")
TOP = 15
FLAME, SMALL_ENOUGH = "flame.svg", 300 << 10

HOW = """\
py-spy takes {rate} samples a second for {seconds:g} s, while the worker serves {events:g} events/s with the real model
({searches:.0%} searches). A sample counts for the layer of its innermost frame that belongs to a layer. Waiting does
not count. A compiled kernel counts for the Python function that calls it. During the samples, the worker used
{cpu:.0f} µs of CPU per event. "µs per event" is the share of each layer in this time."""


def measure(stage: Stage) -> Section:
    """Sample a worker under load twice: once for the tables and once for the flame graph."""
    sizes = stage.sizes
    settings = stage.settings("hotspots")
    stage.publish_catalogue(settings)
    raw = stage.directory / "stacks.txt"
    with stage.worker("ours", settings) as worker:
        worker.wait_for("ready", READY_S)
        worker.wait_for("recovered", READY_S)
        at_rate(stage, Serving(settings, worker), sizes.flame_rate, sizes.first_s)
        result = _recorded(stage, settings, worker, raw, "raw")
        _recorded(stage, settings, worker, stage.pictures / FLAME, "flamegraph")
    cpu = result.watched.micros(WORKER) if result.watched else float("nan")
    return _section(stage, parse(raw.read_text()), cpu)


def _recorded(stage: Stage, settings: Settings, worker: Process, target: Path, form: str) -> load.Load:
    """Record the worker from the first measured event of a load."""
    sizes = stage.sizes
    stage.progress(f"sampling the worker at {sizes.flame_rate} events/s: {form}")
    options = load.EventOptions(shoppers=sizes.shoppers, searches=sizes.searches, seed=sizes.seed)
    schedule = Schedule(sizes.flame_rate, sizes.flame_s + ATTACH_S, sizes.step_warm_up_s)
    recording: list[subprocess.Popen[str]] = []

    def watch() -> dict[str, Usage]:
        if not recording:
            recording.append(_spy(worker.pid, target, form, sizes.flame_s))
        return {WORKER: worker.usage()}

    try:
        result = load.run(settings, schedule, stage.shop, options, watch)
        _, errors = recording[0].communicate(timeout=PATIENCE_S)
    finally:
        for process in recording:
            process.kill()
    if recording[0].returncode:
        raise StreamsError(f"py-spy: required exit code 0, got {recording[0].returncode}: {errors[-500:]}")
    return result


def _spy(pid: int, target: Path, form: str, seconds: float) -> subprocess.Popen[str]:
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        raise ConfigurationError("hotspots: required py-spy, got none: pip install 'intentstream[bench]'")
    command = [spy, "record", "--pid", str(pid), "--output", str(target), "--format", form, "--threads"]
    command += ["--rate", str(SAMPLES_PER_S), "--duration", str(round(seconds)), "--nonblocking"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _section(stage: Stage, stacks: list[Stack], cpu: float) -> Section:
    sizes = stage.sizes
    total = sum(stack.samples for stack in stacks) or 1
    layers, inclusive, own = by_layer(stacks), by_function(stacks, own=False), by_function(stacks, own=True)
    rows = tuple(
        (name, f"{layers[name] / total:.1%}", f"{cpu * layers[name] / total:.0f}")
        for name in sorted(EVERY_LAYER, key=lambda name: -layers[name])
    )
    functions = tuple((name, f"{count / total:.1%}") for name, count in own.most_common(TOP))
    including = tuple((name, f"{count / total:.1%}") for name, count in inclusive.most_common(2 * TOP))
    how = HOW.format(
        rate=SAMPLES_PER_S, seconds=sizes.flame_s, events=sizes.flame_rate, searches=sizes.searches, cpu=cpu
    )
    return Section(
        title="CPU time by layer",
        how=how,
        tables=(
            Table(("layer", "share", "µs per event"), rows),
            Table(("function, own code only", "share"), functions),
            Table(("function, with the functions it calls", "share"), including),
        ),
        says=(_says(layers, total), _picture(stage.pictures / FLAME)),
        data={"cpu": cpu, "samples": total, "layers": dict(layers)},
    )


def _says(layers: dict[str, int], total: int) -> str:
    heaviest = sorted(layers, key=lambda name: -layers[name])[:3]
    shares = ", ".join(f"{name} ({layers[name] / total:.0%})" for name in heaviest)
    model = sum(layers[name] for name in MODEL) / total
    return f"The heaviest layers are {shares}. The model's thread takes {model:.0%}. The rest moves data."


def _picture(path: Path) -> str:
    if path.stat().st_size > SMALL_ENOUGH:
        return f"The flame graph `{path.name}` is too large for the repository. It is on the machine that measured it."
    # The title is py-spy's command line, which contains the machine's paths.
    path.write_text(re.sub(r">[^<]*py-spy record[^<]*<", ">the worker under load<", path.read_text()))
    return f"![flame graph]({path.name})"
