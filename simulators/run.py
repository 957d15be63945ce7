"""A run: an estate's devices connected to a broker, a day's happenings, and the count of what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from statistics import quantiles
from typing import Self

from msgspec import Struct

from devices.model import Outgoing
from simulators.clockwork import Clockwork
from simulators.device import Later, Simulated, World
from simulators.estate import Estate, Happening, What, day
from simulators.faults import Faults, Faulty, Tally, clock_offset
from simulators.fleet import simulated
from simulators.ledger import Ledger
from simulators.link import Link, broker_at
from simulators.pictures import Pictures

CONNECT_WITHIN_S = 15.0
SETTLE_S = 4.0
"""How long after the last happening doors and barriers may still be moving, seconds."""
DRAIN_S = 10.0
"""How long we wait for the broker to confirm the last messages, seconds."""


class Summary(Struct, frozen=True, kw_only=True):
    """What came of a run. `sent`: distinct records handed to the broker at least once; `acked`: those it confirmed;
    `published`: messages of all sorts, copies included. `open_p50_ms`, `open_p99_ms`: from somebody presenting
    themselves to the command arriving at the device. The other counts are explained in `Ledger` and `Faults`.
    """

    happenings: int
    devices: int
    sent: int
    acked: int
    published: int
    connects: int
    commands_received: int
    commands_late: int
    commands_unreadable: int
    openings: int
    double_openings: int
    stray_openings: int
    wrong_openings: int
    lamps_set: int
    presented_welcome: int
    presented_unwelcome: int
    open_p50_ms: float | None
    open_p99_ms: float | None
    faults: Tally


class Run:
    """Plays `estate` against the broker at `broker` (mqtt://user:password@host:port).

    `seconds` and `rate` are those of `day`; `speed` makes the day pass that much faster. Times in messages are the
    real time. `frame_s`: the first camera sends a picture so often, 0: never.

    `start`, then `wait` for the day's end or `stop` before it, then `summary`; or use it as a context.
    """

    def __init__(
        self,
        estate: Estate,
        *,
        broker: str,
        seconds: float = 60.0,
        rate: float = 1.0,
        speed: float = 1.0,
        faults: Faults | None = None,
        photographs: dict[str, list[bytes]] | None = None,
        frame_s: float = 0.0,
    ) -> None:
        now = datetime.now(UTC)
        self.estate = estate
        self.ledger = Ledger()
        self.sent: set[str] = set()
        self._faults = faults or Faults()
        self._speed = speed
        self._frame_s = frame_s
        self._midnight = now
        self._seconds = seconds
        self._day = day(estate, start=now, seconds=seconds, rate=rate)
        self._happenings = 0
        self._over = threading.Event()
        self._clockwork = Clockwork("simulated-estate")
        world = World(
            estate=estate,
            pictures=Pictures(estate, photographs),
            ledger=self.ledger,
            boot=f"{int(now.timestamp() * 1000):x}",
            first_record=int(now.timestamp()) * 1000,
        )
        self._devices = {
            device.id: simulated(device, world, clock_offset(self._faults, device.address, estate.seed))
            for device in estate.devices()
        }
        self._hears = {topic: device for device in self._devices.values() for topic in device.hears}
        self._links = self._link_up(broker, world.boot)
        self._link_of = {device.device.address: link for link in self._links for device in link.devices}
        self._faulty = Faulty(self._faults, seed=estate.seed, publish=self._publish, later=self._clockwork.later)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Connects every device and begins the day.

        :raises ConnectionError: the broker did not take all of them within `CONNECT_WITHIN_S`.
        """
        for link in self._links:
            link.open()
        for link in self._links:
            if not link.ready.wait(CONNECT_WITHIN_S):
                why = link.refused or "no answer"
                for opened in self._links:
                    opened.close()
                raise ConnectionError(f"the broker did not take {link.devices[0].device.id}: {why}")
        for n, device in enumerate(self._devices.values()):
            self._clockwork.later(device.beat_s * n / len(self._devices), partial(self._beat, device))
        cameras = [d for d in self._devices.values() if (d.device.kind, d.device.protocol) == ("camera", "native")]
        if cameras and self._frame_s:
            self._clockwork.later(self._frame_s, partial(self._frame, cameras[0]))
        if self._faults.storm_s:
            self._clockwork.later(self._faults.storm_s, self._storm)
        self._clockwork.later(0, partial(self._await_next, datetime.now(UTC)))
        self._clockwork.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether the day is over and the last door shut, waiting up to `timeout` seconds (None: as long as it takes).
        Raises what went wrong within.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self._over.wait(0.2):
            if not self._clockwork.running():
                self._clockwork.wait()
                return self._over.is_set()
            if end is not None and time.monotonic() >= end:
                return False
        return True

    def stop(self) -> None:
        """Ends the run: sends what was held back, waits for confirmations, disconnects in good order."""
        self._clockwork.stop()
        self._clockwork.wait()
        self._faulty.release()
        now = datetime.now(UTC)
        for device in self._devices.values():
            for later in device.bye(now):
                self._link_of[device.device.address].publish(later.message)
        end = time.monotonic() + DRAIN_S
        for link in self._links:
            link.drain(end - time.monotonic())
        for link in self._links:
            link.close()

    def summary(self) -> Summary:
        """The count so far; final after `stop`."""
        ledger = self.ledger
        waits = sorted(ledger.waits_ms)
        cuts = quantiles(waits, n=100) if len(waits) > 1 else waits * 99
        return Summary(
            happenings=self._happenings,
            devices=len(self._devices),
            sent=len(self.sent),
            acked=len(self.acked()),
            published=sum(link.published for link in self._links),
            connects=sum(link.connects for link in self._links),
            commands_received=ledger.commands_received,
            commands_late=ledger.commands_late,
            commands_unreadable=ledger.commands_unreadable,
            openings=ledger.openings,
            double_openings=ledger.double_openings,
            stray_openings=ledger.stray_openings,
            wrong_openings=ledger.wrong_openings,
            lamps_set=ledger.lamps_set,
            presented_welcome=ledger.presented_welcome,
            presented_unwelcome=ledger.presented_unwelcome,
            open_p50_ms=round(cuts[49], 1) if cuts else None,
            open_p99_ms=round(cuts[98], 1) if cuts else None,
            faults=self._faulty.tally,
        )

    def acked(self) -> set[str]:
        """Every record the broker has confirmed, as `address/record id`."""
        return set[str]().union(*(link.acked for link in self._links))

    def _link_up(self, broker: str, boot: str) -> list[Link]:
        """One connection for each device with a last will, one for all others."""
        willed = [[device] for device in self._devices.values() if device.will is not None]
        silent = [device for device in self._devices.values() if device.will is None]
        groups = [*willed, silent] if silent else willed
        return [
            Link(
                broker_at(broker),
                group,
                client_id=f"sim-{boot}-{n}",
                heard=self._heard,
                connected=self._connected,
            )
            for n, group in enumerate(groups)
        ]

    def _await_next(self, started: datetime) -> None:
        """Sets the clockwork to the next happening, or to the end of the day."""
        happening = next(self._day, None)
        passed = (datetime.now(UTC) - started).total_seconds()
        if happening is None:
            rest = max(0.0, self._seconds / self._speed - passed)
            self._clockwork.later(rest + SETTLE_S, self._over.set)
            return
        due = (happening.at - self._midnight).total_seconds() / self._speed
        self._clockwork.later(max(0.0, due - passed), partial(self._happen, happening, started))

    def _happen(self, happening: Happening, started: datetime) -> None:
        self._happenings += 1
        device = self._devices[happening.device]
        self._say(device, device.happen(happening, datetime.now(UTC)))
        self._await_next(started)

    def _beat(self, device: Simulated) -> None:
        self._say(device, device.beat(datetime.now(UTC)))
        self._clockwork.later(device.beat_s, partial(self._beat, device))

    def _frame(self, camera: Simulated) -> None:
        now = datetime.now(UTC)
        taken = Happening(at=now, what=What.FRAME_TAKEN, device=camera.device.id)
        self._say(camera, camera.happen(taken, now))
        self._clockwork.later(self._frame_s, partial(self._frame, camera))

    def _storm(self) -> None:
        for link in self._links:
            link.bounce()
        self._clockwork.later(self._faults.storm_s, self._storm)

    def _heard(self, topic: str, payload: bytes) -> None:
        if device := self._hears.get(topic):
            self._clockwork.later(0, lambda: self._say(device, device.told(topic, payload, datetime.now(UTC))))

    def _connected(self, devices: Sequence[Simulated]) -> None:
        for device in devices:
            self._clockwork.later(0, partial(self._greet, device))

    def _greet(self, device: Simulated) -> None:
        self._say(device, device.hello(datetime.now(UTC)))

    def _say(self, device: Simulated, words: list[Later]) -> None:
        for later in words:
            if later.seconds:
                self._clockwork.later(later.seconds, partial(self._send, device.device.address, later))
            else:
                self._send(device.device.address, later)

    def _send(self, address: str, later: Later) -> None:
        if later.record:
            self._faulty.send(later.message, device=address, record=f"{address}/{later.record}")
        else:
            self._link_of[address].publish(later.message)

    def _publish(self, address: str, message: Outgoing, record: str) -> None:
        """What the faults let through; poison has no record."""
        if record:
            self.sent.add(record)
        self._link_of[address].publish(message, record)
