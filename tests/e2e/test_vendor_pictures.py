"""Pictures as the vendors' devices send them, looked at by the real models: a face opens the door, a plate the barrier.

Once with drawings, which every machine has, and once with photographs, where ../shared lies beside the checkout.
"""

import base64
import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from devices.events import evidence_key
from simulators.face_drawing import DISTINCT, draw_face
from simulators.plate_drawing import draw_car
from tests.e2e.running import Peer, RunningGateway, eventually, running

pytestmark = [pytest.mark.e2e, pytest.mark.models]
SHARED = Path(__file__).resolve().parents[3] / "shared"
TERMINAL, CAMERA = "1305433", "a1b2c3d4-e5f60718"
RECORD = count(1)
"""Devices number their records; the same number within a second would be the same record sent again."""
ZONE = ZoneInfo("Asia/Shanghai")
PARAMS = {"face_answer_s": 60.0, "open_within_s": 60.0, "plate_answer_s": 60.0}
"""Models that have just been loaded on a busy machine are slow; how slow is measured elsewhere."""


class Faces(NamedTuple):
    """Somebody's photos: handed in, and taken at the gate; and one of a stranger."""

    enrolled: list[bytes]
    shown: bytes
    stranger: bytes


class Car(NamedTuple):
    """A picture of a lane and the plate on it."""

    picture: bytes
    plate: str


def needs_shared(folder: str) -> Path:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"no photographs: ../shared/{folder} is not on this machine")
    return SHARED / folder


@pytest.fixture(params=["drawn", "photographed"])
def faces(request: pytest.FixtureRequest) -> Faces:
    if request.param == "drawn":
        me, other = DISTINCT[0], DISTINCT[1]
        return Faces([draw_face(me, shot=0), draw_face(me, shot=2)], draw_face(me, shot=1), draw_face(other, shot=1))
    folder = needs_shared("faces") / "images"
    return Faces(
        [(folder / name).read_bytes() for name in ("img1.jpg", "img2.jpg")],
        (folder / "img4.jpg").read_bytes(),
        (folder / "img67.jpg").read_bytes(),
    )


@pytest.fixture(params=["drawn", "photographed"])
def car(request: pytest.FixtureRequest) -> Car:
    if request.param == "drawn":
        return Car(draw_car("川B7K392", seed=3), "川B7K392")
    folder = needs_shared("plates")
    with (folder / "scenes.csv").open(encoding="utf-8") as file:
        scene = next(csv.DictReader(file))
    return Car((folder / scene["file"]).read_bytes(), scene["plate"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("pictures"), workers=1) as found:
        found.put_device("door", "face_gate", "oem_face", address=TERMINAL, params=PARAMS)
        found.put_device("lane", "barrier", "vzenith", address=CAMERA, direction="in", params=PARAMS)
        yield found


@pytest.fixture
def terminal(gateway: RunningGateway) -> Iterator[Peer]:
    peer = Peer(gateway.broker, "terminal", hears=[f"mqtt/face/{TERMINAL}"])
    yield peer
    peer.close()


@pytest.fixture
def camera(gateway: RunningGateway) -> Iterator[Peer]:
    peer = Peer(gateway.broker, "camera", hears=[f"device/{CAMERA}/message/down/gpio_out"])
    yield peer
    peer.close()


def snapped(image: bytes) -> dict[str, Any]:
    """A stranger's picture as the terminal pushes it: local time, numbers as text, base64 as a data URL."""
    info = {
        "facesluiceId": TERMINAL,
        "SnapID": str(next(RECORD)),
        "time": datetime.now(ZONE).strftime("%Y-%m-%d %H:%M:%S"),
        "isNoMask": "1",
        "PushType": 0,
        "pic": "data:image/jpeg;base64," + base64.b64encode(image).decode(),
    }
    return {"operator": "StrSnapPush", "info": info}


def passed(image: bytes) -> dict[str, Any]:
    """A vehicle whose plate the camera could not read."""
    now, number = datetime.now(UTC), next(RECORD)
    result = {
        "license": "",
        "confidence": 0,
        "colorType": 0,
        "triggerType": 1,
        "isoffline": 0,
        "plateid": number,
        "full_image_content": base64.b64encode(image).decode(),
        "small_image_content": "",
        "timeStamp": {"Timeval": {"sec": int(now.timestamp()), "usec": now.microsecond}},
    }
    alarm = {"channel": 0, "serialno": CAMERA, "result": {"PlateResult": result}}
    envelope = {"id": f"m-{number}", "sn": CAMERA, "name": "ivs_result", "version": "1.0"}
    return {**envelope, "timestamp": int(now.timestamp()), "payload": {"AlarmInfoPlate": alarm}}


def seen(gateway: RunningGateway, device: str, type_: str, image: bytes) -> dict[str, Any]:
    """What the models made of this picture."""
    key = evidence_key(image)

    def found() -> list[dict[str, Any]]:
        return [event for event in gateway.events(device, type_) if event["evidence"] == key]

    return eventually(found, within=60, what=type_)[-1]


def heard(peer: Peer, operator: str) -> dict[str, Any]:
    """The next message of this name; the acknowledgements of records come in between."""
    while True:
        _, body = peer.next()
        if operator in (body.get("operator"), body.get("name")):
            found: dict[str, Any] = body
            return found


def check_evidence(gateway: RunningGateway, image: bytes) -> None:
    answer = gateway.api.get(f"/v1/evidence/{evidence_key(image)}")
    assert answer.status_code == 200
    assert answer.content == image
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    sealed = [file for file in (gateway.data / "evidence").rglob("*") if file.is_file()]
    assert sealed
    assert not any(image[:512] in file.read_bytes() for file in sealed), "a face lies open on the disk"


def test_an_enrolled_face_on_another_picture_opens_the_oem_terminals_door(
    gateway: RunningGateway, terminal: Peer, faces: Faces
) -> None:
    enrolled = gateway.enrol("张伟", photos=faces.enrolled)
    assert enrolled["templates"] == len(faces.enrolled), enrolled
    terminal.say(f"mqtt/face/{TERMINAL}/Snap", snapped(faces.shown))
    found = seen(gateway, "door", "face_identified", faces.shown)
    assert (found["outcome"], found["person"], found["allowed"]) == ("identified", enrolled["id"], True), found
    assert found["distance"] < found["threshold"]
    unlock = heard(terminal, "Unlock")
    assert unlock["info"]["openDoor"] == "1"
    command = gateway.get(f"/v1/commands/{unlock['messageId']}")
    assert (command["type"], command["device"], command["requested_by"]) == ("open_passage", "door", "gateway")
    check_evidence(gateway, faces.shown)

    terminal.say(f"mqtt/face/{TERMINAL}/Snap", snapped(faces.stranger))
    assert seen(gateway, "door", "face_identified", faces.stranger)["outcome"] == "stranger"
    assert seen(gateway, "door", "access_denied", faces.stranger)["reason"] == "UnknownCredential"
    assert gateway.get("/v1/commands", device="door")["items"][0]["id"] == unlock["messageId"], "a stranger was let in"
    gateway.api.delete(f"/v1/residents/{enrolled['id']}").raise_for_status()
    assert gateway.api.get(f"/v1/evidence/{evidence_key(faces.shown)}").status_code == 404, (
        "a face outlived its consent"
    )


def test_a_plate_the_camera_could_not_read_is_read_and_opens_the_barrier(
    gateway: RunningGateway, camera: Peer, car: Car
) -> None:
    gateway.api.put(f"/v1/vehicles/{car.plate}", json={"listing": "allow"}).raise_for_status()
    camera.say(f"device/{CAMERA}/message/up/ivs_result", passed(car.picture))
    found = seen(gateway, "lane", "plate_read", car.picture)
    assert (found["outcome"], found["plate"]) == ("read", car.plate), found
    pulse = heard(camera, "gpio_out")
    assert pulse["payload"]["body"]["value"] == 2
    assert seen(gateway, "lane", "plate_checked", car.picture)["listing"] == "allow"
    check_evidence(gateway, car.picture)


def test_no_picture_met_an_error_of_our_own(gateway: RunningGateway) -> None:
    assert gateway.bugs() == []
