"""`intentstream compile`: compiles the kernels before the first worker starts."""

from __future__ import annotations

import click

from streams.settings import load_settings


@click.command(epilog="Example: intentstream compile")
def compile() -> None:  # noqa: A001 - the command's name
    """Compile the kernels for this machine's processor.

    A worker also does so, before it joins its group. Compile beforehand to start workers fast. This takes 30
    seconds to 3 minutes the first time and after an upgrade; later runs load the cache.

    The cache is the first writable directory of NUMBA_CACHE_DIR, the installed sources and INTENTSTREAM_DATA_DIR.
    """
    from streams.kernels import prepare

    def show(number: int, of: int, seconds: float) -> None:
        click.echo(f"kernel {number} of {of} compiled in {seconds:.1f} s", err=True)

    click.echo("Compiling the numeric kernels for this processor: 30 seconds to 3 minutes the first time.", err=True)
    done = prepare(load_settings().state.data_dir, show)
    click.echo(f"{done.compiled} kernels compiled, {done.cached} loaded from the cache: {done.seconds:.1f} s", err=True)
