"""On a round (巡查) somebody looked for a vehicle: it is here, or it is gone. The register of who is inside follows."""

from __future__ import annotations

import uuid
from datetime import datetime

from devices.events import VehicleMarked
from gateway.actions import MarkVehicle, NotFoundError, RefusedError, VehicleMark
from gateway.changes import Changes
from gateway.directory import Directory
from gateway.hub import Hub
from gateway.reader import event_id


def mark(
    action: MarkVehicle, hub: Hub, directory: Directory, now: datetime, *, batch: Changes, turn: Changes
) -> VehicleMark:
    """Journal the mark at the lane the vehicle came by, and let the register follow it.

    :raises NotFoundError: no such vehicle is thought to be inside, or the lane it came by is registered no more.
    :raises RefusedError: it has come in again since: the mark is about an earlier stay.
    """
    stay = hub.presence.stay(action.community, action.key, now, batch, turn)
    if stay.entered_at is None:
        raise NotFoundError(f"no vehicle {action.key} is thought to be inside {action.community}")
    if stay.entered_at != action.entered_at:
        raise RefusedError(f"the vehicle came in again at {stay.entered_at.isoformat()}; look at the list anew")
    lane = directory.device(stay.barrier)
    if lane is None:
        raise NotFoundError(f"the lane {stay.barrier} it came in by is registered no more")
    fact = VehicleMarked(at=now, plate=stay.plate, here=action.here, by=action.by[:128], reason=action.reason)
    hub.fact(fact, lane, event_id(now, b"vehicle_marked", uuid.uuid4().bytes), now, batch, turn)
    told = hub.presence.stay(action.community, action.key, now, batch, turn).told
    return VehicleMark(key=action.key, here=action.here, at=now, by=action.by, overdue=bool(told))
