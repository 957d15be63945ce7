"""What things are: one pure state machine each."""

from __future__ import annotations

from typing import Any

from devices.kinds.barrier import BARRIER
from devices.kinds.bay import BAY
from devices.kinds.camera import CAMERA
from devices.kinds.cover import COVER
from devices.kinds.face_gate import FACE_GATE
from devices.kinds.light import LIGHT
from devices.kinds.sensor import SENSOR
from devices.model import DeviceKind

KINDS: dict[str, DeviceKind[Any]] = {
    kind.name: kind for kind in (FACE_GATE, BARRIER, CAMERA, LIGHT, COVER, BAY, SENSOR)
}
"""Our kinds by name."""
