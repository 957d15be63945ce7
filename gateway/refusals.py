"""Why the register refuses something, beyond `RefusedError`: so that the API can answer with the right status."""

from __future__ import annotations

from gateway.actions import RefusedError


class InvalidError(RefusedError):
    """What was given is not acceptable in itself; the text says what to change."""


class TakenError(RefusedError):
    """Another one has this id, address or card already; the text names it."""
