"""Asking the engine: hand it an action, wait for its answer, and say so if none comes."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from api.errors import ApiError
from api.facade import Gateway
from gateway.actions import Action, RefusedError

ANSWER_WITHIN_S = 10.0
T = TypeVar("T")


async def ask(gateway: Gateway, action: Action, kind: type[T]) -> T:
    """The engine's answer, of the type it promises for this action.

    :raises ApiError: 503, no answer in time; it may still be carried out. The engine's own errors pass.
    """
    try:
        coming = gateway.submit(action)
    except RefusedError as error:  # it is stopping, or too busy to take anything
        raise ApiError(503, str(error), headers={"Retry-After": "5"}) from error
    try:
        # Shielded: a caller who goes away must not cancel the future the engine is about to answer.
        done = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(coming)), ANSWER_WITHIN_S)
    except TimeoutError as error:
        detail = "the gateway does not answer just now; it may still do what was asked. See /health"
        raise ApiError(503, detail, headers={"Retry-After": "5"}) from error
    if not isinstance(done, kind):
        raise TypeError(f"the engine answered {type(done).__name__}")
    return done
