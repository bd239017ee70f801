"""The lease ends a session timeout after the last accepted heartbeat, and a renewal wakes whoever waits for it."""

from __future__ import annotations

import asyncio
from threading import Thread
from time import monotonic

from streams.lease import Lease


def test_a_lease_is_valid_before_the_first_heartbeat_and_for_a_session_timeout_after_the_last() -> None:
    lease = Lease(10.0)
    assert lease.is_valid
    lease.renew(monotonic() - 9)
    assert lease.is_valid
    lease.renew(monotonic() - 11)
    assert not lease.is_valid


async def test_a_renewal_by_another_thread_ends_the_wait_and_is_reported() -> None:
    lease, renewals = Lease(1000.0), asyncio.Event()
    lease.notify(renewals.set)
    lease.renew(monotonic() - 2000)
    waiting = asyncio.create_task(lease.wait())
    await asyncio.wait_for(renewals.wait(), 10)
    assert not waiting.done()  # the lease that was renewed had ended already
    Thread(target=lambda: lease.renew(monotonic())).start()
    await asyncio.wait_for(waiting, 10)
