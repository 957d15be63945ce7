from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import msgspec

from api import views
from api.views import impersonal
from devices.events import CommandResult
from devices.kinds import KINDS
from devices.kinds.barrier import BARRIER
from devices.kinds.camera import Camera
from devices.kinds.scene import Watch
from devices.model import Device
from devices.protocols import PROTOCOLS
from tests.api.conftest import GATE, TESTBED, Estate, in_hours

CAMERA = Device(id="cam-1", kind="camera", protocol="native", address="C1")
NEW = {"id": "gate-4", "kind": "face_gate", "protocol": "testbed", "address": "G4"}


def test_a_device_shows_its_state_and_what_it_can_do(call, estate: Estate):
    reader = estate.token("devices:read")
    unheard = call("GET", "/v1/devices/gate-3", reader).json()
    assert (unheard["online"], unheard["last_seen"], unheard["state"]) == (None, None, {})
    estate.connect(GATE)
    shown = call("GET", "/v1/devices", reader).json()["items"]
    assert [(device["id"], device["online"], device["commands"]) for device in shown] == [
        ("gate-3", True, ["open_passage"])
    ]
    assert call("GET", "/v1/devices/gate-3", reader).json() == shown[0]


def test_a_state_is_shown_without_anything_personal():
    state = {"open": True, "last_plate": "粤B12345", "waiting": [{"person": "res_1", "since": 3}], "evidence": "ab"}
    assert impersonal(state) == {"open": True, "waiting": [{"since": 3}]}
    shown = msgspec.json.encode(impersonal(msgspec.to_builtins(BARRIER.initial)))
    assert b"plate" not in shown


def test_a_new_device_gets_the_estates_defaults(call, estate: Estate):
    added = call("POST", "/v1/devices", estate.token(), json=NEW)
    assert added.status_code == 201
    assert (added.json()["community"], added.json()["zone"]) == ("c-1", "Asia/Shanghai")
    again = call("POST", "/v1/devices", estate.token(), json=NEW)
    assert (again.status_code, again.json()["detail"]) == (409, "there is a device gate-4 already")


def test_putting_a_device_makes_or_changes_it(call, estate: Estate):
    body = {name: value for name, value in NEW.items() if name != "id"}
    assert call("PUT", "/v1/devices/gate-4", estate.token(), json=body).status_code == 201
    changed = call("PUT", "/v1/devices/gate-4", estate.token(), json=body | {"address": "G5", "building": "7"})
    assert (changed.status_code, changed.json()["building"]) == (200, "7")
    assert estate.directory.device_at("testbed", "G4") is None
    assert call("DELETE", "/v1/devices/gate-4", estate.token()).status_code == 204
    assert call("GET", "/v1/devices/gate-4", estate.token()).status_code == 404


def test_what_is_wrong_with_a_device_is_said_in_words(call, estate: Estate):
    for wrong, words in (
        ({"kind": "toaster"}, "there is no kind 'toaster'"),
        ({"protocol": "smoke"}, "there is no protocol 'smoke'"),
        ({"zone": "Mars/Olympus"}, "not an IANA time zone"),
        ({"id": "../x"}, "a device id has"),
        ({"colour": "red"}, "body.colour"),
    ):
        refused = call("POST", "/v1/devices", estate.token(), json=NEW | wrong)
        assert refused.status_code == 422
        assert words in refused.json()["detail"]
    taken = call("POST", "/v1/devices", estate.token(), json=NEW | {"address": "G3"})
    assert (taken.status_code, taken.json()["detail"]) == (409, "testbed G3 is the address of gate-3")


def test_a_command_with_the_same_key_is_sent_once(call, estate: Estate):
    estate.connect(GATE)
    desk = estate.token("commands:write") | {"Idempotency-Key": "press-1"}
    first, second = (call("POST", "/v1/devices/gate-3/commands", desk, json={"type": "open_passage"}) for _ in range(2))
    assert (first.status_code, first.json()["status"], first.json()["requested_by"]) == (202, "sent", "desk 1")
    assert second.json()["id"] == first.json()["id"]
    assert estate.published == 1


def test_the_same_key_of_another_token_is_another_command(call, estate: Estate):
    estate.connect(GATE)
    for _ in range(2):
        desk = estate.token("commands:write") | {"Idempotency-Key": "press-1"}
        assert call("POST", "/v1/devices/gate-3/commands", desk, json={"type": "open_passage"}).status_code == 202
    assert estate.published == 2


def test_waiting_for_a_command_tells_how_it_ended(call, estate: Estate):
    estate.connect(GATE)

    def answer_when_published() -> None:
        while not (unfinished := estate.journal.kept.unfinished_commands()):
            pass
        estate.answer_command(unfinished[0].id, CommandResult.DONE)

    gate = threading.Thread(target=answer_when_published)
    gate.start()
    body = {"type": "open_passage"}
    done = call("POST", "/v1/devices/gate-3/commands", estate.token("commands:write"), json=body, params={"wait": 10})
    gate.join()
    assert (done.status_code, done.json()["status"], done.json()["final"]) == (200, "done", True)
    shown = call("GET", f"/v1/commands/{done.json()['id']}", estate.token("devices:read"))
    assert shown.json() == done.json()
    listed = call("GET", "/v1/commands", estate.token("devices:read"), params={"device": "gate-3"})
    assert listed.json()["items"] == [done.json()]


def test_a_command_that_cannot_be_is_refused_and_never_queued(call, estate: Estate):
    writer = estate.token("commands:write")
    path = "/v1/devices/gate-3/commands"
    assert "offline" in call("POST", path, writer, json={"type": "open_passage"}).json()["detail"]
    estate.connect(GATE)
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    for body, status in (
        ({"type": "close_barrier"}, 409),
        ({"type": "open_passage", "level_pct": 5}, 422),
        ({"type": "set_lamp"}, 422),
        ({"type": "open_passage", "not_after": past}, 422),
        ({"type": "open_passage", "not_after": in_hours(1)}, 422),
        ({"type": "explode"}, 422),
        ({"type": "answer_credential", "reply_to": "v1/1", "allowed": True}, 422),
    ):
        assert call("POST", path, writer, json=body).status_code == status
    assert call("POST", "/v1/devices/none/commands", writer, json={"type": "open_passage"}).status_code == 404
    assert estate.published == 0


def test_what_only_the_gateway_says_by_itself_is_offered_to_nobody():
    for kind in ("face_gate", "barrier", "a kind of somebody else"):
        for protocol in ("vf", "vzenith"):
            offered = views.commands_of(Device(id="d", kind=kind, protocol=protocol, address="a"), PROTOCOLS)
            assert "open_passage" in offered
            assert {"answer_credential", "report_lists"} & set(offered) == set()


def test_every_kind_of_ours_says_which_commands_it_has_a_use_for():
    assert views._USES.keys() == KINDS.keys()
    lamp = Device(id="l", kind="light", protocol="testbed", address="L")
    gate = Device(id="g", kind="face_gate", protocol="native", address="G")
    assert views.commands_of(gate, PROTOCOLS) == ["open_passage", "reboot", "speak", "sync_time", "take_snapshot"]
    assert views.commands_of(lamp, {"testbed": TESTBED}) == []
    assert views.commands_of(GATE, {"testbed": TESTBED}) == ["open_passage"]


def test_a_view_is_accepted_by_who_may_close_alerts_and_its_alerts_end_with_the_reason(call, estate: Estate):
    estate.directory.put_device(CAMERA)
    estate.connect(CAMERA, kind=Camera(watch=Watch(last=datetime.now(UTC))))
    moved = estate.raise_alert("camera_moved", at="cam-1")
    lost = estate.raise_alert("camera_signal_lost", at="cam-1")
    path, why = "/v1/devices/cam-1/scene/accept", {"reason": "fixed at its new angle"}
    assert call("POST", path, estate.token("alerts:read", "devices:write"), json=why).status_code == 403
    assert call("POST", path, estate.token("alerts:write"), json={}).status_code == 422
    done = call("POST", path, estate.token(role="desk"), json=why)
    assert (done.status_code, done.json()["ended"], done.json()["by"]) == (200, [moved], "desk 1")
    ended = call("GET", f"/v1/alerts/{moved}", estate.token()).json()
    assert (ended["open"], ended["disposition"], ended["history"][-1]["reason"]) == (False, "no_action", why["reason"])
    assert call("GET", f"/v1/alerts/{lost}", estate.token()).json()["open"]
    refused = call("POST", "/v1/devices/gate-3/scene/accept", estate.token(), json=why)
    assert (refused.status_code, "gate-3 is no camera" in refused.json()["detail"]) == (409, True)
