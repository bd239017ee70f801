"""`intentstream forget`: deletes everything that is kept about a shopper."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import click

from streams.commands.options import with_settings
from streams.contracts.messages import Forget
from streams.errors import StreamsError
from streams.kafka.forgetting import forget as send_request
from streams.settings import Settings

EPILOG = """\b
Examples:
  intentstream forget shopper-17
  intentstream forget shopper-17 --timeout 300 --broker kafka:9092
"""


@click.command(epilog=EPILOG)
@click.argument("user")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, help="Seconds to wait."
)
@with_settings
def forget(settings: Settings, user: str, timeout: float) -> None:
    """Delete everything that is kept about a shopper.

    Publishes a request, waits for the receipt of the worker that deletes, and prints it. Events that come later begin a
    new profile. docs/operations.md lists what cannot be deleted and how long it lasts.
    """
    if not 1 <= len(user) <= 128:
        raise click.BadParameter("required a user id of 1 to 128 characters", param_hint="USER")
    request = Forget(type="forget", request_id=str(uuid4()), user_id=user)
    click.echo(f"request {request.request_id} on {settings.topics.privacy}; waiting for its receipt", err=True)
    receipt = asyncio.run(send_request(settings, request, timeout))
    if receipt is None:
        raise StreamsError(
            f"no receipt within {timeout:g} s. The request is on {settings.topics.privacy}; a worker processes it when "
            f"it runs, and publishes the receipt on {settings.topics.privacy_receipts}"
        )
    click.echo(f"profile      {'deleted' if receipt.profile else 'there was none'}")
    click.echo(f"sessions     {receipt.sessions} deleted")
    click.echo(f"unpublished  {receipt.unpublished} sessions and item transitions dropped")
    click.echo(f"completed    {receipt.completed_at:%Y-%m-%d %H:%M:%S} UTC")
