"""The feed cannot go on from where it was left: the gateway was set back to a backup (409), or retention dropped what
follows (410). The open alerts are read anew and the feed is gone on with from the number the gateway names. No case is
lost: one the gateway does not know any more stays open here, says so, and is worked on here alone.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from simulators.backend.cases import Case, from_view, taken_in, worked_alone
from simulators.backend.store import Books, Step
from simulators.client import ApiError, Client


class Anew(Struct, frozen=True, kw_only=True):
    """When the open alerts were last read anew and why: `code` is set_back or dropped. `after`: up to which change the
    backend had come, `next`: after which it goes on, `unknown`: open cases the gateway does not know any more.
    """

    code: str
    at: str
    after: int
    next: int
    unknown: int


def broken(error: ApiError) -> bool:
    """Does the gateway say that the feed cannot go on from there?"""
    return error.status in (409, 410) and {"newest", "forgotten"} <= error.problem.keys()


def begin(books: Books, client: Client, error: ApiError, at: datetime) -> None:
    """Read the open alerts anew, and go on after the number `error` names. Broken off at any point it is done again.

    :raises ApiError: the gateway cannot be reached.
    """
    set_back = error.status == 409
    number = int(error.problem["newest" if set_back else "forgotten"])
    known = _hash_of(client, number) if set_back else ""
    views = {alert["id"]: alert for alert in client.open_alerts()}
    unknown = []
    for case in books.cases(open_only=True):
        if case.alert in views or case.unknown:
            continue
        try:
            views[case.alert] = client.alert(case.alert)
        except ApiError as gone:
            if gone.status != 404:
                raise
            unknown.append(case.alert)
    after = int(books.fact("after") or 0)
    code = "set_back" if set_back else "dropped"
    said = Anew(code=code, at=at.isoformat(), after=after, next=number, unknown=len(unknown))
    facts = {"after": str(number), "after_hash": known, "counted_from": str(number)}
    facts["anew"] = msgspec.json.encode(said).decode()
    with books.write() as db:
        if set_back:
            db.execute("UPDATE history SET seq = NULL")  # the numbers are given anew; what was kept stays as evidence
        _count_from(books, db, number)
        for alert, view in views.items():
            held = books.case(alert) or Case(alert=alert)
            books.put(db, taken_in(replace(held, seq=0, ahead=None, unknown=False), alert, number, from_view(view)))
        for alert in unknown:
            _unknown(books, db, alert, at)
        db.executemany("INSERT OR REPLACE INTO facts VALUES(?, ?)", list(facts.items()))


def forget(books: Books, step: Step, at: datetime) -> None:
    """The gateway has no such alert: an open case stays, and what a person did with it is done here alone."""
    with books.write() as db:
        db.execute("DELETE FROM outbox WHERE n=?", (step.n,))
        case = books.case(step.alert)
        if case is None or not case.open:
            return
        _unknown(books, db, step.alert, at)
        if step.operator:
            _alone(books, db, step, at)


def alone(books: Books, step: Step, at: datetime) -> None:
    """A step with a case the gateway does not know: nobody is told."""
    with books.write() as db:
        _alone(books, db, step, at)


def _alone(books: Books, db: sqlite3.Connection, step: Step, at: datetime) -> None:
    case = books.case(step.alert)
    if case is not None:
        books.put(db, worked_alone(case, step.work, step.assignee, step.operator))
        _note(db, step.alert, at, step.work.value, step.operator, step.reason)


def _unknown(books: Books, db: sqlite3.Connection, alert: str, at: datetime) -> None:
    case = books.case(alert)
    if case is not None and not case.unknown:
        books.put(db, replace(case, unknown=True))
        _note(db, alert, at, "unknown", "backend", "")


def _note(db: sqlite3.Connection, alert: str, at: datetime, *what_who_words: str) -> None:
    row = (alert, at.isoformat(), *what_who_words)
    db.execute("INSERT INTO history(alert, at, what, who, words) VALUES(?, ?, ?, ?, ?)", row)


def _hash_of(client: Client, number: int) -> str:
    """The hash of a change, so that it is found out if the gateway is set back once more; "" where it is not there."""
    items = client.changes(number - 1, limit=1)["items"] if number > 1 else []
    return str(items[0]["hash"]) if items and items[0]["seq"] == number else ""


def _count_from(books: Books, db: sqlite3.Connection, number: int) -> None:
    """Numbers up to `number` are counted no more, and no case waits for one that was given before."""
    db.execute("DELETE FROM runs")
    ahead = db.execute(
        "SELECT body FROM cases WHERE json_extract(CAST(body AS TEXT), '$.seq') > ?", (number,)
    ).fetchall()
    for row in ahead:
        books.put(db, replace(msgspec.json.decode(row["body"], type=Case), seq=number, ahead=None))


def shown(books: Books) -> dict[str, Any] | None:
    """What the page says of the last time it was so."""
    kept = books.fact("anew")
    return msgspec.to_builtins(msgspec.json.decode(kept, type=Anew)) if kept else None
