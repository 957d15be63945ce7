"""What a device kept while nobody listened, fetched page by page when its event stream is attached to again.

It is asked for from the last event it told live, a little earlier, by its own clock. What was heard already is known by
its record id; the rest is on record as late and moves nothing. Fetched before the stream is read on: should the gateway
die meanwhile, the last live event is still the one from before the absence, and everything is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from devices.errors import DecodeError
from devices.kinds.link import Link
from devices.model import Device, History, HttpCall, HttpPart
from gateway.access import Access
from gateway.attach_http import NotOursError, UnansweredError, ask

OVERLAP = timedelta(minutes=5)
AT_MOST = timedelta(days=7)
PAGES = 200
PAGE_AT_MOST = 1024 * 1024
PAGE_WITHIN_S = 30.0


async def fetch(
    device: Device,
    access: Access,
    history: History,
    before: Link,
    now: datetime,
    take: Callable[[tuple[HttpPart, ...]], Awaitable[None]],
) -> str:
    """Have `take` take every page of what `device` saw since it was last heard, as its link stood `before` the absence;
    "", or what is missing and why.
    """
    if before.high_water is None:
        return ""
    offset = timedelta(seconds=before.clock_offset_s or 0.0)
    until = now + offset
    since = max(before.high_water + offset - OVERLAP, until - AT_MOST)
    position = 0
    for _ in range(PAGES):
        try:
            body = await _page(access, history.call(device, since, until, position))
            following = history.following(body, position)
        except (UnansweredError, NotOursError, DecodeError) as error:
            why = error.reason if isinstance(error, DecodeError) else str(error)
            return f"what it saw since {since:%Y-%m-%d %H:%M} UTC could not be fetched, all of it or some: {why}"
        await take((HttpPart(media="application/json", body=body),))
        if following is None:
            return ""
        position = following
    return f"it saw more than {position} events while nobody listened: later ones were not fetched"


async def _page(access: Access, call: HttpCall) -> bytes:
    try:
        async with asyncio.timeout(PAGE_WITHIN_S), await ask(access, call) as answer:
            if answer.status != 200:
                raise UnansweredError(f"it answers the search with HTTP {answer.status}")
            return await answer.whole(PAGE_AT_MOST)
    except TimeoutError as error:
        raise UnansweredError(f"it gave no page within {PAGE_WITHIN_S:g} s") from error
