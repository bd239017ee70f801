"""`python -m tests.chaos`: runs faults against real workers and checks what must hold."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from streams.errors import StreamsError
from tests.chaos import report
from tests.chaos.checker import check
from tests.chaos.observe import Progress
from tests.chaos.run import ChaosRun, Outcome, Plan
from tests.chaos.schedule import KINDS, PENDING, as_lines, draw

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
EPILOG = """\b
Examples:
  python -m tests.chaos --minutes 30 --seed 7 --record
  python -m tests.chaos --minutes 2 --only kill --only wipe
"""


@click.command(epilog=EPILOG)
@click.option("--minutes", type=click.FloatRange(min=0.5), default=3.0, show_default=True, help="Time of the faults.")
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed gives the same schedule.")
@click.option("--rate", type=click.FloatRange(min=1), default=40.0, show_default=True, help="Events per second.")
@click.option("--shoppers", type=click.IntRange(min=1), default=300, show_default=True, help="Number of shoppers.")
@click.option("--only", multiple=True, type=click.Choice([*KINDS]), help="Only this kind of fault. Can be repeated.")
@click.option("--without", multiple=True, type=click.Choice([*KINDS]), help="Not this kind of fault. Can be repeated.")
@click.option("--pending", is_flag=True, help="Also the kinds that this version does not survive yet.")
@click.option("--record", is_flag=True, help="Write the figures to docs/reliability.md.")
@click.option("--schedule", "schedule_only", is_flag=True, help="Only print the schedule.")
def main(
    *,
    minutes: float,
    seed: int,
    rate: float,
    shoppers: int,
    only: tuple[str, ...],
    without: tuple[str, ...],
    pending: bool,
    record: bool,
    schedule_only: bool,
) -> None:
    """Run random faults, drawn from a seed, against a real Kafka and real workers, and check what must hold.

    The schedule, the logs and the violations are kept in build/chaos/SEED. The exit code is 1 if anything is broken.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    kinds = {name for name in only or KINDS if name not in without and (pending or only or name not in PENDING)}
    faults = draw(seed, 60 * minutes, kinds)
    if schedule_only:
        click.echo(as_lines(faults), nl=False)
        return
    plan = Plan(seed=seed, seconds=60 * minutes, faults=faults, shoppers=shoppers, rate=rate)
    folder = Path("build/chaos") / str(seed)
    console = Console()
    try:
        outcome = run(plan, folder, console)
    except StreamsError as error:
        raise click.ClickException(str(error)) from error
    result = report.report(plan, outcome, check(outcome.evidence))
    report.save(result, folder)
    console.print(report.table(result))
    console.print(report.summary(result))
    if record:
        PAGE.write_text(report.record(PAGE.read_text(), result))
    console.print(f"{'All guarantees hold' if result.is_sound else 'Some guarantees are broken'}; see {folder}")
    sys.exit(0 if result.is_sound else 1)


def run(plan: Plan, folder: Path, console: Console) -> Outcome:
    """Carry a plan out with progress on the screen."""
    step, counts = TextColumn("{task.description}"), TextColumn("{task.fields[counts]}")
    bar = Bar(step, BarColumn(), counts, TimeRemainingColumn(), console=console)
    task = bar.add_task("starting", total=plan.seconds, counts="")
    progress = Progress(console.print)
    chaos = ChaosRun(plan, folder.absolute(), progress)
    (folder / "schedule.jsonl").write_text(as_lines(plan.faults))

    async def show() -> None:
        while True:
            bar.update(task, completed=progress.elapsed_s(), description=progress.step, counts=progress.counts())
            await asyncio.sleep(0.5)

    async def both() -> Outcome:
        showing = asyncio.create_task(show())
        try:
            return await chaos.run()
        finally:
            showing.cancel()

    with bar:
        return asyncio.run(both())


if __name__ == "__main__":
    main()
