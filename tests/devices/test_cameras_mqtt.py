"""Frigate and ONVIF Profile M: every kind of message, and nothing personal kept."""

from __future__ import annotations

import msgspec
import pytest

from devices.effects import OpenPassage
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import evidence_key
from devices.model import Protocol
from devices.protocols import frigate, onvif
from tests.devices.hostile import JPEG, NOW, ZONE
from tests.devices.said import AT, registered, say, told, wire

FRIGATE, ONVIF = frigate.PROTOCOL, onvif.PROTOCOL
PERSON = "object_detected label=person {}track=1772406900.1-abc123 confidence=0.8"
YARD, DOOR = PERSON.format("zone=yard "), PERSON.format("zone=door ")


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("new", [PERSON.format("")]),
        ("entered", [YARD]),
        ("moved", [DOOR, f"{YARD} present=False"]),
        ("ended", [f"{YARD} present=False"]),
        ("taken-back", [f"{YARD} present=False"]),
        ("review", ["vendor_notice name=review.alert code=new"]),
        ("face", ["vendor_notice name=frigate.face"]),
        ("plate", ["plate_captured plate=沪A12345 confidence=0.9 trigger=frigate"]),
        ("class", ["vendor_notice name=frigate.classification code=uniform"]),
        ("trigger", ["vendor_notice name=frigate.trigger code=red_car"]),
        ("online", ["device_status_changed online=True"]),
        ("stopped", ["device_status_changed online=False reason=goodbye"]),
        ("stats", ["heartbeat"]),
        ("count", ["sensor_measured metric=person_count value=2.0"]),
        ("active", ["sensor_measured metric=person_active_count value=1.0"]),
        ("motion", ["sensor_measured metric=motion value=1.0"]),
        ("detect", ["vendor_notice name=frigate.detect code=OFF"]),
        ("camera-lost", ["camera_health_changed fault=signal_lost active=True"]),
        ("review-status", ["vendor_notice name=frigate.review_status code=ALERT"]),
    ],
)
def test_frigate_speaks(name: str, events: list[str]) -> None:
    assert told(say(FRIGATE, name)) == events


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("line", ["hazard_detected hazard=intrusion"]),
        ("inside", ["object_detected label=object zone=Yard track=15"]),
        ("outside", ["object_detected label=object zone=Yard track=15 present=False"]),
        ("motion", ["sensor_measured metric=motion value=1.0"]),
        ("tamper", ["tamper_detected"]),
        ("lost", ["camera_health_changed fault=signal_lost active=True"]),
        ("moved", ["camera_health_changed fault=moved active=False"]),
        ("input", ["sensor_measured metric=digital_input value=1.0"]),
        ("warm", ["sensor_measured metric=temperature_c value=28.5"]),
        ("plate", ["plate_captured plate=沪A12345 trigger=onvif"]),
        ("count", ["sensor_measured metric=object_count value=7.0"]),
        ("granted", ["access_granted method=card"]),
        ("denied", ["access_denied method=card reason=CredentialExpired"]),
        ("not-found", ["access_denied method=unknown reason=UnknownCredential"]),
        ("taken", ["access_taken"]),
        ("duress", ["duress_signalled"]),
        ("door", ["door_changed open=True"]),
        ("forced", ["door_alarmed state=DoorForcedOpen"]),
        ("door-tamper", ["tamper_detected"]),
        ("lens", ["vendor_notice name=Device/HardwareFailure/acme:LensFailure code=true"]),
        ("rebooted", ["device_status_changed online=True"]),
    ],
)
def test_onvif_speaks(name: str, events: list[str]) -> None:
    decoded = say(ONVIF, name)
    assert told(decoded) == events
    assert decoded.address == "cam-1"
    assert decoded.readings[0].event.at == AT


@pytest.mark.parametrize("name", ["unsure", "words"])
def test_what_frigate_is_not_sure_of_or_puts_in_words_is_ignored_for_a_reason(name: str) -> None:
    assert say(FRIGATE, name).ignored


@pytest.mark.parametrize(
    ("protocol", "name"),
    [(FRIGATE, "face"), (FRIGATE, "class"), (FRIGATE, "plate"), (FRIGATE, "moved"), (ONVIF, "granted")],
)
def test_no_name_that_a_camera_gives_somebody_is_kept(protocol: Protocol, name: str) -> None:
    kept = msgspec.json.encode([reading.event for reading in say(protocol, name).readings])
    assert b"Somebody" not in kept
    assert b"A car" not in kept


def test_a_snapshot_is_a_picture() -> None:
    decoded = FRIGATE.decode("frigate/gate/person/snapshot", JPEG, NOW, ZONE)
    assert told(decoded) == [f"frame_captured evidence={evidence_key(JPEG)}"]
    assert decoded.images == (JPEG,)
    assert FRIGATE.decode("frigate/gate/person/snapshot", b"", NOW, ZONE).ignored


def test_under_another_prefix_a_camera_is_another_device() -> None:
    assert FRIGATE.decode("nvr-2/gate/motion", b"ON", NOW, ZONE).address == "nvr-2/gate"
    assert FRIGATE.topics_of is not None
    assert "nvr-2/+/+" in FRIGATE.topics_of(registered("frigate", base="nvr-2"))
    assert FRIGATE.topics_of(registered("frigate")) == ()


def test_an_onvif_prefix_may_have_slashes() -> None:
    message = wire({"UtcTime": "2026-03-01T23:15:09Z", "Data": {"State": "true"}})
    decoded = ONVIF.decode("site/3/onvif-ej/VideoSource/SignalLoss/&Source/1", message, NOW, ZONE)
    assert decoded.address == "site/3"
    assert ONVIF.topics_of is not None
    assert ONVIF.topics_of(registered("onvif", address="site/3")) == ("site/3/onvif-ej/#",)


@pytest.mark.parametrize("protocol", [FRIGATE, ONVIF], ids=lambda p: p.name)
def test_a_camera_that_only_speaks_takes_no_commands(protocol: Protocol) -> None:
    assert not protocol.commands
    with pytest.raises(UnsupportedCommandError):
        protocol.encode(OpenPassage(not_after=NOW), "c-1", registered(protocol.name), AT)
    with pytest.raises(DecodeError):
        protocol.decode("a", b"{}", NOW, ZONE)
