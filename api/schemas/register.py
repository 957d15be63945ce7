"""The register of an estate beside devices and residents: vehicles and rounds, places, the site file, staff."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Id, Moment, Shape, Text, Utc
from api.schemas.devices import DeviceNew
from devices.escalation import Level
from devices.events import Listing
from gateway.roster import StaffRole


class VehicleBody(Shape):
    listing: Literal[Listing.ALLOW, Listing.VISITOR, Listing.BLOCK] = Listing.ALLOW
    owner: Annotated[str, Field(max_length=64)] = ""
    valid_from: Moment | None = None
    valid_to: Moment | None = Field(default=None, description="In force until before this instant.")
    note: Annotated[str, Field(max_length=200)] = ""


class VehicleView(VehicleBody):
    id: str
    plate: str = Field(examples=["粤B12345"])


class VehicleDone(VehicleView):
    changed: list[str] = Field(description="Which fields this changed; empty: it was so already.")


class VehicleRemoved(Shape):
    plate: str
    removed: bool = Field(description="false: there was none, or it had been removed before.")


class VehicleList(Shape):
    items: list[VehicleView]


class InsideView(Shape):
    """A vehicle of which an entry was seen and no exit."""

    key: str = Field(description="Names it in its community.", examples=["5d1f0a93c2b4e7f8"])
    plate: str = Field(examples=["粤B12345"])
    read: str = Field(description='The plate as read at the entry, where that differs; "" otherwise.')
    listing: Listing = Field(description="Where it stands in the register; unknown for a stranger.")
    entered_at: Utc
    lane: str = Field(description="The barrier it came by.")
    evidence: str = Field(description='Its picture at the entry; "" for none.')
    hours: float = Field(description="For how long by now.")
    probability: float = Field(ge=0, le=1, description="That it still is inside.")
    overdue_since: Utc | None = Field(description="Since when it stays too long for what it is; null: it does not.")
    to_look_for: bool = Field(description="It stays too long, perhaps, and no alert says so: take it along on a round.")
    seen_at: Utc | None = Field(description="When it was last surely inside, after its entry: on a round, in a bay.")


class LotView(Shape):
    """The public bays of a community."""

    bays: int = Field(description="Bays heard of.")
    taken: int = Field(description="Of these, with something on them.")
    full_since: Utc | None = Field(description="Since when all are taken; null: they are not.")
    turned_away: int = Field(description="Who came while it was full, this time or the last, and did not go in.")


class InsideList(Shape):
    """Vehicles thought to be inside: those that stay too long first, then the longest there."""

    items: list[InsideView]
    to_look_for: int = Field(description="How many of all are to be looked for on a round.")
    lot: LotView


class MarkBody(Shape):
    """What somebody found on a round (巡查)."""

    here: bool = Field(description="It stands there, or it is gone.")
    entered_at: Moment = Field(description="As the list said: the mark is about this stay and no later one.")
    community: Id = Field("", description="Its community; the gateway's own where left out.")
    reason: Annotated[str, Field(max_length=500)] = ""


class MarkView(Shape):
    key: str
    here: bool
    at: Utc
    by: str = Field(description="Name of the token.")
    overdue: bool = Field(description="It is here and stays too long: an alert says so now.")


class LineErrorView(Shape):
    line: int
    column: str
    value_hint: str = Field(description="The value's shape: 汉 a character, A a letter, 9 a digit.")
    error: str


class ImportView(Shape):
    imported: int
    unchanged: int
    errors: list[LineErrorView]


class PlaceBody(Shape):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Literal["district", "sub_district", "community", "grid", "building", "unit"]
    name: Text
    parent: Id = Field(default="", description="The place it lies in.")


class SiteVehicle(VehicleBody):
    plate: Annotated[str, Field(min_length=1, max_length=16)] = Field(examples=["粤B12345"])


class SiteBody(Shape):
    """A whole site. A section that is absent stays as it is."""

    places: Annotated[list[PlaceBody], Field(max_length=10_000)] | None = None
    devices: Annotated[list[DeviceNew], Field(max_length=10_000)] | None = None
    vehicles: Annotated[list[SiteVehicle], Field(max_length=100_000)] | None = None
    prune: bool = Field(default=False, description="Remove what is there and not in a section that is given.")
    dry_run: bool = Field(default=False, description="Only say what would change.")


class SiteChange(Shape):
    id: str
    fields: list[str]


class SiteDifference(Shape):
    added: list[str]
    changed: list[SiteChange]
    removed: list[str]
    unchanged: int


class SiteView(Shape):
    """What changed, or would: by id, vehicles by plate."""

    places: SiteDifference
    devices: SiteDifference
    vehicles: SiteDifference


class PlaceList(Shape):
    items: Annotated[list[PlaceBody], Field(max_length=10_000)]


class PlacesDone(PlaceList):
    """Every place, and what changed: ids."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class ShiftBody(Shape):
    """Hours of duty, in the gateway's zone; an end that is not after the start is on the next day."""

    days: list[Annotated[int, Field(ge=1, le=7)]] = Field(default=[1, 2, 3, 4, 5, 6, 7], description="1 is Monday.")
    start: time = Field(default=time(0), examples=["20:00:00"])
    end: time = Field(default=time(0), examples=["08:00:00"])
    first: date | None = None
    last: date | None = None


class AbsenceBody(Shape):
    first: date
    last: date
    substitute: Id = Field(default="", description="Id of who stands in.")


class WorkerBody(Shape):
    """Somebody with a duty. Without shifts: always on duty."""

    id: Annotated[str, Field(min_length=1, max_length=64)] = Field(examples=["grid-worker-12"])
    name: Text
    level: Level
    places: Annotated[list[Id], Field(min_length=1, max_length=100)]
    contact: Text = Field(default="", description="A URI.", examples=["tel:+86-21-55550100"])
    role: StaffRole = Field(default=StaffRole.NONE, description="What they are called; level and places decide.")
    shifts: list[ShiftBody] = Field(default=[])
    absences: list[AbsenceBody] = Field(default=[])


class StaffList(Shape):
    items: Annotated[list[WorkerBody], Field(max_length=10_000)]


class StaffChangeView(Shape):
    """Ids."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class DutyView(Shape):
    place: str
    at: Utc
    levels: dict[str, list[str]] = Field(description="Ids of who is on duty, by level.")
