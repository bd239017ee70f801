"""`intentstream demo`: replays real purchases through a broker and a worker."""

from __future__ import annotations

import sys
from typing import Any

import click

from streams.demo.words import LANGUAGES

EPILOG = """\b
Examples:
  intentstream demo
  intentstream demo --language zh
  intentstream demo --shopper 1453 --rate 30 --events 1500
  intentstream demo --broker localhost:9092 --keep
"""


@click.command(epilog=EPILOG)
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    help="The shop, and the language of its texts and reasons: a grocer's, or a Chinese general shop.",
)
@click.option("--events", type=click.IntRange(1), default=3000, show_default=True, help="Events to replay.")
@click.option("--rate", type=click.FloatRange(0.1, 10_000), default=60, show_default=True, help="Events per second.")
@click.option(
    "--catalogue-size", type=click.IntRange(10), default=5000, show_default=True, help="Best-selling products to use."
)
@click.option("--shopper", type=int, metavar="ID", help="Shopper to show, by default one that shops often.")
@click.option("--broker", metavar="HOST:PORT", help="Use this Kafka, with topics demo-*, not the embedded broker.")
@click.option(
    "--keep/--no-keep",
    default=None,
    help="Keep running after the replay until Ctrl-C, and print how to connect.  [default: on a terminal]",
)
@click.option(
    "--wrong-data/--no-wrong-data",
    default=True,
    show_default=True,
    help="Let the shop's app send wrong data in the second half of the replay, beside its events.",
)
@click.option("--open", "opens", is_flag=True, help="Open the console in a browser.")
def demo(**arguments: Any) -> None:
    """Replay real purchases through a broker and a worker, live.

    Starts an embedded broker and one worker, publishes a catalogue, and replays grocery purchases of 2017 as searches,
    views, carts and purchases. Shows throughput and latency, and one shopper's actions beside the recommended items.
    Prints the URL of the console, in which you act as a shopper yourself. The replay takes about a minute. The first
    run encodes the catalogue and caches it in the user's cache folder. The exit code is 0 if every event was answered.

    In the second half of a replay of at least 30 seconds, one of the producers, shop-app, also sends wrong data. The
    demo and the console's page Data name it. No shopper's list follows the wrong data.

    With --language zh, goods and shoppers are invented. The model is the multilingual one if INTENTSTREAM_MODEL_DIR
    contains it and INTENTSTREAM_MODEL_PATH is not set.
    """
    from streams.demo.run import Demo, DemoOptions
    from streams.terminal import safe_console

    sys.exit(Demo(DemoOptions(**arguments), safe_console()).run())
