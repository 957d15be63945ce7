"""The pictures a run needs: drawn once each, or taken from a folder of photographs."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import cycle

from simulators.estate import SHOTS, Estate
from simulators.face_drawing import draw_face
from simulators.image import alive
from simulators.plate_drawing import draw_car
from simulators.scene_drawing import View, draw_scene

COVERED_EVERY, COVERED = 400, range(10, 34)
"""Of so many pictures of a camera these show cloth before its lens: long enough to be told, and over in a minute."""


class Pictures:
    """Faces by person and shot, cars by plate and shot.

    `photographs` (name -> the files' bytes, see `faces_from`) take the place of drawings: the first name stands for the
    estate's first person, and so on, round again when there are too few.
    """

    def __init__(self, estate: Estate, photographs: dict[str, list[bytes]] | None = None) -> None:
        self._drawn = {person.id: person.face for person in estate.people.values()}
        self._photographs: dict[str, list[bytes]] = {}
        self._taken = 0
        self._seen: Counter[str] = Counter()
        if photographs:
            self._photographs = dict(zip(self._drawn, cycle(photographs.values()), strict=False))

    def face(self, person: str, shot: int) -> bytes:
        """A JPEG of this person before a gate. Like a sensor, it never gives the same picture twice: they stand a
        little elsewhere, and the noise is another. Shot 0 is a variation of the one they were enrolled with.
        """
        self._taken += 1
        return alive(self.portrait(person, shot), self._taken)

    def portrait(self, person: str, shot: int) -> bytes:
        """The picture itself; the same every time."""
        if taken := self._photographs.get(person):
            return taken[shot % len(taken)]
        return _face(self._drawn[person], shot)

    def enrolment(self, person: str) -> list[bytes]:
        """The pictures somebody hands in to be registered."""
        taken = self._photographs.get(person)
        return taken[:1] if taken else [_face(self._drawn[person], shot) for shot in range(0, SHOTS, 2)]

    def view(self, camera: str) -> bytes:
        """The next JPEG of the yard before a camera, a while of them covered."""
        number = self._seen[camera]
        self._seen[camera] += 1
        return draw_scene(number, View(covered=number % COVERED_EVERY in COVERED), seed=sum(camera.encode()))

    def car(self, plate: str, shot: int) -> bytes:
        """A JPEG of the car with this plate in a lane."""
        return _car(plate, shot)


@lru_cache(maxsize=512)
def _face(number: int, shot: int) -> bytes:
    return draw_face(number, shot=shot)


@lru_cache(maxsize=128)
def _car(plate: str, shot: int) -> bytes:
    return draw_car(plate, seed=shot)
