"""What the backend makes of alerts: cases, whom it sends and asks next; its books over kills and repetitions."""

import json
import sqlite3
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from devices.alerts import Alert, AlertError, Work, worked
from devices.escalation import Level
from simulators.backend import roster as rosters
from simulators.backend import store
from simulators.backend.cases import Case, Person, Place, Roster, next_asked, taken_in, wants_somebody
from simulators.backend.events import Cloud, Kept
from simulators.backend.store import Books, Step
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
        self.forgotten, self.line = 0, ""
        self.asked: list[tuple[str, str, str]] = []
        self.told_by: list[tuple[str, str]] = []

    def change(self, alert: str, change: str, actor: str = "gateway", **fields: Any) -> None:
        self.alerts[alert] = self.alerts.get(alert, view(alert)) | fields
        seq = self.feed[-1]["seq"] + 1 if self.feed else 1
        line = {
            "seq": seq,
            "hash": f"{self.line}{seq}",
            "change": change,
            "actor": actor,
            "reason": "",
            "at": "2026-05-01T00:00:00Z",
        }
        self.feed.append(line | {"alert": self.alerts[alert]})

    def changes(self, after: int, *, limit: int = 500, known: str = "") -> dict[str, Any]:
        self._here()
        newest = self.feed[-1]["seq"] if self.feed else 0
        there = [item["hash"] for item in self.feed if item["seq"] == after]
        if after > newest or (known and there not in ([], [known])) or 0 < after < self.forgotten:
            more = {"newest": newest, "forgotten": self.forgotten}
            raise ApiError("broken", status=410 if 0 < after < self.forgotten else 409, problem=more)
        items = [item for item in self.feed if item["seq"] > after][: min(2, limit)]
        return {"items": items, "next": items[-1]["seq"] if items else after, "forgotten": self.forgotten}

    def open_alerts(self) -> list[dict[str, Any]]:
        self._here()
        return [alert for alert in self.alerts.values() if alert["open"]]

    def set_back(self, backup: "Gateway") -> None:
        """To a copy of itself; changes are another line from now on."""
        self.alerts, self.feed = dict(backup.alerts), list(backup.feed)
        self.line += "'"

    def drop(self, up_to: int) -> None:
        """Retention: changes up to this number are gone, and every alert that is over."""
        self.feed = [item for item in self.feed if item["seq"] > up_to]
        self.alerts = {name: alert for name, alert in self.alerts.items() if alert["open"]}
        self.forgotten = up_to

    def alert(self, alert: str) -> dict[str, Any]:
        self._here()
        if alert not in self.alerts:
            raise ApiError("there is no such alert", status=404, problem={"code": "not_found"})
        return self.alerts[alert]

    def work(
        self, alert: str, work: str, *, assignee: str, reason: str = "", if_work: str | None = None,
        step: str = "", operator: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        self._here()
        self.asked.append((alert, work, assignee))
        self.told_by.append((step, operator))
        at, now = datetime(2026, 5, 1, tzinfo=UTC), self.alert(alert)
        held = Alert(
            id=alert, key=alert, type="door_forced", severity=1, community="c-1", first_seen=at, last_seen=at,
            raised_at=at, work=Work(now["work"]), assignee=now["assignee"],
        )  # fmt: skip
        try:
            after = worked(held, work=Work(work), assignee=assignee, now=at, if_work=Work(if_work) if if_work else None)
        except AlertError as error:
            problem = {"code": error.code, "who": error.who, "stands": error.stands}
            raise ApiError("refused", status=409, detail=str(error), problem=problem) from error
        if after is not held:
            at = f"2026-05-01T00:00:{len(self.feed):02}Z"
            self.change(alert, "work", "backend", work=after.work.value, assignee=after.assignee, work_at=at)
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
    monkeypatch.setattr(rosters, "give", lambda *_, **__: None)
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
    for step in (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED):
        assert office.step("a-1", step, operator="w-1", reason="r")
    assert office.step("a-1", Work.VERIFIED, operator="v-1", reason="r")
    assert standing(books) == ("verified", "w-1")
    assert [operator for _, operator in gateway.told_by] == ["", "", "w-1", "w-1", "w-1", "v-1"]
    assert len({step for step, _ in gateway.told_by}) == 6
    assert [work for _, work, _ in gateway.asked] == [
        "accepted", "assigned", "claimed", "on_site", "resolved", "verified",
    ]  # fmt: skip
    with pytest.raises(TakenError):
        office.step("a-1", Work.CLAIMED, operator="w-1")


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
        office.step("a-1", Work.CLAIMED, operator="w-1")
    assert standing(books) == ("claimed", "desk 1")
    refusal = books.case("a-1").refusal  # type: ignore[union-attr]
    assert (refusal["code"], refusal["who"], refusal["stands"]) == ("claimed_already", "desk 1", "claimed")


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
    assert not office.step("a-1", Work.CLAIMED, operator="w-1")
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


# -- read as a hostile reviewer would ---------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["w-1", "m-1"])
def test_nobody_verifies_what_they_did_or_whom_they_sent(office: Office, gateway: Gateway, books: Books, operator: str):
    gateway.change("a-1", "raised")
    office.look()
    assert office.step("a-1", Work.ASSIGNED, operator="m-1", person="w-1")
    for step in (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED):
        office.step("a-1", step, operator="w-1")
    with pytest.raises(TakenError) as told:
        office.step("a-1", Work.VERIFIED, operator=operator)
    assert told.value.refusal["code"] == "somebody_else"
    assert standing(books) == ("resolved", "w-1")
    assert office.step("a-1", Work.VERIFIED, operator="v-1")


def test_who_was_refused_has_not_done_it(office: Office, gateway: Gateway, books: Books):
    gateway.change("a-1", "raised")
    office.look()
    gateway.change("a-1", "work", "desk", work="claimed", assignee="desk 1")
    with pytest.raises(TakenError):
        office.step("a-1", Work.CLAIMED, operator="v-1")
    assert books.case("a-1").did == {}  # type: ignore[union-attr]


def test_only_somebody_of_the_roster_can_be_sent(office: Office, gateway: Gateway):
    gateway.change("a-1", "raised")
    office.look()
    with pytest.raises(TakenError, match="roster"):
        office.step("a-1", Work.ASSIGNED, operator="m-1", person="<script>")


def test_a_refusal_reaches_who_clicked_even_while_the_office_tells_steps_itself(
    office: Office, gateway: Gateway, books: Books
):
    """The office's own round used to take the waiting step, and its refusal with it."""
    gateway.change("a-1", "raised")
    office.look()
    gateway.change("a-1", "work", "desk", work="claimed", assignee="desk 1")
    send, told = books.send, threading.Event()

    def sent(step: Step, **fields: Any) -> int:
        number = send(step, **fields)
        other = threading.Thread(target=lambda: (office._tell(), told.set()))
        other.start()
        other.join(0.2)
        return number

    books.send = sent  # type: ignore[method-assign]
    with pytest.raises(TakenError):
        office.step("a-1", Work.CLAIMED, operator="w-1")
    assert told.wait(10)


def test_an_older_change_that_comes_after_an_answer_does_not_take_the_case_back(
    office: Office, gateway: Gateway, books: Books
):
    gateway.change("a-1", "raised")
    office.look()
    office.step("a-1", Work.CLAIMED, operator="w-1")
    accepted, assigned, claimed = gateway.feed[1:4]
    for late in (accepted, assigned):
        books.catch_up([json.loads(json.dumps(late, default=str))], late["seq"])
        assert standing(books) == ("claimed", "w-1")
    books.catch_up([json.loads(json.dumps(claimed, default=str))], claimed["seq"])
    gateway.change("a-1", "work", "desk", work="assigned", assignee="w-2", work_at="2026-05-01T00:01:00Z")
    office._catch_up()
    assert standing(books) == ("assigned", "w-2")


def test_a_step_the_gateway_does_not_know_what_to_do_with_holds_up_no_other(
    office: Office, gateway: Gateway, books: Books, monkeypatch
):
    gateway.change("a-1", "raised")
    gateway.change("a-2", "raised")
    real = gateway.work

    def work(alert: str, *more: Any, **fields: Any) -> dict[str, Any]:
        if alert == "a-1":
            raise ApiError("no", status=400, detail="no")
        return real(alert, *more, **fields)

    monkeypatch.setattr(gateway, "work", work)
    office.look()
    assert (books.waiting(), standing(books, "a-2")) == ([], ("assigned", "w-1"))
    real_alert = gateway.alert

    def alert(name: str) -> dict[str, Any]:
        if name == "a-1":
            raise ApiError("gone", status=404)
        return real_alert(name)

    monkeypatch.setattr(gateway, "alert", alert)
    books.send(Step(alert="a-1", work=Work.CLAIMED))
    office._tell()
    assert books.waiting() == []


def test_a_token_that_is_not_good_any_more_loses_no_step(office: Office, gateway: Gateway, books: Books, monkeypatch):
    gateway.change("a-1", "raised")
    office.look()

    def refused(*_: Any, **__: Any) -> None:
        raise ApiError("no", status=401, detail="the token is unknown")

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "work", refused)
        assert not office.step("a-1", Work.CLAIMED, operator="w-1")
    assert len(books.waiting()) == 1


def test_a_feed_that_does_not_move_on_is_no_endless_loop(office: Office, gateway: Gateway, monkeypatch):
    gateway.change("a-1", "raised")
    item = gateway.feed[0]
    monkeypatch.setattr(gateway, "changes", lambda after, **_: {"items": [item], "next": after})
    with pytest.raises(ApiError, match="goes on at"):
        office._catch_up()


def test_the_office_survives_what_nobody_thought_of_and_says_so(
    books: Books, gateway: Gateway, clock: Clock, monkeypatch
):
    monkeypatch.setattr(rosters, "give", lambda *_, **__: None)
    office = Office(books, gateway, ROSTER, clock=clock)  # type: ignore[arg-type]
    with monkeypatch.context() as patched:
        patched.setattr(gateway, "changes", lambda _: {"items": [{"seq": "x"}], "next": 9})
        version = books.version
        office.start()
        books.changed(version, 10)
        assert office.trouble[0] == "fault"
    gateway.change("a-1", "raised")
    version = books.version
    office.wake()
    books.changed(version, 10)
    office.stop()
    assert standing(books) == ("assigned", "w-1")


def test_numbers_take_as_many_rows_as_there_are_gaps(books: Books):
    for seq in (5, 1, 2, 9, 3, 8, 7, 4, 2):
        with books.write() as db:
            store._see(db, seq)
    assert [tuple(row) for row in books.rows("SELECT * FROM runs ORDER BY first")] == [(1, 5), (7, 9)]
    account = books.account()
    assert (account.first, account.last, account.have, account.missing) == (1, 9, 8, [6])


def test_what_is_long_over_is_forgotten_and_what_is_open_is_not(books: Books, monkeypatch):
    monkeypatch.setattr(store, "PRUNE_EVERY", 1)
    deliver(books, seq=1, alert="a-1")
    deliver(books, seq=2, alert="a-2")
    books.catch_up(
        [{"seq": 3, "at": "", "change": "disposed", "actor": "", "reason": "", "alert": view("a-1", open=False)}], 3
    )
    kept = Kept(webhook_id="m-9", received_at=4e9, event="e", type="t", alert="a-9")
    books.deliver(kept, Cloud(specversion="1.0", id="e", source="s", type="t"))
    assert [case.alert for case in books.cases(open_only=False)] == ["a-2"]
    assert [one.webhook_id for one in books.received()] == ["m-9"]
    assert books.history("a-1") == []


def test_books_of_before_are_taken_over_with_what_waits_to_be_told(tmp_path):
    old = sqlite3.connect(tmp_path / "old.db")
    old.executescript(
        "CREATE TABLE seen(seq INTEGER PRIMARY KEY); INSERT INTO seen VALUES(1),(2),(3),(7);"
        "CREATE TABLE outbox(n INTEGER PRIMARY KEY, alert TEXT NOT NULL, work TEXT NOT NULL, assignee TEXT NOT NULL,"
        " reason TEXT NOT NULL, if_work TEXT); INSERT INTO outbox VALUES(4, 'a', 'claimed', 'w-1', 'r', NULL);"
    )
    old.close()
    for _ in range(2):
        books = Books(tmp_path / "old.db")
        account = books.account()
        assert (account.first, account.last, account.have, account.missing) == (1, 7, 4, [4])
        assert [(step.n, step.work, step.operator) for step in books.waiting()] == [(4, Work.CLAIMED, "")]
        books.close()


def test_a_roster_is_given_again_to_a_gateway_that_lost_it(books: Books):
    gateway, people = SyncingGateway(), Roster(places=PLACES)
    rosters.give(books, gateway, people, anew=True)  # type: ignore[arg-type]
    rosters.give(books, gateway, people, anew=True)  # type: ignore[arg-type]
    assert len(gateway.bodies) == 1
    gateway.bodies.clear()
    rosters.give(books, gateway, people)  # type: ignore[arg-type]
    assert gateway.bodies == []
    rosters.give(books, gateway, people, anew=True)  # type: ignore[arg-type]
    assert len(gateway.bodies) == 1
