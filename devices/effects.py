"""Requests, in the imperative: everything a decision can ask the shell to do. All are frozen.

An effect is about the device whose event was decided, unless it names another. What moves something carries
`not_after`: it is published once, before that instant, or never.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from devices.events import Event, Method, PlateText


class Effect(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all requests."""


# -- alerts ---------------------------------------------


class RaiseAlert(Effect, frozen=True, kw_only=True, tag="raise_alert"):
    """Open the alert of type `code` (see `devices.alert_types.ALERT_TYPES`), or count it up if it is open.

    `at`: when the danger began, UTC. `instance` tells apart several of one type at one device. `subject` is a registry
    id (person, vehicle) or a plate: it stays inside the gateway. `detail` holds small facts for the reader, with units
    in their names and nothing personal.
    """

    code: str
    at: datetime
    instance: str = ""
    subject: str = ""
    confidence: float = 1.0
    evidence: str = ""
    detail: dict[str, Any] = {}
    device: str = ""


class ClearAlert(Effect, frozen=True, kw_only=True, tag="clear_alert"):
    """The condition behind the alert is over. Latching types stay active until a person has dealt with them."""

    code: str
    at: datetime
    instance: str = ""
    device: str = ""


# -- commands to devices ---------------------------------------------


class Command(Effect, frozen=True, kw_only=True):
    """Base of what a device can be told. `not_after`: published before this instant (UTC) or never."""

    not_after: datetime
    device: str = ""


class OpenPassage(Command, frozen=True, kw_only=True, tag="open_passage"):
    """Open a door or raise a barrier once. `person` and `vehicle` are registry ids, for the record."""

    method: Method = Method.REMOTE
    person: str = ""
    vehicle: str = ""


class AnswerCredential(Command, frozen=True, kw_only=True, tag="answer_credential"):
    """Tell a device that asked (`CredentialPresented.reply_to`) whether to open; it opens by itself if `allowed`."""

    reply_to: str
    allowed: bool


class CloseBarrier(Command, frozen=True, kw_only=True, tag="close_barrier"):
    """Lower the barrier."""


class SetLamp(Command, frozen=True, kw_only=True, tag="set_lamp"):
    """Set a lamp to `level_pct` (0 off, 100 full)."""

    level_pct: float


class Speak(Command, frozen=True, kw_only=True, tag="speak"):
    """Say `text` aloud, or show it where there is no loudspeaker."""

    text: str


class TakeSnapshot(Command, frozen=True, kw_only=True, tag="take_snapshot"):
    """Send a picture of what is before the camera now; it comes as `FrameCaptured`."""


class Reboot(Command, frozen=True, kw_only=True, tag="reboot"):
    """Start anew."""


class SyncTime(Command, frozen=True, kw_only=True, tag="sync_time"):
    """Set the device's clock to the time of sending."""


class PersonEntry(Struct, frozen=True, kw_only=True):
    """A person a terminal decides about by itself. `id`: the registry's. `photo`: JPEG bytes, b"" for none; terminals
    make templates of their own. Times UTC; the entry is valid from `valid_from` until before `valid_to`.
    """

    id: str
    name: str = ""
    photo: bytes = b""
    cards: tuple[str, ...] = ()
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class PlateEntry(Struct, frozen=True, kw_only=True):
    """A vehicle a barrier decides about by itself. `blocked`: it must not pass."""

    plate: str
    blocked: bool = False
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class SyncPersons(Command, frozen=True, kw_only=True, tag="sync_persons"):
    """Change the terminal's own list of persons: add or replace `put`, remove `remove` (registry ids)."""

    put: tuple[PersonEntry, ...] = ()
    remove: tuple[str, ...] = ()


class SyncPlates(Command, frozen=True, kw_only=True, tag="sync_plates"):
    """Change the barrier's own list of plates: add or replace `put`, remove `remove` (plates)."""

    put: tuple[PlateEntry, ...] = ()
    remove: tuple[str, ...] = ()


class ReportLists(Command, frozen=True, kw_only=True, tag="report_lists"):
    """Say what the device's own list holds; it comes as `ListReported`."""


COMMANDS: dict[str, type[Command]] = {
    str(c.__struct_config__.tag): c
    for c in (
        OpenPassage,
        CloseBarrier,
        SetLamp,
        Speak,
        TakeSnapshot,
        Reboot,
        SyncTime,
        SyncPersons,
        SyncPlates,
    )
}
"""What a device of ours can be told, by its wire name. `AnswerCredential` and `ReportLists` are the gateway's own: they
answer a question of the device and ask one, and nobody gives them.
"""


# -- questions the registry answers at once ---------------------------------------------


class CheckCredential(Effect, frozen=True, kw_only=True, tag="check_credential"):
    """Whose card, PIN or QR code is this, and may they pass here now? Answered by `CredentialChecked`."""

    method: Method
    value: str
    at: datetime
    reply_to: str = ""


class CheckPlate(Effect, frozen=True, kw_only=True, tag="check_plate"):
    """Where does this plate stand? Answered by `PlateChecked`. `captured_at`: when the vehicle was seen. `sure`: the
    camera was sure of it. `settled`: see `PlateChecked`.
    """

    plate: str
    at: datetime
    captured_at: datetime
    evidence: str = ""
    sure: bool = True
    settled: bool = True


class PlateLook(Struct, frozen=True, kw_only=True):
    """One of our looks at a lane: the picture, when it was taken, and what was read."""

    at: datetime
    evidence: str
    reading: PlateText


class MatchPlate(Effect, frozen=True, kw_only=True, tag="match_plate"):
    """Whose plate is on `look`, helped by the `others` of the same minute that show the same plate? Answered by
    `PlateChecked`. `camera_plate`: what the camera said of it.
    """

    look: PlateLook
    at: datetime
    others: tuple[PlateLook, ...] = ()
    camera_plate: str = ""
    settled: bool = True


# -- questions vision answers later ---------------------------------------------


class IdentifyFace(Effect, frozen=True, kw_only=True, tag="identify_face"):
    """Who is on this picture? Answered by `FaceIdentified`, or by nothing when `not_after` has passed."""

    evidence: str
    captured_at: datetime
    not_after: datetime


class ReadPlate(Effect, frozen=True, kw_only=True, tag="read_plate"):
    """Which plate is on this picture? Answered by `PlateRead`."""

    evidence: str
    captured_at: datetime
    not_after: datetime
    camera_plate: str = ""


class SceneZone(Struct, frozen=True, kw_only=True):
    """A part of a camera's view in which lasting change matters. `purpose`: build, fire_lane or parking; `polygon`: its
    corners, x and y as fractions of the picture.
    """

    name: str
    purpose: Literal["build", "fire_lane", "parking"]
    polygon: Annotated[tuple[tuple[float, float], ...], Meta(min_length=3, max_length=32)]


class WatchScene(Effect, frozen=True, kw_only=True, tag="watch_scene"):
    """Does this camera still see what it should? Answered by `SceneJudged`; one at a time for each camera. `change_s`:
    something else in a zone for so long is lasting change.
    """

    evidence: str
    captured_at: datetime
    not_after: datetime
    change_s: float = 1800
    zones: tuple[SceneZone, ...] = ()


# -- the record ---------------------------------------------


class RecordPoint(Effect, frozen=True, kw_only=True, tag="record_point"):
    """One telemetry value; the unit is the end of `metric`'s name (active_power_w, battery_pct). `device`: whose it is,
    where that is not the one that was heard.
    """

    metric: str
    value: float
    at: datetime
    device: str = ""


class Report(Effect, frozen=True, kw_only=True, tag="report"):
    """A fact that follows from what was decided (we granted, we refused): journalled and shown to the policies.
    `device`: whose it is, where that is not the one that was heard.
    """

    event: Event
    device: str = ""


__all__ = [
    "COMMANDS",
    "AnswerCredential",
    "CheckCredential",
    "CheckPlate",
    "ClearAlert",
    "CloseBarrier",
    "Command",
    "Effect",
    "IdentifyFace",
    "MatchPlate",
    "OpenPassage",
    "PersonEntry",
    "PlateEntry",
    "PlateLook",
    "RaiseAlert",
    "ReadPlate",
    "Reboot",
    "RecordPoint",
    "Report",
    "ReportLists",
    "SceneZone",
    "SetLamp",
    "Speak",
    "SyncPersons",
    "SyncPlates",
    "SyncTime",
    "TakeSnapshot",
    "WatchScene",
]
