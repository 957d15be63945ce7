"""A DAS device: a heartbeat and the question what time it is. Nothing else of it is published."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from devices.model import Device, Outgoing
from simulators.device import Later, World
from simulators.estate import Happening


class DasDevice:
    """Says that it is there, and takes our answer for its clock."""

    beat_s = 30.0
    will = None

    def __init__(self, device: Device, world: World, clock: timedelta) -> None:
        self.device = device
        self.clock = clock
        self._number = world.first_record

    @property
    def _base(self) -> str:
        return f"sys/linli/{self.device.address}/thing"

    @property
    def hears(self) -> tuple[str, ...]:
        return (f"{self._base}/heart/response", f"{self._base}/ntp/response")

    def hello(self, now: datetime) -> list[Later]:
        return [self._say("ntp", {"deviceSendTime": self._milliseconds(now)})]

    def beat(self, now: datetime) -> list[Later]:
        return [self._say("heart", {"time": self._milliseconds(now), "interval": 30})]

    def bye(self, now: datetime) -> list[Later]:
        del now
        return []

    def happen(self, happening: Happening, now: datetime) -> list[Later]:
        del happening, now
        return []

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """Sets its clock by the answer to ntp."""
        if topic.endswith("/ntp/response"):
            told_ms = msgspec.json.decode(payload)["serverSendTime"]
            self.clock = timedelta(milliseconds=told_ms - round(now.timestamp() * 1000))
        return []

    def _say(self, leaf: str, body: dict[str, int]) -> Later:
        self._number += 1
        payload = msgspec.json.encode({"id": str(self._number), **body})
        return Later(message=Outgoing(topic=f"{self._base}/{leaf}", payload=payload, qos=1))

    def _milliseconds(self, now: datetime) -> int:
        return round((now + self.clock).timestamp() * 1000)
