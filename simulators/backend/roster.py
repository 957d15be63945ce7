"""Who can be sent where, read from a file, and given to the gateway as revisions: both climb the same ladder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from simulators.backend.cases import Roster
from simulators.backend.store import Books
from simulators.client import Client

PAGE = 2_000


def read(path: Path) -> Roster:
    """A JSON file {"places": [{id, kind, name, parent}], "staff": [{id, name, level, role, places, contact}]}.

    :raises ValueError: it is not one; the text says where.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Roster)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{path}: {error}") from error


def give(books: Books, client: Client, roster: Roster, *, anew: bool = False) -> None:
    """Bring the gateway to this roster, unless it has it: a snapshot of each section, in pages, resumed where it broke
    off. `anew`: look whether the gateway still has it; one restored from a backup may not.

    :raises simulators.client.ApiError: the gateway refuses it, or cannot be reached.
    """
    for section, entries in (("places", roster.places), ("staff", roster.staff)):
        items = msgspec.to_builtins(list(entries))
        digest = hashlib.sha256(msgspec.json.encode(items)).hexdigest()
        given, _, revision = books.fact(f"given {section}").partition(" ")
        if not items or (given == digest and not anew):
            continue
        here = client.sync_state()[section]
        if given != digest or here["revision"] < int(revision or 0):
            sent = _send(books, client, section, items, digest, here)
            books.remember(f"given {section}", f"{digest} {sent}")


def _send(books: Books, client: Client, section: str, items: list[Any], digest: str, here: dict[str, Any]) -> int:
    pages = [items[n : n + PAGE] for n in range(0, len(items), PAGE)]
    begun = books.fact(f"sending {section}")
    pending = here["pending"]
    if pending and begun == f"{pending['revision']} {digest}":
        revision, first = pending["revision"], pending["next_page"]
    else:
        revision = max(here["revision"], pending["revision"] if pending else 0) + 1
        first = 1
        books.remember(f"sending {section}", f"{revision} {digest}")
    for number in range(first, len(pages) + 1):
        body = {"revision": revision, "page": number, "pages": len(pages), "items": pages[number - 1]}
        client.sync(section, body)
    return int(revision)
