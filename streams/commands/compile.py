"""`intentstream compile`: compiles the kernels, so that nobody waits for it later."""

from __future__ import annotations

import click

from streams.settings import load_settings


@click.command(epilog="Example: intentstream compile")
def compile() -> None:  # noqa: A001 - the command's name
    """Compile the kernels for this machine's processor.

    A worker does so itself before it joins its group. This is for an installation that is to start fast: about half a
    minute on two cores the first time and after an upgrade, nothing afterwards.

    Compiled kernels are kept in NUMBA_CACHE_DIR, else beside the installed sources, else under INTENTSTREAM_DATA_DIR.
    """
    from streams.kernels import prepare

    def show(number: int, of: int, seconds: float) -> None:
        click.echo(f"kernel {number} of {of} compiled in {seconds:.1f} s", err=True)

    click.echo("Compiling the numeric kernels for this processor, once: about half a minute.", err=True)
    done = prepare(load_settings().data_dir, show)
    click.echo(f"{done.compiled} kernels compiled, {done.cached} were compiled before: {done.seconds:.1f} s", err=True)
