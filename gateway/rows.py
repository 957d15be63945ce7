"""The rows of a batch, table by table. Everything here happens inside the journal's transaction."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Connection

import msgspec

from devices.events import NAME_OF
from gateway.changes import Changes, DeviceState, Quarantined
from gateway.store import insert_many, us
from gateway.vault import Vault

QUARANTINE_BYTES = 64 * 1024
"""So much of a quarantined message is kept, sealed."""

_json = msgspec.json.Encoder()


class SavedState(msgspec.Struct):
    """A device's state as saved. `of` names the shape of `kind`, so that no kind takes up the state of another."""

    link: msgspec.Raw
    kind: msgspec.Raw
    of: str = ""


def _saved(state: DeviceState) -> bytes:
    link, kind = msgspec.Raw(_json.encode(state.link)), msgspec.Raw(_json.encode(state.kind))
    return _json.encode(SavedState(link, kind, type(state.kind).__qualname__))


def write_facts(db: Connection, batch: Changes) -> None:
    """Events, the states of devices and policies, what stands on retained topics, and points."""
    encode = _json.encode
    insert_many(
        db,
        "INSERT INTO events(id, device, type, at, received_at, late, body)",
        [
            (e.id, e.device, NAME_OF[type(e.event)], us(e.at), us(e.received_at), e.late, encode(e.event))
            for e in batch.events
        ],
    )
    states = [("device:" + name, _saved(state)) for name, state in batch.devices.items()]
    gone = [("device:" + name,) for name in batch.forgotten]
    for (policy, scope), held in batch.policies.items():
        name = f"policy:{policy}:{scope}"
        if held is None:
            gone.append((name,))
        else:
            states.append((name, encode(held)))
    if gone:
        db.executemany("DELETE FROM states WHERE name=?", gone)
    if batch.forgotten:
        db.executemany("DELETE FROM standing WHERE device=?", [(device,) for device in batch.forgotten])
    insert_many(
        db,
        "INSERT OR REPLACE INTO standing(device, topic, said)",
        [(device, topic, said) for (device, topic), said in batch.standing.items()],
    )
    insert_many(db, "INSERT OR REPLACE INTO states(name, body)", states)
    insert_many(
        db,
        "INSERT INTO points(device, metric, at, value)",
        [(p.device, p.metric, us(p.at), p.value) for p in batch.points],
    )


def write_work(db: Connection, batch: Changes) -> None:
    """Commands, and the questions vision was asked or has answered."""
    for c in batch.commands.values():
        db.execute(
            "INSERT INTO commands(id, idempotency_key, device, type, body, requested_by, requested_at, not_after,"
            " status, reason, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET"
            " body=excluded.body, status=excluded.status, reason=excluded.reason, updated_at=excluded.updated_at",
            (
                c.id, batch.keys.get(c.id), c.device, c.type, _json.encode(c), c.requested_by,
                us(c.requested_at), us(c.not_after), c.status, c.reason, us(c.updated_at),
            ),
        )  # fmt: skip
    for job in batch.jobs.values():
        kind = str(job.question.__struct_config__.tag)
        db.execute(
            "INSERT OR IGNORE INTO jobs(id, kind, device, body, not_after) VALUES (?,?,?,?,?)",
            (job.id, kind, job.device, _json.encode(job.question), us(job.question.not_after)),
        )
    db.executemany("DELETE FROM jobs WHERE id=?", [(job,) for job in batch.jobs_done])


def write_pictures(db: Connection, batch: Changes, vault: Vault, expires: datetime) -> None:
    """What was captured and kept until `expires`, the faces on it, and what is remembered of views."""
    db.executemany(
        "INSERT OR REPLACE INTO scenes VALUES(?, ?)",
        [(device, vault.seal(memory, f"scene:{device}")) for device, memory in batch.scenes.items()],
    )
    db.executemany("DELETE FROM scenes WHERE device = ?", [(device,) for device in batch.forgotten])
    for key, (device, at, image) in batch.captures.items():
        media = "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"
        db.execute(
            "INSERT INTO captures(key, device, at, size, media, expires) VALUES (?,?,?,?,?,?)"
            " ON CONFLICT(key) DO UPDATE SET expires=excluded.expires",
            (key, device, us(at), len(image), media, us(expires)),
        )
    db.executemany(
        "INSERT INTO sightings(device, at, evidence, fingerprint) VALUES (?,?,?,?)",
        [(s.device, us(s.at), s.evidence, s.fingerprint) for s in batch.sightings],
    )


def set_aside(db: Connection, quarantined: list[Quarantined], vault: Vault, at_most: int) -> None:
    """Messages nobody could use, sealed; the latest `at_most` are kept."""
    if not quarantined:
        return
    db.executemany(
        "INSERT INTO quarantine(at, address, topic, reason, size, payload) VALUES (?,?,?,?,?,?)",
        [
            (
                us(q.at),
                q.address,
                q.topic,
                q.reason,
                len(q.payload),
                vault.seal(q.payload[:QUARANTINE_BYTES], "quarantine"),
            )
            for q in quarantined
        ],
    )
    db.execute(
        "DELETE FROM quarantine WHERE seq <= (SELECT max(seq) FROM quarantine) - ?",
        (at_most,),
    )
