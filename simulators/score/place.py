"""The estate of the score: its devices, who lives there, and whose cars are registered. Seeded, invented, nobody's."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from msgspec import Struct

from devices.model import Device
from simulators.score.world import COMMUNITY, LEAD_IN_DAYS, MIDNIGHT

PROVINCES = "沪苏浙皖京"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
BEAT_S = 300.0
"""How often what hangs on a cable is heard."""
LAMP_EVERY_S = 900.0
RADIO_BEAT_S = 14_400.0
STAIR_LAMPS, STAIR_LAMP_W = 8, 9.0
ZONES = '[{"name":"wall","purpose":"build","polygon":[[0,0],[1,0],[1,1]]}]'
_ROADSIDE = ("fire-1", "stair-1", "no_park-1", "fire-2", "stair-2", "no_park-2")


class Car(Struct, frozen=True, kw_only=True):
    """A registered car, in the shape of `gateway.vehicles.Vehicle`. `listing`: allow, visitor or block."""

    plate: str
    id: str
    listing: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class Tenant(Struct, frozen=True, kw_only=True):
    """A temporary resident with a card, registered until before `until`."""

    id: str
    building: str
    card: str
    until: datetime


def zone_of(camera: str) -> str:
    """What a camera watches."""
    return _ROADSIDE[int(camera.rsplit("-", 1)[1]) - 1]


def install() -> list[Device]:
    """Four buildings, two lanes, two street circuits, twelve public bays."""
    found = []
    for n in range(1, 5):
        door = {"passage_sensor": 1.0, "forced_detection": 1.0, "heartbeat_s": BEAT_S}
        found.append(_device("face_gate", n, building=f"B{n}", uplink=f"switch-{(n + 1) // 2}", params=door))
    for n, direction in ((1, "in"), (2, "out")):
        lane = {"heartbeat_s": BEAT_S}
        found.append(_device("barrier", n, direction=direction, uplink="switch-gate", params=lane))
    for n in range(1, 7):
        camera = {"heartbeat_s": BEAT_S}
        found.append(_device("camera", n, building=f"B{(n + 1) // 2}", uplink=f"switch-{(n + 2) // 3}", params=camera))
    found.append(_device("camera", 7, uplink="switch-gate", params={"heartbeat_s": BEAT_S}, zones=ZONES))
    for n in range(1, 21):
        lamp = {"heartbeat_s": 2 * LAMP_EVERY_S}
        found.append(_device("light", n, uplink=f"circuit-{(n + 9) // 10}", params=lamp))
    for n in range(21, 25):
        stairs = {"heartbeat_s": 2 * LAMP_EVERY_S, "stair": 1.0, "lamps": STAIR_LAMPS, "lamp_w": STAIR_LAMP_W}
        found.append(_device("light", n, building=f"B{n - 20}", uplink=f"stairs-{n - 20}", params=stairs))
    radio = {"heartbeat_s": RADIO_BEAT_S}
    found += [_device("cover", n, uplink="radio", params=radio) for n in range(1, 7)]
    found += [_device("bay", n, uplink="radio", params=radio) for n in range(1, 13)]
    return found


def _device(
    kind: str,
    n: int,
    *,
    building: str = "",
    direction: str = "",
    uplink: str,
    params: dict[str, float],
    zones: str = "",
) -> Device:
    return Device(
        id=f"{kind}-{n}",
        kind=kind,
        protocol="native",
        address=f"{kind.replace('_', '-')}-{n}",
        community=COMMUNITY,
        building=building,
        direction=direction,
        uplink=uplink,
        params=params,
        options={"zones": zones} if zones else {},
    )


def plate(random: Random) -> str:
    """A plate of the usual form."""
    return random.choice(PROVINCES) + random.choice(LETTERS) + "".join(random.choice("0123456789") for _ in range(5))


def cars(seed: int, days: int) -> list[Car]:
    """A hundred residents' cars, guests registered for a day each, delivery vans, and three that are blocked."""
    random = Random(f"{seed} cars")
    found = [Car(plate=plate(random), id=f"car-{n}", listing="allow") for n in range(100)]
    found += [Car(plate=plate(random), id=f"van-{n}", listing="visitor") for n in range(8)]
    found += [Car(plate=plate(random), id=f"blocked-{n}", listing="block") for n in range(3)]
    for n in range(6 * (days + LEAD_IN_DAYS)):
        comes = MIDNIGHT + timedelta(days=n // 6 - LEAD_IN_DAYS, hours=random.uniform(9, 19))
        found.append(
            Car(
                plate=plate(random),
                id=f"guest-{n}",
                listing="visitor",
                valid_from=comes - timedelta(hours=2),
                valid_to=comes + timedelta(hours=24),
            )
        )
    return list({car.plate: car for car in found}.values())


def tenants(seed: int, days: int) -> list[Tenant]:
    """Eight temporary residents whose registration ends within the month."""
    random = Random(f"{seed} tenants")
    return [
        Tenant(
            id=f"tenant-{n}",
            building=f"B{n % 4 + 1}",
            card=f"{random.randrange(10**9, 10**10)}",
            until=MIDNIGHT + timedelta(days=random.uniform(0.2, max(0.4, days * 0.7))),
        )
        for n in range(8)
    ]
