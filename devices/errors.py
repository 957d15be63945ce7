"""Errors that name the culprit. Anything else raised in this package is our own bug."""

from __future__ import annotations


class DecodeError(ValueError):
    """A device sent something its protocol does not allow; `reason` is short, countable and free of personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnsupportedCommandError(ValueError):
    """The protocol of the device has no message for this command; known at registration (`Protocol.commands`)."""


class RegistryError(ValueError):
    """Two plug-ins claim one name, or a name nobody claims was asked for (the operator's to mend)."""
