"""Structured logs: one JSON object a line (or plain text at a terminal), never with a name, plate, face or token.

What may be logged is chosen where it is logged; `_forbid` is the net below: a field of a personal name is dropped.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

PERSONAL = frozenset(
    {"plate", "person", "name", "face", "embedding", "token", "secret", "password", "payload", "image", "card", "value"}
)


def _forbid(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in PERSONAL & event.keys():
        event[key] = "[withheld]"
    return event


def configure(level: str = "INFO") -> None:
    """Log to stderr from `level` up."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            _forbid,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
        ),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
