"""Event streams of cameras on 127.0.0.1, attached to by the real attacher; only the engine behind it is the test's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from devices import registry
from devices.kinds.link import Link
from devices.model import Device
from gateway import attached
from gateway.access import Access, AccessBook
from gateway.actions import RefusedError
from gateway.attached import StreamState
from gateway.attacher import Attacher
from gateway.directory import Directory
from gateway.inbox import PostAnswer, Posted
from gateway.journal import CommitError
from gateway.store import Store
from gateway.vault import Vault
from simulators.event_camera import BOUNDARY, DAHUA, EventCamera, alert
from simulators.http_door import HttpDoor
from tests.e2e.running import eventually
from tests.gateway.test_caller import certificate
from vision.gallery import Gallery

NOW = datetime.now(UTC).replace(microsecond=0)
CAMERA = Device(id="cam-1", kind="camera", protocol="hik_camera", address="C1")
TERMINAL = Device(id="door-1", kind="face_gate", protocol="hik_access", address="T1")
JPEG = b"\xff\xd8\xff\xe0a drawn scene\xff\xd9"


class Bench:
    """An attacher, and what it hands over. `answers`: what the engine says next, an error or an answer; else it takes
    everything."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "linli.db")
        vault = Vault.at(folder / "keys")
        self.book = AccessBook(self.store, vault)
        self.directory = Directory(self.store, vault, Gallery(), zone="Asia/Shanghai", community="c-1")
        self.directory.load()
        self.taken: list[Posted] = []
        self.answers: list[PostAnswer | Exception] = []
        self.lost: list[str] = []
        self.links: dict[str, Link] = {}
        self.offered = self.waiting = self.together = 0
        self.room = threading.Event()
        self.room.set()
        self.attacher = Attacher(
            directory=self.directory,
            book=self.book,
            protocols=registry.protocols(),
            post=self.post,
            lost=lambda device, _since: self.lost.append(device),
            link=self.links.get,
        )
        self.book.listeners.append(self.attacher.wake)

    def post(self, posted: Posted) -> Future[PostAnswer]:
        answer = self.answers.pop(0) if self.answers else PostAnswer()
        if isinstance(answer, RefusedError):
            raise answer
        future: Future[PostAnswer] = Future()
        future.set_running_or_notify_cancel()
        self.offered += 1
        self.waiting += 1
        self.together = max(self.together, self.waiting)

        def answered() -> None:
            assert self.room.wait(20)
            self.waiting -= 1
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                self.taken.append(posted)
                future.set_result(answer)

        threading.Thread(target=answered).start()
        return future

    def attach(self, camera: EventCamera | HttpDoor, device: Device = CAMERA, **more: Any) -> None:
        if self.directory.device(device.id) != device:
            self.directory.put_device(device)
        access = {"url": camera.url, "username": camera.username, "password": camera.password, **more}
        self.book.put(device.id, Access(attach=True, **access))

    def state(self, device: Device = CAMERA) -> StreamState:
        return self.attacher.state(device.id) or StreamState()

    def attached(self, device: Device = CAMERA) -> None:
        eventually(lambda: self.state(device).attached_since, what=f"the stream ({self.state(device)})")

    def trouble(self, device: Device = CAMERA) -> str:
        eventually(lambda: self.state(device).retry_at, what="the trouble")
        return self.state(device).trouble

    def said(self, count: int = 1) -> list[tuple[bytes, ...]]:
        """The bodies of so many events."""
        eventually(lambda: len(self.taken) >= count, what=f"event {count} of {len(self.taken)}")
        return [tuple(part.body for part in posted.push.parts) for posted in self.taken]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(attached, "SOON_S", 0.05)
    monkeypatch.setattr(attached, "BUSY_S", 0.05)
    monkeypatch.setattr(attached, "FLOOD_PAUSE_S", 0.01)
    made = Bench(tmp_path)
    made.attacher.start()
    yield made
    made.room.set()
    made.attacher.stop()
    assert made.attacher.bugs == 0
    made.store.close()


@pytest.fixture
def camera() -> Iterator[EventCamera]:
    made = EventCamera()
    yield made
    made.close()


def test_an_event_is_handed_over_with_its_picture_as_a_post_would_be(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    camera.alert("linedetection", NOW, picture=JPEG)
    assert bench.said() == [(alert("linedetection", NOW), JPEG)]
    (posted,) = bench.taken
    assert (posted.protocol, posted.push.address, posted.push.path) == ("hik_camera", "C1", "")
    assert (bench.state().parts, bench.state().trouble, camera.refused) == (1, "", 0)


def test_the_last_part_does_not_wait_for_the_next_boundary(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    for n in range(3):
        at = NOW + timedelta(seconds=n)
        camera.alert("VMD", at)
        assert bench.said(n + 1)[-1] == (alert("VMD", at),)


def test_a_dahua_camera_is_asked_for_all_codes_and_a_heartbeat(bench: Bench) -> None:
    camera = EventCamera(DAHUA)
    bench.attach(camera, replace(CAMERA, protocol="dahua"))
    bench.attached()
    camera.say(b"Heartbeat", "text/plain")
    assert bench.said() == [(b"Heartbeat",)]
    camera.close()


def test_who_is_not_to_be_attached_to_is_left_alone(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    bench.book.put(CAMERA.id, Access(url=camera.url, username=camera.username, password=camera.password))
    eventually(lambda: bench.attacher.state(CAMERA.id) is None, what="the end of the stream")
    eventually(lambda: not camera.send(b"x"), what="the hang-up")


def test_a_removed_device_is_left_alone(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    bench.directory.remove_device(CAMERA.id)
    bench.attacher.wake()
    eventually(lambda: bench.attacher.state(CAMERA.id) is None, what="the end of the stream")


def test_a_wrong_password_is_shown_once_and_told(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera, password="wrong")
    trouble = bench.trouble()
    assert trouble.startswith("cam-1: it refused the username or the password of its access; set its access anew")
    assert bench.attacher.problems() == [f"events of {trouble}"]
    retry_at = bench.state().retry_at
    assert retry_at is not None
    assert retry_at > datetime.now(UTC) + timedelta(minutes=55)
    assert (camera.refused, len(camera.asked)) == (1, 2)
    bench.attach(camera)
    bench.attached()
    assert (camera.refused, bench.attacher.problems()) == (1, [])


def test_a_nonce_that_is_used_up_is_no_wrong_password(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    camera.asking.nonce = "another"
    camera.hang_up()
    eventually(lambda: camera.streams == 2, what="the stream again")
    assert camera.refused == 0


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("redirect", "it answered with a redirect, which is never followed"),
        ("basic", "it offers no digest authentication"),
        ("refuse", "it forbids the user of its access its event stream (HTTP 403)"),
        ("status", "it has no event stream at /ISAPI/Event/notification/alertStream (HTTP 200)"),
    ],
)
def test_what_somebody_has_to_mend_is_told_and_not_tried_again_soon(bench: Bench, reply: str, told: str) -> None:
    door = HttpDoor(reply=reply)
    bench.attach(door)
    assert told in bench.trouble()
    state = bench.state()
    assert state.mend
    assert state.retry_at is not None
    assert state.retry_at > datetime.now(UTC) + timedelta(minutes=9)
    assert "/ISAPI/elsewhere" not in [one.path for one in door.told]
    door.close()


def test_a_camera_that_is_off_is_come_back_to(bench: Bench, camera: EventCamera) -> None:
    camera.close()
    bench.attach(camera)
    assert "it cannot be reached at the url of its access" in bench.trouble()
    assert bench.attacher.problems() == []
    camera.restart()
    bench.attached()
    assert bench.state().trouble == ""


def test_an_absence_is_told(bench: Bench, camera: EventCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "LOST_AFTER_S", 0.2)
    bench.attach(camera)
    bench.attached()
    assert bench.lost == []
    camera.close()
    assert eventually(lambda: bench.lost, what="the absence")[0] == "cam-1"
    camera.restart()


def test_a_restart_in_the_middle_of_a_part_loses_that_part_and_nothing_else(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    first, second, third = (alert("VMD", NOW + timedelta(seconds=n)) for n in range(3))
    head = f"--{BOUNDARY}\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
    camera.send((head % len(first)).encode() + first + b"\r\n" + (head % len(second)).encode() + second[:40])
    camera.hang_up()
    eventually(lambda: camera.streams == 2, what="the stream again")
    camera.say(third)
    assert bench.said(2) == [(first,), (third,)]


def test_garbage_is_handed_over_for_the_quarantine_and_the_next_part_is_read(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    camera.send(f"--{BOUNDARY}\r\n\x00\x01\x02 not a part\r\n".encode())
    camera.alert("VMD", NOW)
    assert bench.said(2) == [(b"\x00\x01\x02 not a part",), (alert("VMD", NOW),)]
    assert camera.streams == 1


def test_a_part_without_end_ends_the_stream(bench: Bench, camera: EventCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "PART_AT_MOST", 100_000)
    bench.attach(camera)
    bench.attached()
    camera.send(f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode() + b"x" * 300_000)
    eventually(lambda: camera.streams == 2, what="the stream again")
    assert bench.taken == []


def test_a_stream_slower_than_its_heartbeat_is_dead(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera, replace(CAMERA, params={"heartbeat_s": 0.2}))
    bench.attached()
    dripping = threading.Event()

    def drip() -> None:
        while not dripping.wait(0.05):
            camera.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    eventually(lambda: camera.streams >= 2, what="the stream again")
    dripping.set()
    thread.join()


def test_a_busy_engine_slows_the_camera_down_and_nothing_is_dropped(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    bench.room.clear()
    many = [alert("VMD", NOW + timedelta(seconds=n)) for n in range(300)]
    writer = threading.Thread(target=lambda: [camera.say(one, "application/xml", JPEG * 500) for one in many])
    writer.start()
    eventually(lambda: bench.offered, what="the first event")
    assert bench.taken == []
    bench.room.set()
    assert [said[0] for said in bench.said(300)] == many
    writer.join()
    assert bench.together == 1  # nothing more is read than what is waited for


@pytest.mark.parametrize(
    "refusal", [RefusedError("the gateway is too busy"), CommitError("the disk is full")], ids=["busy", "disk"]
)
def test_what_cannot_be_taken_just_now_is_offered_again(bench: Bench, camera: EventCamera, refusal: Exception) -> None:
    bench.answers = [refusal, refusal]
    bench.attach(camera)
    bench.attached()
    camera.alert("VMD", NOW)
    assert bench.said() == [(alert("VMD", NOW),)]
    assert (bench.state().trouble, camera.streams) == ("", 1)


def test_a_flood_that_is_refused_is_read_on(bench: Bench, camera: EventCamera) -> None:
    bench.answers = [PostAnswer(status=429), PostAnswer(status=422)]
    bench.attach(camera)
    bench.attached()
    for n in range(3):
        camera.alert("VMD", NOW + timedelta(seconds=n))
    assert len(bench.said(3)) == 3


def record(serial: int, at: datetime) -> dict[str, Any]:
    return {"major": 5, "minor": 75, "time": at.isoformat(), "serialNo": serial}


def test_a_terminal_is_asked_for_what_it_saw_meanwhile_before_its_stream_is_read(
    bench: Bench, camera: EventCamera
) -> None:
    bench.links[TERMINAL.id] = Link(online=True, high_water=NOW - timedelta(hours=1), clock_offset_s=600.0)
    clock = timedelta(seconds=600)
    camera.kept = [record(1, NOW - timedelta(hours=2) + clock)]
    camera.kept += [record(n, NOW - timedelta(minutes=40 - n) + clock) for n in range(2, 7)]
    bench.attach(camera, TERMINAL)
    bench.attached(TERMINAL)
    camera.say(b'{"live": 1}', "application/json")
    pages = bench.said(4)
    assert [(b'"serialNo": 1,' in p[0], b"InfoList" in p[0]) for p in pages] == [(False, True)] * 3 + [(False, False)]
    assert [n for p in pages for n in range(9) if f'"serialNo": {n}}}'.encode() in p[0]] == [2, 3, 4, 5, 6]
    assert bench.state(TERMINAL).history == ""


def test_a_terminal_without_a_search_says_so_and_is_read_all_the_same(
    bench: Bench, camera: EventCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.event_camera.HISTORY", "/elsewhere")
    bench.links[TERMINAL.id] = Link(online=True, high_water=NOW)
    bench.attach(camera, TERMINAL)
    bench.attached(TERMINAL)
    camera.say(b'{"live": 1}', "application/json")
    assert bench.said() == [(b'{"live": 1}',)]
    assert "could not be fetched" in bench.state(TERMINAL).history
    assert "HTTP 404" in bench.state(TERMINAL).history


def test_a_terminal_that_was_never_heard_is_asked_for_nothing(bench: Bench, camera: EventCamera) -> None:
    bench.links[TERMINAL.id] = Link()
    bench.attach(camera, TERMINAL)
    bench.attached(TERMINAL)
    camera.say(b'{"live": 1}', "application/json")
    assert bench.said() == [(b'{"live": 1}',)]


def test_an_access_that_cannot_be_opened_is_told(bench: Bench, camera: EventCamera) -> None:
    bench.attach(camera)
    bench.attached()
    with bench.store.write() as db:
        db.execute("UPDATE device_access SET sealed = x'00'")
    bench.attacher.wake()
    (problem,) = eventually(bench.attacher.problems, what="the problem")
    assert problem == "what is set for calling cam-1 cannot be opened; set the access again"


def test_a_camera_that_signs_for_itself_is_known_by_its_fingerprint(bench: Bench, tmp_path: Path) -> None:
    path, fingerprint = certificate(tmp_path)
    camera = EventCamera(tls=path)
    bench.attach(camera)
    assert "its certificate is signed by nobody known" in bench.trouble()
    bench.attach(camera, fingerprint="ab" * 32)
    eventually(lambda: "compare the fingerprint" in bench.state().trouble, what="the trouble")
    assert camera.asked == []
    bench.attach(camera, fingerprint=fingerprint)
    bench.attached()
    camera.alert("VMD", NOW, picture=JPEG)
    assert bench.said() == [(alert("VMD", NOW), JPEG)]
    camera.close()
