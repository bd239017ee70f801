"""The pages show texts in the language of the reasons."""

from __future__ import annotations

from inference.types import NO_CLAIM
from tests.streams.console.harness import answer, console_service, now_ms, seen


async def test_an_item_without_a_claim_has_the_neutral_sentence_of_its_list() -> None:
    async with console_service() as (harness, client):
        harness.histories.add_event(seen("e1"), now_ms())
        harness.histories.add_list(answer("e1", ["i2"], reason=("可能适合您", NO_CLAIM)), now_ms())
        for page in ("shopper?user=ann", "?user=ann"):
            text = (await client.get(f"/console/{page}")).text
            assert '<p class="reason">可能适合您</p>' in text
            assert "may suit you" not in text
