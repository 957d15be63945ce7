"""What the engine takes up from the database: alerts, commands and questions to vision. A row that cannot be read is
set aside (`gateway.aside`) and the rest is taken up; an alert is restored from what was last announced of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from sqlite3 import Connection

import msgspec
import structlog

from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert
from devices.commands import CommandRecord
from devices.effects import IdentifyFace, ReadPlate, WatchScene
from gateway import aside
from gateway.changes import AlertChange, Job
from gateway.latest import Row
from gateway.store import Store, insert_many, us, when

log = structlog.get_logger()

_json = msgspec.json.Encoder()
_alert = msgspec.json.Decoder(Alert)
_command = msgspec.json.Decoder(CommandRecord)
_question = msgspec.json.Decoder(IdentifyFace | ReadPlate | WatchScene)
_SINCE = "seq > coalesce((SELECT seq FROM alert_changes WHERE at < ? ORDER BY seq DESC LIMIT 1), 0)"
_RAISED = "change IN ('raised', 'reopened')"


class Kept:
    """Reads with the engine's connection `db`."""

    def __init__(self, store: Store, db: Connection) -> None:
        self._store, self._db = store, db

    # -- alerts --------------------------------------------------------------------------------------------------------

    def open_alerts(self) -> list[Alert]:
        """Every open alert."""
        found = self._db.execute("SELECT id, key, body FROM alerts WHERE open=1").fetchall()
        return [alert for row in found if (alert := read_alert(self._store, *row)) is not None]

    def alert(self, alert_id: str) -> Alert | None:
        """One alert, open or not."""
        row = self._db.execute("SELECT id, key, body FROM alerts WHERE id=?", (alert_id,)).fetchone()
        return read_alert(self._store, *row) if row else None

    def latest_alert(self, key: str) -> Alert | None:
        """The open alert of this key; without one, that which was raised last."""
        sql = "SELECT id, key, body FROM alerts WHERE key=?"
        for which in (f"{sql} AND open=1", f"{sql} ORDER BY raised_at DESC LIMIT 1"):
            row = self._db.execute(which, (key,)).fetchone()
            if row and (alert := read_alert(self._store, *row)) is not None:
                return alert
        return None

    def lately(self, since: datetime) -> list[AlertChange]:
        """What was raised and came back since then, oldest first."""
        found = []
        fields = "alert, change, actor, reason, at, body"
        sql = f"SELECT {fields} FROM alert_changes WHERE {_SINCE} AND {_RAISED} ORDER BY seq"  # noqa: S608 - all is ours
        for name, change, actor, reason, at, body in self._db.execute(sql, (us(since),)):
            try:
                found.append(AlertChange(_sound(name, body), change, actor, reason, when(at)))
            except aside.UNREADABLE as error:  # it counts for floods and incidents only: the row stays
                log.warning("alert_change_unreadable", alert=name, trouble=str(error))
        return found

    def closed_since(self, since: datetime) -> list[Alert]:
        """What is closed and changed since then, those raised first before the others."""
        changed = f"SELECT alert FROM alert_changes WHERE {_SINCE}"  # noqa: S608 - all is ours
        sql = f"SELECT id, key, body FROM alerts WHERE id IN ({changed}) AND open=0 ORDER BY raised_at"  # noqa: S608
        found = self._db.execute(sql, (us(since),)).fetchall()
        return [alert for row in found if (alert := read_alert(self._store, *row)) is not None]

    # -- commands, questions -------------------------------------------------------------------------------------------

    def unfinished_commands(self) -> list[CommandRecord]:
        """Commands still waiting for an answer."""
        return self._commands("status IN ('sent', 'accepted')")

    def command_of_key(self, key: str) -> CommandRecord | None:
        """The command requested with this idempotency key."""
        return next(iter(self._commands("idempotency_key=?", key)), None)

    def _commands(self, which: str, *values: str) -> list[CommandRecord]:
        found: list[CommandRecord] = []
        rows = self._db.execute(f"SELECT id, body FROM commands WHERE {which}", values)  # noqa: S608 - all is ours
        aside.readable(self._store, "commands", rows, lambda _, body: found.append(_command.decode(body)))
        return found

    def pending_jobs(self) -> list[Job]:
        """Questions vision has not answered."""
        found: list[Job] = []

        def take(name: str, row: tuple[str, bytes]) -> None:
            found.append(Job(name, row[0], _question.decode(row[1])))

        rows = self._db.execute("SELECT id, device, body FROM jobs")
        aside.readable(self._store, "jobs", [(name, (device, body)) for name, device, body in rows], take)
        return found


def read_alert(store: Store, name: str, key: str, body: bytes) -> Alert | None:
    """The alert in a row of this id and key. Where it cannot be read it is what was announced of it last; None when
    that cannot be read either.
    """
    try:
        return _sound(name, body, key)
    except aside.UNREADABLE as error:
        aside.set_aside(store, "alerts", name, str(error))
    last = "SELECT body FROM alert_changes WHERE alert=? ORDER BY seq DESC LIMIT 1"
    row = store.reader.execute(last, (name,)).fetchone()
    try:
        restored = _sound(name, row[0], key) if row else None
    except aside.UNREADABLE:
        restored = None
    if restored is not None:
        with store.write() as db:
            write_alerts(db, [restored])
        log.warning("alert_restored", alert=name, key=key)
    return restored


def write_alerts(db: Connection, alerts: Iterable[Alert], changes: Iterable[Row] = ()) -> None:
    """Their rows, new or instead of the ones before; `changes`: what of them has just been announced."""
    seqs = {change["alert"]: change["seq"] for change in changes}
    insert_many(
        db,
        # Not "or replace": a second open alert of one key must fail loudly, not delete the first.
        "INSERT INTO alerts(id, key, open, type, severity, condition, community, building, device, raised_at, incident,"
        " hidden, seq, body)",
        [
            (
                a.id,
                a.key,
                a.open,
                a.type,
                int(a.severity),
                a.condition,
                a.community,
                a.building,
                a.device,
                us(a.raised_at),
                a.incident,
                bool(a.suppressed_by),
                seqs.get(a.id, 0),
                _json.encode(a),
            )
            for a in alerts
        ],
        "ON CONFLICT(id) DO UPDATE SET open=excluded.open, severity=excluded.severity, condition=excluded.condition,"
        " raised_at=excluded.raised_at, incident=excluded.incident, hidden=excluded.hidden,"
        " seq=max(alerts.seq, excluded.seq), body=excluded.body",
    )


def _sound(name: str, body: bytes, key: str = "") -> Alert:
    """The alert in a row of this id and key.

    :raises UnreadableError: it is another one, or of a type there is none of.
    """
    alert = _alert.decode(body)
    if alert.id != name or key not in ("", alert.key):
        raise aside.UnreadableError(f"it says that it is {alert.id}, {alert.key}")
    if alert.type not in ALERT_TYPES:
        raise aside.UnreadableError(f"there is no alert type {alert.type}")
    return alert
