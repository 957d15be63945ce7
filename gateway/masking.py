"""A message shown to an installer without what it says of anybody: keys and shapes remain, values do not. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

MOST_BYTES = 64 * 1024
"""A longer message is only measured."""
ITEMS, DEPTH, LENGTH = 24, 6, 24
"""How many entries of an object or list, how deep, and how many characters of a value or key are shown."""
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.:$-]*")
_MARKUP = re.compile(r"<(/?)([A-Za-z][\w.:-]{0,40})[^>]*>|([^<]+)")


def shape(text: str) -> str:
    """The text's shape: 汉 any other letter, A a Latin letter, 9 a digit; signs remain."""
    return "".join(_shape(character) for character in text[:LENGTH]) + ("…" if len(text) > LENGTH else "")


def _shape(character: str) -> str:
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "A" if character.isascii() else "汉"
    return character if character.isascii() and character.isprintable() else "·"


def masked(payload: bytes) -> str:
    """The message with its values masked by shape: JSON as JSON, XML as its tags, anything else as its length."""
    if len(payload) > MOST_BYTES:
        return f"{len(payload)} bytes"
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return f"{len(payload)} bytes, not text"
    try:
        return msgspec.json.encode(_value(msgspec.json.decode(payload), 0)).decode()
    except (ValueError, RecursionError):  # not JSON
        markup = text.lstrip().startswith("<")
        return "".join(_markup(found) for found in _MARKUP.finditer(text[:2000])) if markup else shape(text)


def _markup(found: re.Match[str]) -> str:
    close, tag, text = found.groups()
    return f"<{close}{tag}>" if tag else shape(text.strip())


def _value(value: Any, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case int() | float():
            return shape(str(value))
        case str():
            return shape(value)
        case _ if depth >= DEPTH:
            return "…"
        case dict():
            return {_key(key): _value(inner, depth + 1) for key, inner in list(value.items())[:ITEMS]}
        case _:
            return [_value(inner, depth + 1) for inner in value[:ITEMS]]


def _key(key: str) -> str:
    """A key names a field; what looks like no field name (a plate, a person) is masked as a value is."""
    return key[:LENGTH] if _PLAIN_KEY.fullmatch(key) and not re.search(r"\d{4}", key) else shape(key)
