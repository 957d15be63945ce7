"""What the backend makes of alerts: cases, whom it sends and asks next; its books over kills and repetitions."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from devices.alerts import Alert, AlertError, Work, worked
from devices.escalation import Level
from simulators.backend import roster as rosters
from simulators.backend.cases import Case, Person, Place, Roster, next_asked, taken_in, wants_somebody
from simulators.backend.events import Cloud, Kept
from simulators.backend.store import Books
from simulators.backend.work import Office, TakenError
from simulators.client import ApiError

PLACES = (
    Place(id="c-1", kind="community", name="C"),
    Place(id="g-1", kind="grid", name="G", parent="c-1"),
    Place(id="b-1", kind="building", name="B", parent="g-1"),
)
STAFF = (
    Person(id="w-1", level=Level.GRID_WORKER, places=("g-1",)),
    Person(id="w-2", level=Level.GRID_WORKER, places=("g-1",)),
    Person(id="m-1", level=Level.COMMUNITY, places=("c-1",)),
)
ROSTER = Roster(places=PLACES, staff=STAFF)


def view(alert: str = "a-1", **more: Any) -> dict[str, Any]:
    base = {"id": alert, "type": "door_forced", "severity": 1, "title": {"zh": "门", "en": "door"}, "building": "b-1"}
    base |= {"community": "c-1", "grid": "", "condition": "active", "open": True, "work": "none", "assignee": ""}
    return base | {"device": "gate", "raised_at": "2026-05-01T00:00:00Z", "test": False, "acknowledged": None} | more


class Gateway:
    """The part of the API the office uses, by the rules of the alerts themselves; `away`: it does not answer."""

    def __init__(self) -> None:
        self.alerts: dict[str, dict[str, Any]] = {}
        self.feed: list[dict[str, Any]] = []
        self.away = False
        self.asked: list[tuple[str, str, str]] = []

    def change(self, alert: str, change: str, actor: str = "gateway", **fields: Any) -> None:
        self.alerts[alert] = self.alerts.get(alert, view(alert)) | fields
        line = {"seq": len(self.feed) + 1, "change": change, "actor": actor, "reason": "", "at": "2026-05-01T00:00:00Z"}
        self.feed.append(line | {"alert": self.alerts[alert]})

    def changes(self, after: int, *, limit: int = 500) -> dict[str, Any]:
        self._here()
        items = [item for item in self.feed if item["seq"] > after][:2]
        return {"items": items, "next": items[-1]["seq"] if items else after}

    def alert(self, alert: str) -> dict[str, Any]:
        self._here()
        return self.alerts[alert]

    def work(
        self, alert: str, work: str, *, assignee: str, reason: str = "", if_work: str | None = None
    ) -> dict[str, Any]:
        self._here()
        self.asked.append((alert, work, assignee))
        at, now = datetime(2026, 5, 1, tzinfo=UTC), self.alerts[alert]
        held = Alert(
            id=alert, key=alert, type="door_forced", severity=1, community="c-1", first_seen=at, last_seen=at,
            raised_at=at, work=Work(now["work"]), assignee=now["assignee"],
        )  # fmt: skip
        try:
            after = worked(held, work=Work(work), assignee=assignee, now=at, if_work=Work(if_work) if if_work else None)
        except AlertError as error:
            raise ApiError("refused", status=409, detail=str(error)) from error
        if after is not held:
            self.change(alert, "work", "backend", work=after.work.value, assignee=after.assignee)
        return self.alerts[alert]

    def _here(self) -> None:
        if self.away:
            raise ApiError("nobody there")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def books(tmp_path):
    books = Books(tmp_path / "backend.db")
    yield books
    books.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def office(books: Books, gateway: Gateway, clock: Clock, monkeypatch) -> Office:
    monkeypatch.setattr(rosters, "give", lambda *_: None)
    return Office(books, gateway, ROSTER, claim_within_s=60, clock=clock)  # type: ignore[arg-type]


def standing(books: Books, alert: str = "a-1") -> tuple[str, str]:
    case = books.case(alert)
    assert case is not None
    return case.work.value, case.assignee


def test_the_smallest_place_is_asked_and_of_it_who_has_least_to_do():
    case = Case(alert="a", building="b-1", community="c-1")
    assert next_asked(case, ROSTER, {"w-1": 2, "w-2": 1}) == (1, "w-2")
    assert next_asked(Case(alert="a", asked=1, building="b-1"), ROSTER, {}) == (2, "m-1")
    assert next_asked(Case(alert="a", asked=2, building="b-1"), ROSTER, {}) is None
    assert next_asked(Case(alert="a", building="elsewhere"), ROSTER, {}) == (3, "grid-worker-1")


def test_an_older_change_does_not_undo_a_newer_one():
    held = taken_in(None, "a", 7, {"work": Work.CLAIMED, "assignee": "w-1"})
    assert taken_in(held, "a", 6, {"work": Work.ASSIGNED}) is held
    assert taken_in(held, "a", 8, {"work": Work.NONE}).assignee == "", "it came back: everybody is asked anew"


@pytest.mark.parametrize("fields", [{"hidden": True}, {"test": True}, {"open": False}, {"condition": "cleared"}])
def test_what_is_hidden_over_or_a_test_sends_nobody(fields):
    assert wants_somebody(Case(alert="a"))
    assert not wants_somebody(Case(alert="a", **fields))


def test_an_alert_is_accepted_dispatched_claimed_worked_on_and_verified(office: Office, gateway: Gateway, books: Books):
    gateway.change("a-1", "raised")
    office.look()
    assert standing(books) == ("assigned", "w-1")
    for step in (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED, Work.VERIFIED):
        assert office.step("a-1", step, person="w-1", reason="r")
    assert [work for _, work, _ in gateway.asked] == [
        "accepted", "assigned", "claimed", "on_site", "resolved", "verified",
    ]  # fmt: skip
    with pytest.raises(TakenError):
        office.step("a-1", Work.CLAIMED, person="w-1", reason="")


def test_unclaimed_cases_climb_level_by_level_and_stop_at_the_top(
    office: Office, gateway: Gateway, books: Books, clock: Clock
):
    gateway.change("a-1", "raised")
    office.look()
    clock.now += 59
    office.look()
    assert standing(books) == ("assigned", "w-1")
    for expected in ("m-1", "m-1"):
        clock.now += 60
        office.look()
        assert standing(books) == ("assigned", expected)
    assert [line["what"] for line in books.history("a-1") if line["who"] == "backend" and line["seq"] is None] == [
        "dispatched",
        "escalated",
    ]


def test_who_was_faster_at_the_desk_keeps_it_and_the_case_says_so(office: Office, gateway: Gateway, books: Books):
    gateway.change("a-1", "raised")
    office.look()
    gateway.change("a-1", "work", "desk 1", work="claimed", assignee="desk 1")
    with pytest.raises(TakenError, match="desk 1 has claimed it already"):
        office.step("a-1", Work.CLAIMED, person="w-1", reason="")
    assert standing(books) == ("claimed", "desk 1")
    assert "desk 1" in books.case("a-1").told  # type: ignore[union-attr]


def test_dispatching_takes_nothing_away_from_who_claimed_in_between(office: Office, gateway: Gateway, books: Books):
    gateway.change("a-1", "raised")
    office._catch_up()
    gateway.change("a-1", "work", "desk 1", work="claimed", assignee="desk 1")
    office._dispatch(books.cases(open_only=True)[0], {})
    office._tell()
    assert (gateway.alerts["a-1"]["assignee"], standing(books)) == ("desk 1", ("claimed", "desk 1"))


def test_what_is_done_while_the_gateway_is_away_is_told_when_it_is_back(
    office: Office, gateway: Gateway, books: Books, tmp_path
):
    gateway.change("a-1", "raised")
    office.look()
    gateway.away = True
    assert not office.step("a-1", Work.CLAIMED, person="w-1", reason="")
    with pytest.raises(ApiError):
        office.look()
    again = Books(tmp_path / "backend.db")
    assert [step.work for step in again.waiting()] == [Work.CLAIMED]
    again.close()
    gateway.away = False
    office.look()
    assert (books.waiting(), standing(books)) == ([], ("claimed", "w-1"))


def test_a_week_away_is_caught_up_page_by_page_without_a_gap_and_that_is_shown(
    office: Office, gateway: Gateway, books: Books
):
    for n in range(9):
        gateway.change(f"a-{n}", "raised", acknowledged={"by": "desk"}, open=False)
    deliver(books, seq=9, alert="a-8")
    assert (books.account().missing, books.account().have) == ([], 1)
    deliver(books, seq=4, alert="a-3")
    assert books.account().missing == [5]
    office.look()
    account = books.account()
    assert (account.first, account.last, account.have, account.missing) == (1, 9, 9, [])


def deliver(books: Books, *, seq: int, alert: str) -> bool:
    data = {"type": "door_forced", "severity": 1, "place": {"building": "b-1"}, "change": "raised", "work": "none"}
    cloud = Cloud(
        specversion="1.0", id=f"{seq}.{alert}", source="s", type="t", subject=alert, sequence=str(seq), data=data
    )
    kept = Kept(webhook_id=f"m-{seq}", received_at=0.0, event=cloud.id, type="t", alert=alert)
    return books.deliver(kept, cloud)


def test_a_delivery_makes_a_case_once(books: Books):
    assert [deliver(books, seq=1, alert="a-1"), deliver(books, seq=1, alert="a-1")] == [True, False]
    assert [(case.alert, case.building) for case in books.cases(open_only=True)] == [("a-1", "b-1")]
    assert [line["what"] for line in books.history("a-1")] == ["raised"]


class SyncingGateway:
    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.cut = False

    def sync_state(self) -> dict[str, Any]:
        sent = [body for body in self.bodies if body["page"] < body["pages"]]
        whole = [body["revision"] for body in self.bodies if body["page"] == body["pages"]]
        pending = {"revision": sent[-1]["revision"], "pages": 2, "next_page": 2} if sent and not whole else None
        return {key: {"revision": max(whole, default=0), "pending": pending} for key in ("places", "staff")}

    def sync(self, section: str, body: dict[str, Any]) -> None:
        if self.cut and body["page"] == 2:
            raise ApiError("gone")
        self.bodies.append(body)


def test_the_roster_is_given_once_and_goes_on_at_the_page_where_it_broke_off(books: Books, monkeypatch):
    monkeypatch.setattr(rosters, "PAGE", 2)
    gateway, people = SyncingGateway(), Roster(places=PLACES)
    gateway.cut = True
    with pytest.raises(ApiError):
        rosters.give(books, gateway, people)  # type: ignore[arg-type]
    gateway.cut = False
    for _ in range(2):
        rosters.give(books, gateway, people)  # type: ignore[arg-type]
    assert [(body["revision"], body["page"]) for body in gateway.bodies] == [(1, 1), (1, 2)]


def test_a_roster_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "roster.json"
    path.write_text(json.dumps({"staff": [{"id": "w", "level": "king", "places": []}]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"roster.json.*king"):
        rosters.read(path)
