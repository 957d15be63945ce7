"""What can go wrong between a device and the broker, on purpose. The decision is pure; `Faulty` carries it out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Annotated

from msgspec import Meta, Struct

from devices.model import Outgoing

Share = Annotated[float, Meta(ge=0, le=1)]


class Faults(Struct, frozen=True, kw_only=True):
    """How often what goes wrong: shares of messages (0-1), except where said otherwise.

    `drop`: never sent. `duplicate`: sent twice. `reorder`: held back until a later one has gone out. `delay`: held
    back for up to `delay_s` seconds. `poison`: followed by a broken copy on the same topic. `wrong_clock`: share of
    devices whose clock is wrong by up to `clock_s` seconds. `storm_s`: seconds between reconnect storms, 0 for none.
    """

    drop: Share = 0.0
    duplicate: Share = 0.0
    reorder: Share = 0.0
    delay: Share = 0.0
    delay_s: float = 5.0
    poison: Share = 0.0
    wrong_clock: Share = 0.0
    clock_s: float = 300.0
    storm_s: float = 0.0


class Plan(Struct, frozen=True, kw_only=True):
    """What becomes of one message: a copy after each of `after` seconds (none: dropped), then `poison` if not None.

    `hold`: wait for the next message of the same device first.
    """

    after: tuple[float, ...] = (0.0,)
    hold: bool = False
    poison: bytes | None = None


def plan(faults: Faults, payload: bytes, random: Random) -> Plan:
    """What becomes of this message. The same state of `random` gives the same plan."""
    draws = [random.random() for _ in range(5)]
    if draws[0] < faults.drop:
        return Plan(after=())
    first = random.uniform(0, faults.delay_s) if draws[1] < faults.delay else 0.0
    copies = (first, first + random.uniform(0, 0.2)) if draws[2] < faults.duplicate else (first,)
    poison = spoiled(payload, random) if draws[3] < faults.poison else None
    return Plan(after=copies, hold=draws[4] < faults.reorder, poison=poison)


def spoiled(payload: bytes, random: Random) -> bytes:
    """A broken relative of `payload`: cut short, with a byte changed, not JSON, empty, or of the wrong shape."""
    match random.randrange(5):
        case 0:
            return payload[: random.randrange(len(payload))] if payload else b"{"
        case 1 if payload:
            at = random.randrange(len(payload))
            return payload[:at] + bytes([payload[at] ^ 0xFF]) + payload[at + 1 :]
        case 2:
            return random.randbytes(32)
        case 3:
            return b""
        case _:
            return b'{"operator": 7, "event": [], "payload": "no", "info": null}'


def clock_offset(faults: Faults, address: str, seed: int) -> timedelta:
    """How wrong the clock of the device `address` is; zero for most."""
    random = Random(f"clock {seed} {address}")
    if random.random() >= faults.wrong_clock:
        return timedelta()
    return timedelta(seconds=random.choice((-1, 1)) * random.uniform(0.2, 1) * faults.clock_s)


class Tally(Struct, kw_only=True):
    """How much of what was done on purpose."""

    dropped: int = 0
    duplicated: int = 0
    reordered: int = 0
    delayed: int = 0
    poisoned: int = 0


class Faulty:
    """Publishes with `publish(device, message, record)`, now or by `later(seconds, action)`, as the faults say."""

    def __init__(
        self,
        faults: Faults,
        *,
        seed: int,
        publish: Callable[[str, Outgoing, str], None],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self.tally = Tally()
        self._faults = faults
        self._random = Random(f"faults {seed}")
        self._publish = publish
        self._later = later
        self._held: dict[str, list[tuple[Outgoing, str]]] = {}

    def send(self, message: Outgoing, *, device: str, record: str) -> None:
        """Sends one message of `device`, the record `record`, with whatever goes wrong."""
        fate = plan(self._faults, message.payload, self._random)
        self.tally.dropped += not fate.after
        self.tally.duplicated += len(fate.after) > 1
        self.tally.delayed += any(fate.after[:1])
        self.tally.poisoned += fate.poison is not None
        self.tally.reordered += fate.hold
        for seconds in fate.after:
            if fate.hold:
                self._held.setdefault(device, []).append((message, record))
            elif seconds > 0:
                self._later(seconds, lambda: self._publish(device, message, record))
            else:
                self._publish(device, message, record)
        if fate.poison is not None:
            self._publish(device, Outgoing(topic=message.topic, payload=fate.poison, qos=1), "")
        if not fate.hold:
            self.release(device)

    def release(self, device: str | None = None) -> None:
        """Sends what was held back for `device`, or for all."""
        for key in [device] if device is not None else list(self._held):
            for message, record in self._held.pop(key, []):
                self._publish(key, message, record)
