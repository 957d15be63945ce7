"""Devices: how they are registered and reached, what they say, what they are told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr

from api.schemas.base import Moment, Reason, Shape, Text, Utc
from devices.commands import CommandStatus


class DeviceBody(Shape):
    """A device without its id."""

    kind: Text = Field(description="What it is.", examples=["face_gate"])
    protocol: Text = Field(description="What it speaks.", examples=["native"])
    address: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Its name in its protocol.", examples=["GATE-0003"]
    )
    name: Text = ""
    community: Text = Field(default="", description="Empty: the gateway's own.")
    grid: Text = ""
    building: Text = Field(default="", description="Empty: it serves the whole estate.")
    asset: Text = ""
    direction: Literal["", "in", "out"] = ""
    uplink: Text = Field(default="", description="What it shares with others: a switch, a breaker.")
    zone: Text = Field(default="", description="IANA time zone of its clock; empty: the gateway's own.")
    params: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default={}, description="Limits of its kind, units in their names."
    )
    options: dict[str, Text] = Field(
        default={}, description="Its protocol's words about it: a topic prefix, a codec. No addresses, no passwords."
    )


class DeviceNew(DeviceBody):
    id: Annotated[str, Field(min_length=1, max_length=64)] = Field(examples=["gate-3"])


class StreamView(Shape):
    """How the event stream of a device stands that the gateway attaches to."""

    attached_since: Utc | None = Field(description="null: it is not attached to just now.")
    last_part: Utc | None = Field(description="When it last said something, a heartbeat for instance.")
    parts: int = Field(description="What it said since the gateway attaches to it.")
    trouble: str = Field(description="What is wrong and what to do; empty: nothing.")
    retry_at: Utc | None = Field(description="When it is attached to again.")
    history: str = Field(description="What could not be fetched of what it saw while nobody listened.")


class DeviceView(DeviceNew):
    online: bool | None = Field(description="null: not heard of since the gateway knows it.")
    last_seen: Utc | None
    clock_offset_s: float | None = Field(description="Its clock minus ours; null: not measured.")
    state: dict[str, Any] = Field(description="What its kind remembers, nothing personal.")
    commands: list[str] = Field(description="What it can be told.", examples=[["open_passage", "reboot"]])
    warnings: list[str] = Field(description="What will not work as it is registered, and what to do about it.")
    stream: StreamView | None = Field(description="null: its event stream is not to be attached to.")


class DeviceList(Shape):
    items: list[DeviceView]


class AccessBody(Shape):
    """How a device that speaks HTTP is reached. Everything is set anew, but for the push token."""

    url: Annotated[str, Field(max_length=300)] = Field(
        default="", description="Empty: it is never called.", examples=["https://192.168.1.64"]
    )
    username: Text = ""
    password: Annotated[SecretStr, Field(max_length=128)] = SecretStr("")
    fingerprint: Annotated[str, Field(max_length=100)] = Field(
        default="", description="SHA-256 of the device's own certificate; empty: a public authority has signed it."
    )
    attach: bool = Field(
        default=False, description="Fetch its events: attach to the event stream of its own server, at `url`."
    )
    new_push_token: bool = Field(default=False, description="Replace the token it posts with; the old one ends.")


class AccessView(Shape):
    """What is set, without the secrets."""

    url: str
    username_set: bool
    password_set: bool
    fingerprint: str
    push_token_set: bool
    attach: bool
    push_path: str | None = Field(
        description="Where it posts; null: its protocol does not.", examples=["/ingest/hik_access/GATE-0003"]
    )


class AccessSet(AccessView):
    push_token: str | None = Field(
        description="Shown this once, when it is new. As ?token=, as the header X-Push-Token, or as the password "
        "of the device's id by digest."
    )


class DiscoveredView(Shape):
    """Somebody who speaks on the broker and is not registered."""

    protocol: str = Field(description="What it speaks, as far as can be told; empty: nobody's topics look like this.")
    address: str = Field(description="Its name in that protocol; empty: the topic is not one its protocol listens on.")
    topic: str
    heard: bool = Field(description="A protocol listens on the topic, so that registering it is enough.")
    kind: str = Field(description="What it seems to be, from what it says; empty: it has not said enough.")
    count: int
    first_seen: Utc
    last_seen: Utc
    sample: str = Field(
        description="Its first message, values masked by shape (汉 a character, A a letter, 9 a digit).",
        examples=['{"id":"A-9","event":{"type":"AAAA_AAAAAAA","open":true}}'],
    )


class DiscoveredList(Shape):
    items: list[DiscoveredView]


class EventView(Shape):
    """That something happened at a device; what is said of people stays inside."""

    seq: int
    type: str = Field(examples=["door_changed"])
    at: Utc = Field(description="As the device said it.")
    received_at: Utc
    late: bool


class EventList(Shape):
    items: list[EventView]
    next: int = Field(description="Give it as `after` for what comes next.")


class CommandBody(Shape):
    """What a device is to do. `done` is proven: open_passage and close_barrier by the door or arm sensor, set_lamp by
    the lamp's level, take_snapshot by its picture, reboot by a new boot id, sync_time by the clock of the next
    heartbeat.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "open_passage"},
                {"type": "set_lamp", "level_pct": 40},
                {"type": "speak", "text": "请勿堵塞消防通道"},
                {"type": "take_snapshot"},
                {"type": "sync_time"},
                {"type": "reboot"},
            ]
        }
    )
    type: Literal["open_passage", "close_barrier", "set_lamp", "speak", "take_snapshot", "reboot", "sync_time"]
    level_pct: float | None = Field(default=None, ge=0, le=100, description="For set_lamp: 0 off, 100 full.")
    text: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="For speak: what to say. Not kept: it may name somebody."
    )
    not_after: Moment | None = Field(
        default=None, description="Published before this instant or never; at most a minute away."
    )


class CommandView(Shape):
    """One command. `done` only when the device or its sensor says so; `expired`: it may or may not have happened."""

    id: str
    device: str
    type: str
    level_pct: float | None
    requested_by: str
    requested_at: Utc
    not_after: Utc
    status: CommandStatus
    final: bool
    reason: str
    updated_at: Utc


class CommandList(Shape):
    items: list[CommandView]


class SceneBody(Shape):
    """Why the view of a camera is as it should be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "摄像机已按新角度固定"}]})
    reason: Reason


class SceneAcceptedView(Shape):
    device: str
    at: Utc
    by: str = Field(description="Name of the token.")
    ended: list[str] = Field(description="The alerts that ended by it, by id, closed as `no_action` with the reason.")


class ListRefusalView(Shape):
    entry: str = Field(description="A person's id, or a plate: the latter with the scope vehicles:read only.")
    reason: str = Field(examples=["no face found"])
    name: str = Field(default="", description="With the scope people:read only.")


class DeviceListView(Shape):
    """The list a device decides by itself with: how far it has come to what it should hold."""

    device: str
    what: str = Field(examples=["persons", "plates"], description="Empty: it holds no list (params.holds_list).")
    wanted: int = Field(description="Still to be sent, or sent again.")
    sent: int = Field(description="On their way.")
    held: int = Field(description="Confirmed by the device.")
    refused: int = Field(description="Not taken by the device; tried again when they change.")
    removing: int = Field(description="To be removed, and not confirmed yet.")
    refusals: list[ListRefusalView]
    doubted: bool = Field(description="It restarted; it may say what it holds, or everything is sent again.")
    failures: int = Field(description="Batches in a row without a full answer.")
