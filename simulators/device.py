"""What every simulated device is, and the native dialect. No I/O: the time goes in, messages come out.

A device answers each thing that happens to it, and each command, with messages and how many seconds later each is to
be sent. `simulators.link` carries them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from devices.effects import COMMANDS, Command
from devices.events import CommandResult, Event, Utc, evidence_key
from devices.model import Device, Outgoing
from simulators.estate import Estate, Happening
from simulators.ledger import Ledger
from simulators.pictures import Pictures

E = TypeVar("E", bound=Event)


class Later(Struct, frozen=True, kw_only=True):
    """A message to be sent in `seconds`. `record`: the record's id where the message is worth keeping, "" for a
    heartbeat, a greeting or an answer.
    """

    message: Outgoing
    seconds: float = 0.0
    record: str = ""


class World(Struct, frozen=True, kw_only=True):
    """What all devices of a run share. `boot` is new in each run, so that no record id is ever used twice."""

    estate: Estate
    pictures: Pictures
    ledger: Ledger
    boot: str
    first_record: int


class Simulated(Protocol):
    """A device as the carrier sees it. `now` is the true time, UTC; the device may believe another."""

    device: Device

    @property
    def hears(self) -> tuple[str, ...]:
        """Topics it takes commands from."""

    @property
    def will(self) -> Outgoing | None:
        """What the broker is to say when it vanishes; None: it vanishes in silence and may share a connection."""

    @property
    def beat_s(self) -> float:
        """Seconds between heartbeats."""

    def hello(self, now: datetime) -> list[Later]:
        """What it says when connected."""

    def beat(self, now: datetime) -> list[Later]:
        """Its heartbeat."""

    def bye(self, now: datetime) -> list[Later]:
        """What it says before it disconnects in good order."""

    def happen(self, happening: Happening, now: datetime) -> list[Later]:
        """What it says of something that happens to it."""

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """What it does about a message from the gateway."""


class Voice:
    """Words a native message. `clock` is how wrong the device's clock is; `boot` is new after each restart."""

    def __init__(self, device: Device, world: World, clock: timedelta) -> None:
        self.device = device
        self.world = world
        self._clock = clock
        self._records = 0
        self._restarts = 0

    @property
    def boot(self) -> str:
        """Names the time since the last restart."""
        return f"{self.world.boot}-{self._restarts}" if self._restarts else self.world.boot

    def restart(self) -> None:
        """Lose power and come back."""
        self._restarts += 1

    def set_clock(self, clock: timedelta) -> None:
        """Set how wrong the clock is."""
        self._clock = clock

    def hello(self, now: datetime, *, after: float = 0.0) -> Later:
        """The greeting after connecting, or after a restart."""
        body = {"online": True, "boot_id": self.boot, "at": self.time(now, after)}
        return self.on("status", body, after=after)

    def beat(self, now: datetime) -> Later:
        """The heartbeat."""
        return self.on("heartbeat", {"boot_id": self.boot, "at": self.time(now)})

    def event(self, kind: type[E], now: datetime, *, after: float = 0.0, image: bytes = b"", **fields: Any) -> Later:
        """An event of this kind that happens `after` seconds from now, with its picture."""
        if image:
            fields["evidence"] = evidence_key(image)
        self._records += 1
        record = f"{self.device.address}-{self.world.boot}-{self._records}"
        body: dict[str, Any] = {
            "id": record,
            "stored": False,
            "event": kind(at=self.time(now, after), **fields),
        }
        if image:
            body["image"] = base64.b64encode(image).decode()
        return self.on("event", body, after=after, record=record)

    def answer(
        self, command: str, result: CommandResult, now: datetime, *, after: float = 0.0, reason: str = ""
    ) -> Later:
        """The answer to the command of this id."""
        body = {"command_id": command, "result": result, "reason": reason, "at": self.time(now, after)}
        return self.on("answer", body, after=after)

    def on(self, leaf: str, body: dict[str, Any], *, after: float = 0.0, record: str = "") -> Later:
        """A message on the device's topic `leaf`."""
        topic = f"linli/v1/{self.device.address}/{leaf}"
        message = Outgoing(topic=topic, payload=msgspec.json.encode(body), qos=0 if leaf == "heartbeat" else 1)
        return Later(message=message, seconds=after, record=record)

    def time(self, now: datetime, after: float = 0.0) -> datetime:
        """What the device's clock shows `after` seconds from now."""
        return now + timedelta(seconds=after) + self._clock


class CommandMessage(Struct, frozen=True, kw_only=True):
    """A native command as it comes down."""

    id: str
    not_after: Utc
    command: dict[str, Any]


Tell = Callable[[Voice, Happening, datetime], list[Later]]
"""What a kind says of a happening."""

Obey = Callable[[Voice, str, Command, datetime], list[Later]]
"""What a kind does about a command (with its id) that came in time."""


class Routine(Protocol):
    """What every native device can be told (`simulators.routine.Routine`)."""

    def obey(self, command_id: str, command: Command, now: datetime) -> list[Later] | None:
        """What comes of the command; None: it is not one of these."""


def unable(voice: Voice, command_id: str, command: Command, now: datetime) -> list[Later]:
    """The `Obey` of a kind that can do nothing."""
    reason = f"cannot {command.__struct_config__.tag}"
    return [voice.answer(command_id, CommandResult.FAILED, now, reason=reason)]


class NativeDevice:
    """A device that speaks the native dialect; `tell` and `obey` make it what it is, `routine` is what all can do."""

    beat_s = 10.0

    def __init__(
        self,
        device: Device,
        world: World,
        clock: timedelta,
        *,
        tell: Tell,
        obey: Obey,
        willed: bool,
        routine: Callable[[Voice], Routine],
    ) -> None:
        self.device = device
        self.voice = Voice(device, world, clock)
        self.routine = routine(self.voice)
        self._world = world
        self._tell = tell
        self._obey = obey
        self._willed = willed

    @property
    def hears(self) -> tuple[str, ...]:
        return (f"linli/v1/{self.device.address}/command",)

    @property
    def will(self) -> Outgoing | None:
        if not self._willed:
            return None
        return self.voice.on("status", {"online": False, "reason": "last_will"}).message

    def hello(self, now: datetime) -> list[Later]:
        return [self.voice.hello(now)]

    def beat(self, now: datetime) -> list[Later]:
        return [self.voice.beat(now)]

    def bye(self, now: datetime) -> list[Later]:
        return [self.voice.on("status", {"online": False, "reason": "goodbye", "at": self.voice.time(now)})]

    def happen(self, happening: Happening, now: datetime) -> list[Later]:
        return self._tell(self.voice, happening, now)

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """Obeys a command unless it is past its `not_after`. One that cannot be read is counted and not answered."""
        del topic
        ledger = self._world.ledger
        try:
            message = msgspec.json.decode(payload, type=CommandMessage)
            command = _command(message)
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError):
            ledger.commands_unreadable += 1
            return []
        ledger.commands_received += 1
        if now > message.not_after:
            ledger.commands_late += 1
            return [self.voice.answer(message.id, CommandResult.FAILED, now, reason="expired")]
        done = self.routine.obey(message.id, command, now)
        return self._obey(self.voice, message.id, command, now) if done is None else done


def _command(message: CommandMessage) -> Command:
    fields = {key: value for key, value in message.command.items() if key != "not_after"}
    kind = COMMANDS[fields.get("type", "")]
    return msgspec.convert({**fields, "not_after": message.not_after}, type=kind)
