"""How near a face has to be: from the false accepts an estate will bear, the calibration in the database and how many
templates are searched, to a distance.

A calibration holds for one network and one detector; another's is refused, and one that no longer fits what the
settings name is left aside and said so on `/health`. Without one the setting `faces.threshold` counts. All methods may
be called from any thread.
"""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.refusals import InvalidError
from gateway.settings import Faces
from gateway.store import Store, us, when
from vision.calibration import FLOOR, Calibration, CalibrationError, attempt, operating_point
from vision.engines import choose
from vision.gallery import Limit, Rule
from vision.types import MODEL


def rounded_up(templates: int) -> int:
    """To three binary digits, by at most a quarter: a handful of sizes stands for all."""
    step = 1 << max(0, templates.bit_length() - 3)
    return -(-templates // step) * step


class Kept(Struct, frozen=True, kw_only=True):
    """A calibration as it was recorded. `seq` counts them; the newest one counts."""

    seq: int
    at: datetime
    recorded_by: str
    calibration: Calibration


class _InForce(Struct, frozen=True, eq=False):
    """What thresholds are made from now, and those made so far, by templates (rounded up) and searches."""

    kept: Kept | None
    refusal: str
    limits: dict[tuple[int, int], Limit]


class Thresholds:
    """The thresholds of this estate."""

    def __init__(self, store: Store, faces: Faces) -> None:
        self._store, self._faces = store, faces
        self.detector = choose(faces.engine, Path(faces.yunet) if faces.yunet else None)
        self._now = _InForce(None, "no calibration", {})
        self._lock = threading.Lock()
        self._seq = 0
        """Of the calibration that was read last."""

    def load(self) -> None:
        """Take up the newest calibration in the database, whoever wrote it (`linli faces calibrate` does)."""
        with self._lock:
            newest = self._store.reader.execute("SELECT max(seq) AS seq FROM calibrations").fetchone()["seq"]
            if newest is not None and newest != self._seq:
                self._take_up(newest)
                self._seq = newest

    def _take_up(self, seq: int) -> None:
        row = self._store.reader.execute("SELECT * FROM calibrations WHERE seq = ?", (seq,)).fetchone()
        try:
            calibration = msgspec.json.decode(row["body"], type=Calibration)
        except msgspec.ValidationError:
            self._now = _InForce(None, "the calibration in the database cannot be read", {})
            return
        kept = Kept(seq=row["seq"], at=when(row["at"]), recorded_by=row["recorded_by"], calibration=calibration)
        self._now = _InForce(kept, self.refusal(calibration.model, calibration.detector), {})

    def keep(self, calibration: Calibration, *, recorded_by: str, now: datetime) -> Kept:
        """Record a calibration and use it from now on.

        :raises InvalidError: it is of another network or another detector.
        """
        self.check(calibration.model, calibration.detector)
        with self._store.write() as db:
            db.execute(
                "INSERT INTO calibrations(at, recorded_by, body) VALUES(?, ?, ?)",
                (us(now), recorded_by, msgspec.json.encode(calibration)),
            )
        self.load()
        if self._now.kept is None:
            raise AssertionError("it was written just now")
        return self._now.kept

    def read(self, body: Any) -> Calibration:
        """A calibration as it comes from outside.

        :raises InvalidError: it is none; the text says what is wrong.
        """
        try:
            given = msgspec.convert(body, Calibration)
        except msgspec.ValidationError as error:
            raise InvalidError(f"not a calibration: {error}") from error
        return replace(given, genuine=tuple(sorted(given.genuine)))

    def check(self, model: str, detector: str) -> None:
        """Would a calibration of these be taken?

        :raises InvalidError: it would not; the text says why.
        """
        if refusal := self.refusal(model, detector):
            raise InvalidError(refusal)

    def refusal(self, model: str, detector: str) -> str:
        """Why a calibration of these says nothing about the distances measured here; "" when it does."""
        if model != MODEL:
            return f"the calibration is of the network {model}, faces here are compared with {MODEL}"
        if detector != self.detector:
            return (
                f"the calibration is of the detector {detector or 'unknown'}, faces here are found with "
                f"{self.detector} (faces.engine); calibrate again with that"
            )
        return ""

    @property
    def kept(self) -> Kept | None:
        """The newest calibration, in use or not."""
        return self._now.kept

    @property
    def trouble(self) -> str:
        """Why the newest calibration is not used; "" when it is, or there is none."""
        return self._now.refusal if self._now.kept is not None else ""

    def rule(self, searches: int = 1) -> Rule:
        """From the number of templates searched to the threshold. One face may be searched for `searches` times, each
        a chance of a false accept, so each gets its part of the rate wanted.
        """
        now = self._now
        return lambda templates: self._limit(now, templates, searches)

    def at(self, templates: int, searches: int = 1) -> Limit:
        """The threshold for so many templates."""
        return self._limit(self._now, templates, searches)

    def _limit(self, now: _InForce, templates: int, searches: int) -> Limit:
        """Made once for each size, rounded up: never too lenient, and nothing to reckon per face."""
        bucket = rounded_up(max(1, templates))
        found = now.limits.get((bucket, searches))
        if found is None:
            found = now.limits[bucket, searches] = self._made(now, bucket, searches)
        return found

    def _made(self, now: _InForce, templates: int, searches: int) -> Limit:
        if now.kept is None or now.refusal:
            return Limit(self._faces.threshold, f"faces.threshold: {now.refusal}"[:128])
        far = self._faces.far / searches
        try:
            point = operating_point(now.kept.calibration, far=far, gallery=templates)
        except CalibrationError:
            return Limit(
                FLOOR, f"the strictest of use; {far:g} per attempt cannot be had against {templates} templates"
            )
        return Limit(point.threshold, point.why[:128])

    def false_accept(self, limit: Limit, templates: int) -> float | None:
        """The chance that one stranger is taken for one of so many templates; None without a calibration to say so."""
        now = self._now
        if now.kept is None or now.refusal:
            return None
        return attempt(now.kept.calibration.false_accept(limit.distance), templates)
