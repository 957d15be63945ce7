"""XML as devices send it, without anything XML can be abused for: no document type, no entities, nothing fetched.

A tree becomes plain objects: an element without children its text, one with children an object by their names without
namespace prefixes, children of one name a list. Attributes are dropped: no vendor of ours says anything in them.
"""

from __future__ import annotations

from typing import Any, TypeVar
from xml.parsers import expat

import msgspec

from devices.errors import DecodeError

MAX_XML = 128 * 1024
"""Bytes; the longest real message seen (a plate with all its regions) has 12 KB."""
MAX_ELEMENTS = 2_000
MAX_DEPTH = 24

T = TypeVar("T")


class _Builder:
    """Gathers one document; `root` is its outermost element's name and value."""

    def __init__(self) -> None:
        self.root: tuple[str, Any] = ("", "")
        self._open: list[tuple[str, dict[str, Any], list[str]]] = []
        self._elements = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise DecodeError("XML with too many elements")
        self._open.append((name.rpartition(":")[2], {}, []))

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1][2].append(text)

    def end(self, _name: str) -> None:
        name, children, texts = self._open.pop()
        value: Any = children or "".join(texts).strip()
        if not self._open:
            self.root = (name, value)
            return
        siblings = self._open[-1][1]
        if name not in siblings:
            siblings[name] = value
        elif isinstance(siblings[name], list):
            siblings[name].append(value)
        else:
            siblings[name] = [siblings[name], value]


def _refused(*_: Any) -> int:
    raise DecodeError("XML with a document type or entities")


def parse_xml(payload: bytes) -> tuple[str, Any]:
    """The outermost element's name, and what is in it.

    :raises DecodeError: it is too long, too deep or malformed, or it declares a document type or an entity.
    """
    if len(payload) > MAX_XML:
        raise DecodeError("XML too large")
    builder = _Builder()
    parser = expat.ParserCreate("utf-8")  # whatever the document claims: no other codec is ever looked up
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refused
    parser.EntityDeclHandler = _refused
    parser.ExternalEntityRefHandler = _refused
    try:
        parser.Parse(payload.strip(), True)
    except expat.ExpatError as error:
        raise DecodeError("payload is not XML") from error
    return builder.root


def fit(tree: Any, shape: type[T]) -> T:
    """The plain objects as `shape`.

    :raises DecodeError: they do not fit it.
    """
    try:
        return msgspec.convert(tree, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise DecodeError("payload does not fit the protocol") from error
