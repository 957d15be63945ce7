"""A camera that tells of objects in a zone and of the health of its picture, and sends pictures by its own clock."""

from __future__ import annotations

from datetime import datetime

from devices.events import CameraFault, CameraHealthChanged, FrameCaptured, ObjectDetected
from simulators.device import Later, Voice
from simulators.estate import Happening, What

ZONE = "fire-lane"


def tell(voice: Voice, happening: Happening, now: datetime) -> list[Later]:
    """What the camera says of a happening. One track per camera: whoever is seen is gone before the next."""
    track = f"{voice.device.id}-1"
    match happening.what:
        case What.OBJECT_SEEN:
            return [voice.event(ObjectDetected, now, label="car", zone=ZONE, track=track, confidence=0.83)]
        case What.OBJECT_GONE:
            return [voice.event(ObjectDetected, now, label="car", zone=ZONE, track=track, present=False)]
        case What.CAMERA_COVERED | What.CAMERA_CLEARED:
            active = happening.what is What.CAMERA_COVERED
            return [voice.event(CameraHealthChanged, now, fault=CameraFault.OCCLUDED, active=active)]
        case What.FRAME_TAKEN:
            return [voice.event(FrameCaptured, now, image=voice.world.pictures.view(voice.device.id))]
        case _:
            return []
