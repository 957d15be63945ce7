"""The states that decisions rest on: of every device, and of every policy's scopes.

A reader sees `turn` (what one message has changed so far), then `batch` (what the messages before it have), then what
is safe. Only `adopt` moves the last, but for the time a device was heard, which may reach the disk a little later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from devices.kinds import link as links
from devices.kinds.link import Link
from devices.model import Device, DeviceKind, Protocol
from gateway import metrics, outage
from gateway.changes import Changes, DeviceState
from gateway.directory import Directory
from gateway.schedule import Schedule

SCOPES_AT_MOST = 50_000
"""So many states (plates on the estate, say) one policy keeps."""
LINK_SAVED_EVERY = timedelta(seconds=30)
"""A heartbeat alone reaches the disk at most this often."""


class States:
    """By device id, and by policy and scope. Used by the engine's thread; `devices` may be read from any."""

    def __init__(
        self,
        *,
        kinds: Mapping[str, DeviceKind[Any]],
        protocols: Mapping[str, Protocol],
        directory: Directory,
        schedule: Schedule,
    ) -> None:
        self.kinds = kinds
        self.protocols = protocols
        self._directory = directory
        self._schedule = schedule
        self.devices: dict[str, DeviceState] = {}
        self.policies: dict[tuple[str, str], Struct] = {}
        self._scopes: Counter[str] = Counter()
        self._saved: dict[str, datetime] = {}
        self._as_registered: dict[str, Device | None] = {}

    def knows(self, device: Device) -> bool:
        """Its kind and protocol are installed."""
        return device.kind in self.kinds and device.protocol in self.protocols

    def device(self, device: Device, batch: Changes, turn: Changes) -> DeviceState:
        """As it stands after `turn`, the latest part of `batch`."""
        initial = self.kinds[device.kind].initial
        held = turn.devices.get(device.id) or batch.devices.get(device.id)
        if held is None and device.id not in turn.forgotten and device.id not in batch.forgotten:
            held = self.devices.get(device.id)
        if held is None:
            return DeviceState(Link(), initial)
        # It may have been registered as another kind since.
        return held if type(held.kind) is type(initial) else DeviceState(held.link, initial)

    def keep(
        self, device: Device, state: DeviceState, batch: Changes, turn: Changes, *, quiet_at: datetime | None = None
    ) -> None:
        """Remember a state. `quiet_at`: only that the device was heard has changed, so the disk can wait a while."""
        if quiet_at is not None and device.id not in turn.devices and device.id not in batch.devices:
            before = self.devices.get(device.id)
            if before is not None and before.link.online == state.link.online:
                if abs(quiet_at - self._saved.setdefault(device.id, quiet_at)) < LINK_SAVED_EVERY:
                    self.devices[device.id] = state
                    return
                self._saved[device.id] = quiet_at
        turn.devices[device.id] = state

    def heard(self, device: Device, link: Link) -> None:
        """Be woken when the device has been silent for too long."""
        self._schedule.want(("link", device.id), links.deadline(link, self.interval(device)))

    def interval(self, device: Device) -> float:
        """How often it is heard at least, s."""
        return links.interval(device, self.protocols[device.protocol].heartbeat_s)

    def policy(self, name: tuple[str, str], batch: Changes, turn: Changes) -> Struct | None:
        """The state of a policy's scope; None while it is the initial one."""
        for changes in (turn, batch):
            if name in changes.policies:
                return changes.policies[name]
        return self.policies.get(name)

    def online(self, device: Device, batch: Changes, turn: Changes) -> bool:
        """It is known to be there."""
        return bool(self.device(device, batch, turn).link.online)

    def restore(self, devices: dict[str, DeviceState], policies: list[tuple[str, str, Struct]], now: datetime) -> None:
        """Take up saved states. Who was online counts as heard now: our own absence is nobody's silence."""
        for device_id, state in devices.items():
            self.devices[device_id] = DeviceState(links.resumed(state.link, now), state.kind)
            self._look_at(device_id, now)
        for policy, scope, held in policies:
            self.policies[policy, scope] = held
            self._scopes[policy] += 1
            self._schedule.want(("policy", policy, scope), now)

    def _look_at(self, device_id: str, now: datetime) -> None:
        self._as_registered[device_id] = self._directory.device(device_id)
        self._schedule.want(("link", device_id), now)
        self._schedule.want(("kind", device_id), now)

    def look_at_all(self, now: datetime) -> None:
        """Our clock was set, so that every deadline has to be found anew."""
        for device_id in self.devices:
            self._look_at(device_id, now)

    def registered(self, now: datetime, turn: Changes) -> None:
        """Devices were added, changed or removed: forget who is gone, and look at the deadlines of who has changed."""
        for device_id in self.devices:
            device = self._directory.device(device_id)
            if device is None:
                turn.forgotten.add(device_id)
            elif device is not self._as_registered.get(device_id):
                self._look_at(device_id, now)
        for (policy, scope), state in self.policies.items() if turn.forgotten else ():
            if isinstance(state, outage.Outage):
                left = state
                for device_id in turn.forgotten:
                    left = outage.without(left, device_id, now)
                if left is not state:
                    turn.policies[policy, scope] = left
                    self._schedule.want(("policy", policy, scope), now)

    def grace(self, now: datetime) -> None:
        """The broker was away: silence until now was not the devices'."""
        for device_id, state in self.devices.items():
            self.devices[device_id] = DeviceState(links.resumed(state.link, now), state.kind)

    def adopt(self, batch: Changes) -> None:
        """The batch is safe: what it changed is the truth now."""
        for device_id in batch.forgotten:
            for held_of in (self.devices, self._saved, self._as_registered):
                held_of.pop(device_id, None)
        self.devices.update(batch.devices)
        for name, held in batch.policies.items():
            if held is None:
                self._scopes[name[0]] -= self.policies.pop(name, None) is not None
                self._schedule.forget(("policy", *name))
            else:
                self._scopes[name[0]] += name not in self.policies
                self.policies[name] = held

    def has_room(self, name: tuple[str, str], batch: Changes) -> bool:
        """Whoever invents plates must not fill the memory: then alerts are raised still, but nothing is remembered."""
        if self._scopes[name[0]] + len(batch.policies) < SCOPES_AT_MOST or name in self.policies:
            return True
        metrics.IGNORED.labels("too many scopes of a policy").inc()
        return False
