"""One labelled image of a vehicle, and what was read."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from vision.types import PlateFound, PlateLook, PlateReading, PlateUnsure


class Read(Struct, frozen=True):
    """One image, the plate of its label, what was made of it, and in how many ms."""

    image: Path
    truth: str
    look: PlateLook
    ms: float

    @property
    def reading(self) -> PlateReading | None:
        """The best reading, sure or not."""
        return self.look.reading if isinstance(self.look, PlateFound | PlateUnsure) else None

    @property
    def text(self) -> str:
        """What was read; "" for nothing."""
        return self.reading.plate if self.reading else ""

    @property
    def right(self) -> bool:
        """It is the plate of the label."""
        return self.text == self.truth
