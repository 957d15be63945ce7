"""How the estate's faces stand: who is enrolled, how near a face has to be, and what that means in a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from gateway.directory import Directory
from gateway.store import Store, us, when
from gateway.thresholds import Thresholds
from vision.gallery import Gallery

WINDOW = timedelta(days=7)
_STRANGERS = """SELECT count(*) AS faces, total(instr(CAST(body AS TEXT), '"outcome":"stranger"') > 0) AS strangers
  FROM events WHERE type IN ('face_identified', 'access_granted', 'access_denied') AND type = 'face_identified'
  AND received_at >= ?"""


class Circle(Struct, frozen=True, kw_only=True):
    """People searched together: a building's (searched first at its gates), or all of the estate's (`building` "").
    `threshold`, L2, and `why` it is that; `false_accept`: the chance that a stranger is taken for one of them, a
    fraction, None without a calibration.
    """

    building: str
    people: int
    templates: int
    threshold: float
    why: str
    false_accept: float | None


class Strangers(Struct, frozen=True, kw_only=True):
    """Faces that were looked at, and those of them that were nobody's, in the last `days` (at most 7; a younger record
    counts as one day at least).
    """

    faces: int
    strangers: int
    days: float

    @property
    def per_day(self) -> float:
        """Strangers a day."""
        return self.strangers / self.days


class FaceReport(Struct, frozen=True, kw_only=True):
    """`false_accepts_per_day`: expected with as many strangers a day, at the worst kind of gate there is; None without
    a calibration.
    """

    people: int
    templates: int
    far: float
    estate: Circle
    buildings: list[Circle]
    seen: Strangers
    false_accepts_per_day: float | None
    trouble: str


def report(
    store: Store, directory: Directory, gallery: Gallery, thresholds: Thresholds, *, far: float, now: datetime
) -> FaceReport:
    """As things stand at `now`."""
    people = gallery.people()
    homes = directory.residents.homes(people)
    estate = _circle("", people, gallery, thresholds, searches=1)
    buildings = [_circle(name, homes[name], gallery, thresholds, searches=2) for name in sorted(homes) if name]
    seen = _strangers(store, now)
    wide = _circle("", people, gallery, thresholds, searches=2).false_accept
    chances = [estate.false_accept] + [
        near.false_accept + wide for near in buildings if near.false_accept is not None and wide is not None
    ]
    worst = max((chance for chance in chances if chance is not None), default=None)
    return FaceReport(
        people=len(people),
        templates=len(gallery),
        far=far,
        estate=estate,
        buildings=buildings,
        seen=seen,
        false_accepts_per_day=None if worst is None else worst * seen.per_day,
        trouble=thresholds.trouble,
    )


def _circle(
    building: str, people: frozenset[str], gallery: Gallery, thresholds: Thresholds, *, searches: int
) -> Circle:
    templates = gallery.count(people)
    limit = thresholds.at(templates, searches)
    return Circle(
        building=building,
        people=len(people),
        templates=templates,
        threshold=limit.distance,
        why=limit.why,
        false_accept=thresholds.false_accept(limit, templates),
    )


def _strangers(store: Store, now: datetime) -> Strangers:
    reader = store.reader
    row = reader.execute(_STRANGERS, (us(now - WINDOW),)).fetchone()
    first = reader.execute("SELECT received_at FROM events ORDER BY seq LIMIT 1").fetchone()
    age = min(WINDOW, now - when(first["received_at"])) if first else timedelta()
    return Strangers(faces=row["faces"], strangers=int(row["strangers"]), days=max(1.0, age / timedelta(days=1)))
