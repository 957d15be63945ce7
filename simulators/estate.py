"""A seeded estate: its devices, people and cars, and a day's happenings. Pure: the same seed gives the same estate.

A happening is what the world does (somebody shows a face, a car arrives, a lamp fails); what a device says about it is
the device's business (`simulators.face_gate`, `simulators.barrier`, ...).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random

from msgspec import Struct

from devices.model import Device
from simulators.face_drawing import DISTINCT

COMMUNITY = "demo"
PROVINCES = "川京吉甘"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
SHOTS = 4
"""How many pictures of one person the detector is known to find: see `DISTINCT`."""


class What(StrEnum):
    """What can happen on an estate."""

    FACE_SHOWN = "face_shown"
    FACE_KNOWN_LOCALLY = "face_known_locally"
    CARD_SHOWN = "card_shown"
    DOOR_FORCED = "door_forced"
    DOOR_SHUT = "door_shut"
    DURESS = "duress"
    CAR_ARRIVED = "car_arrived"
    OBJECT_SEEN = "object_seen"
    OBJECT_GONE = "object_gone"
    CAMERA_COVERED = "camera_covered"
    CAMERA_CLEARED = "camera_cleared"
    FRAME_TAKEN = "frame_taken"
    LAMP_READ = "lamp_read"
    LAMP_FAILED = "lamp_failed"
    LAMP_MENDED = "lamp_mended"
    COVER_OPENED = "cover_opened"
    COVER_SHUT = "cover_shut"
    WATER_READ = "water_read"
    BAY_TAKEN = "bay_taken"
    BAY_LEFT = "bay_left"


class Happening(Struct, frozen=True, kw_only=True):
    """One thing that happens at `device` (its id) at `at`, UTC. `person` is a `Person.id`; `number` tells pictures of
    one person or car apart, or carries a measurement; `card` is the number that was read.
    """

    at: datetime
    what: What
    device: str
    person: str = ""
    plate: str = ""
    card: str = ""
    number: int = 0


class Role(StrEnum):
    """Who somebody is to the estate. Strangers are in no register."""

    RESIDENT = "resident"
    VISITOR = "visitor"
    STRANGER = "stranger"


class Person(Struct, frozen=True, kw_only=True):
    """Somebody. `face` is the number their face is drawn from; `cards` are the numbers of their access cards."""

    id: str
    name: str
    role: Role
    building: str
    face: int
    cards: tuple[str, ...] = ()


class Vehicle(Struct, frozen=True, kw_only=True):
    """A car. `listing`: allow, visitor or block as in the register, "" for a plate nobody registered."""

    plate: str
    listing: str = ""
    owner: str = ""


FOLLOWED_BY: dict[What, tuple[What, float]] = {
    What.DOOR_FORCED: (What.DOOR_SHUT, 20.0),
    What.OBJECT_SEEN: (What.OBJECT_GONE, 15.0),
    What.CAMERA_COVERED: (What.CAMERA_CLEARED, 30.0),
    What.LAMP_FAILED: (What.LAMP_MENDED, 60.0),
    What.COVER_OPENED: (What.COVER_SHUT, 40.0),
    What.BAY_TAKEN: (What.BAY_LEFT, 90.0),
}
"""What ends by itself, and after how many seconds at the latest."""

DECK: tuple[tuple[What, int], ...] = (
    (What.FACE_SHOWN, 12),
    (What.CAR_ARRIVED, 7),
    (What.LAMP_READ, 5),
    (What.BAY_TAKEN, 3),
    (What.CARD_SHOWN, 2),
    (What.OBJECT_SEEN, 2),
    (What.WATER_READ, 2),
    (What.FACE_KNOWN_LOCALLY, 1),
    (What.COVER_OPENED, 1),
    (What.DOOR_FORCED, 1),
    (What.LAMP_FAILED, 1),
    (What.CAMERA_COVERED, 1),
    (What.DURESS, 1),
)
"""How often each thing happens. Dealt like cards, so that even a short day has one of each."""

AT: dict[What, tuple[str, ...]] = {
    What.FACE_SHOWN: ("face_gate",),
    What.FACE_KNOWN_LOCALLY: ("face_gate/oem_face",),
    What.CARD_SHOWN: ("face_gate/native",),
    What.DOOR_FORCED: ("face_gate/native",),
    What.DURESS: ("face_gate/native",),
    What.CAR_ARRIVED: ("barrier",),
    What.OBJECT_SEEN: ("camera",),
    What.CAMERA_COVERED: ("camera",),
    What.LAMP_READ: ("light",),
    What.LAMP_FAILED: ("light",),
    What.COVER_OPENED: ("cover",),
    What.WATER_READ: ("cover",),
    What.BAY_TAKEN: ("bay",),
}
"""Where each thing can happen: a kind, or a kind and the protocol that can tell of it."""


class Estate:
    """A seeded estate of `buildings` buildings, with `residents` residents.

    Device addresses, plates and cards follow from the seed, so two estates of one seed are the same estate.
    """

    def __init__(self, seed: int = 1, *, buildings: int = 2, residents: int = 8, lights: int = 4) -> None:
        self.seed = seed
        self._random = Random(seed)
        self._buildings = [f"B{n + 1}" for n in range(buildings)]
        self._people = self._settle(residents)
        self._vehicles = self._park()
        self._devices = self._install(lights)
        self.by_id = {device.id: device for device in self._devices}
        self.people = {person.id: person for person in self._people}

    def devices(self) -> list[Device]:
        """Every device, as the gateway is to register it."""
        return list(self._devices)

    def residents(self) -> list[Person]:
        """Those whose faces are registered: residents, and visitors for a while."""
        return [person for person in self._people if person.role is not Role.STRANGER]

    def strangers(self) -> list[Person]:
        """Those who are in no register."""
        return [person for person in self._people if person.role is Role.STRANGER]

    def vehicles(self) -> list[Vehicle]:
        """Every registered car."""
        return [vehicle for vehicle in self._vehicles if vehicle.listing]

    def all_vehicles(self) -> list[Vehicle]:
        """Every car that may arrive, registered or not."""
        return list(self._vehicles)

    def _settle(self, residents: int) -> list[Person]:
        visitors, strangers = max(1, residents // 8), max(2, residents // 4)
        wanted = residents + visitors + strangers
        faces = [*DISTINCT, *(n for n in range(1000, 1000 + wanted))][:wanted]
        people = []
        for n, face in enumerate(faces):
            role = Role.RESIDENT if n < residents else Role.VISITOR if n < residents + visitors else Role.STRANGER
            card = (f"{self._random.randrange(10**9, 10**10)}",) if role is Role.RESIDENT else ()
            person = Person(
                id=f"{role.value}-{n + 1:03}",
                name=f"{role.value.capitalize()} {n + 1}",
                role=role,
                building=self._buildings[n % len(self._buildings)],
                face=face,
                cards=card,
            )
            people.append(person)
        return people

    def _park(self) -> list[Vehicle]:
        homes = [person for person in self._people if person.role is Role.RESIDENT]
        owned = [Vehicle(plate=self._plate(), listing="allow", owner=person.id) for person in homes[::2]]
        others = [Vehicle(plate=self._plate(), listing="visitor", owner="delivery"), Vehicle(plate=self._plate())]
        return [*owned, *others, Vehicle(plate=self._plate()), Vehicle(plate=self._plate(), listing="block")]

    def _plate(self) -> str:
        r = self._random
        return r.choice(PROVINCES) + r.choice(LETTERS) + "".join(r.choice("0123456789") for _ in range(5))

    def _install(self, lights: int) -> list[Device]:
        found = []
        for n, building in enumerate(self._buildings):
            found.append(self._device("face_gate", "native", n * 2 + 1, building))
            found.append(self._device("face_gate", "oem_face", n * 2 + 2, building))
            found.append(self._device("camera", "native", n + 1, building))
            found.append(self._device("cover", "native", n + 1, building))
            found.extend(self._device("bay", "native", n * 2 + k + 1, building) for k in range(2))
        found.append(self._device("barrier", "native", 1, "", direction="in"))
        found.append(self._device("barrier", "vzenith", 2, "", direction="in"))
        places = [self._buildings[n % len(self._buildings)] if n % 2 else "" for n in range(lights)]
        found.extend(self._device("light", "native", n + 1, place) for n, place in enumerate(places))
        return found

    def _device(self, kind: str, protocol: str, n: int, building: str, direction: str = "") -> Device:
        address = f"{kind.replace('_', '-')}-{n}"
        if protocol == "oem_face":
            address = f"{1_000_000 + self._random.randrange(900_000)}"
        elif protocol == "vzenith":
            address = f"{self._random.getrandbits(32):08x}-{self._random.getrandbits(32):08x}"
        place = building or "street"
        return Device(
            id=f"{kind}-{n}",
            kind=kind,
            protocol=protocol,
            address=address,
            name=f"{building + '栋' if building else '园区'}{_SIGNS[kind]}{n}",
            community=COMMUNITY,
            grid=f"{COMMUNITY}-grid-1",
            building=building,
            asset=f"{place}/{kind}-{n}",
            direction=direction,
            uplink=f"switch-{place}",
        )


_SIGNS = {
    "face_gate": "人脸门禁",
    "barrier": "道闸",
    "camera": "摄像机",
    "light": "照明",
    "cover": "井盖",
    "bay": "车位",
}
"""What stands on the sign of a device, in the language of its guards."""


def day(estate: Estate, *, start: datetime, seconds: float, rate: float) -> Iterator[Happening]:
    """What happens within `seconds` from `start` at `rate` happenings a second (on average), in order of time.

    What ends by itself (a cover is shut again) comes on top of the rate. Seeded by the estate's seed.

    :raises ValueError: `rate` is not positive.
    """
    if rate <= 0:
        raise ValueError(f"a rate is a positive number of happenings a second, not {rate}")
    random = Random(f"day {estate.seed}")
    ends: list[tuple[float, int, Happening]] = []
    after, count = 0.0, 0
    deck: list[What] = []
    while (after := after + random.expovariate(rate)) < seconds:
        while ends and ends[0][0] <= after:
            yield heapq.heappop(ends)[2]
        deck = deck or random.sample([w for w, many in DECK for _ in range(many)], sum(many for _, many in DECK))
        what = deck.pop()
        happening = _happen(estate, what, start + timedelta(seconds=after), random)
        if happening is None:
            continue
        yield happening
        if what in FOLLOWED_BY:
            count += 1
            then, within = FOLLOWED_BY[what]
            end = after + min(random.uniform(0.3, 1) * within, max(0.0, seconds - after) * random.uniform(0.3, 0.9))
            over = Happening(at=start + timedelta(seconds=end), what=then, device=happening.device)
            heapq.heappush(ends, (end, count, over))
    while ends:
        yield heapq.heappop(ends)[2]


def _happen(estate: Estate, what: What, at: datetime, random: Random) -> Happening | None:
    places = [d.id for d in estate.devices() for at_ in AT[what] if at_ in (d.kind, f"{d.kind}/{d.protocol}")]
    if not places:
        return None
    device, number = random.choice(places), random.randrange(SHOTS)
    match what:
        case What.FACE_SHOWN:
            crowd = estate.strangers() if random.random() < 0.25 else estate.residents()
            return Happening(at=at, what=what, device=device, person=random.choice(crowd).id, number=number)
        case What.FACE_KNOWN_LOCALLY | What.DURESS:
            return Happening(
                at=at, what=what, device=device, person=random.choice(estate.residents()).id, number=number
            )
        case What.CARD_SHOWN:
            cards = [card for person in estate.residents() for card in person.cards] or ["0000000000"]
            return Happening(at=at, what=what, device=device, card=random.choice(cards))
        case What.CAR_ARRIVED:
            return Happening(
                at=at, what=what, device=device, plate=random.choice(estate.all_vehicles()).plate, number=number
            )
        case _:
            return Happening(at=at, what=what, device=device, number=random.randrange(100))
