import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert
from gateway import webhooks
from gateway.courier import Courier, delays
from gateway.delivery import Kind
from gateway.evidencelinks import followed
from gateway.settings import Settings, Webhooks
from gateway.store import Store, us
from gateway.vault import Vault
from gateway.webhooks import secret_bytes, sign
from tests.gateway.receiver import Receiver, Sender

NOW = datetime(2024, 5, 1, 8, 30, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
VAULT = Vault(bytes(32))


class Estate:
    """A database with subscriptions and alert changes, and the couriers that ran on it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "linli.db")
        self.couriers: list[Courier] = []

    def subscribe(self, url: str, name: str = "sub_1", **more: Any) -> None:
        types, most = more.get("types", []), more.get("max_severity", 3)
        with self.store.write() as db:
            db.execute(
                "INSERT INTO subscriptions(id, url, secret, types, max_severity, communities, cursor, created_at,"
                " disabled) VALUES (?,?,?,?,?,?,0,?,'')",
                (
                    name,
                    url,
                    VAULT.seal(SECRET.encode(), f"subscription:{name}"),
                    json.dumps(types),
                    most,
                    json.dumps(more.get("communities", [])),
                    us(NOW),
                ),
            )

    def change(self, count: int = 1, *, alerts: int = 1, code: str = "door_held_open", **place: str) -> None:
        body = {
            f"alert-{n}": msgspec.json.encode(
                Alert(
                    id=f"alert-{n}",
                    key=f"c1/gate-{n}/{code}",
                    type=code,
                    severity=ALERT_TYPES[code].severity,
                    community="c1",
                    device=f"gate-{n}",
                    first_seen=NOW,
                    last_seen=NOW,
                    raised_at=NOW,
                    **place,
                )
            )
            for n in range(alerts)
        }
        with self.store.write() as db:
            db.executemany(
                "INSERT INTO alert_changes(alert, change, actor, reason, at, body) VALUES (?,'raised','g','',?,?)",
                [(f"alert-{n % alerts}", us(NOW), body[f"alert-{n % alerts}"]) for n in range(count)],
            )

    def courier(self, *, backoff: Callable[[int], float] = lambda _: 0.0, **limits: Any) -> Courier:
        settings = Settings(webhooks=Webhooks(**{"timeout_s": 5, "allow": ("127.0.0.0/8",)} | limits))
        courier = Courier(self.store, VAULT, settings, backoff=backoff)
        self.couriers.append(courier)
        courier.start()
        return courier

    def row(self, sql: str) -> Any:
        return self.store.reader.execute(sql).fetchone()[0]

    @property
    def cursor(self) -> Any:
        return self.row("SELECT cursor FROM subscriptions")

    @property
    def dead(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.store.reader.execute("SELECT change, reason, attempts FROM dead_letters")]


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    estate = Estate(tmp_path)
    yield estate
    for courier in estate.couriers:
        courier.stop()
    estate.store.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(SECRET)
    receiver.start()
    yield receiver
    receiver.stop()


def sequences(receiver: Receiver) -> list[int]:
    return [int(post.event["sequence"]) for post in receiver.taken]


def test_every_change_arrives_once_and_in_order_per_alert(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(300, alerts=7)
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.posts) >= 200)
    estate.change(50, alerts=7)
    courier.wake()
    receiver.wait(lambda: len(receiver.posts) == 350)
    courier.stop()
    assert sorted(sequences(receiver)) == list(range(1, 351))
    for n in range(7):
        of_alert = [int(p.event["sequence"]) for p in receiver.posts if p.event["subject"] == f"alert-{n}"]
        assert of_alert == sorted(of_alert)
    assert {post.id for post in receiver.posts} == {f"sub_1.{seq}" for seq in range(1, 351)}
    assert estate.cursor == 350
    assert receiver.connections <= 8, "connections are kept"


def test_only_what_was_asked_for_is_delivered_and_the_cursor_passes_the_rest(
    estate: Estate, receiver: Receiver
) -> None:
    estate.subscribe(receiver.url, types=["door_forced"], max_severity=1)
    estate.change(3)
    estate.change(1, code="door_forced")
    estate.change(2)
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.posts) == 1)
    courier.stop()
    assert sequences(receiver) == [4]
    assert estate.cursor == 6


def test_a_place_is_asked_for_at_any_level_and_an_alert_keeps_its_grid_when_grids_are_drawn_anew(
    estate: Estate, receiver: Receiver
) -> None:
    def draw(grid_of_b7: str) -> None:
        places = [("street", "subdistrict", ""), ("c1", "community", "street"), ("b7", "building", grid_of_b7)]
        places += [("g3", "grid", "c1"), ("g4", "grid", "c1"), ("elsewhere", "subdistrict", "")]
        with estate.store.write() as db:
            db.execute("DELETE FROM places")
            db.executemany("INSERT INTO places(id, kind, name, parent) VALUES (?,?,'',?)", places)

    for place in ("street", "g3", "g4", "b7", "elsewhere"):
        estate.subscribe(receiver.url, name=place)
        with estate.store.write() as db:
            db.execute("UPDATE subscriptions SET places=? WHERE id=?", (json.dumps([place]), place))
    draw("g3")
    estate.change(alerts=1, grid="g3", building="b7")
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.taken) == 3)
    draw("g4")
    courier.wake()
    estate.change(alerts=1, grid="g3", building="b7")  # the end of the alert that began in g3
    estate.change(alerts=1, grid="g4", building="b7")  # and a new one
    courier.tell()
    receiver.wait(lambda: len(receiver.taken) == 9)
    courier.stop()
    heard = {
        place: [int(p.id.split(".")[1]) for p in receiver.taken if p.id.startswith(place)] for place in ("g3", "g4")
    }
    assert heard == {"g3": [1, 2], "g4": [3]}
    assert not any(post.id.startswith("elsewhere") for post in receiver.posts)


def test_a_receiver_that_fails_gets_it_again_under_the_same_id(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(3)
    receiver.answer = lambda _i, _e, nth: (503 if nth <= 4 else 200, {})
    estate.courier()
    receiver.wait(lambda: len(receiver.taken) == 3)
    assert [post.id for post in receiver.posts[:5]] == ["sub_1.1"] * 5
    assert sequences(receiver) == [1, 2, 3]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7.0), ("", 0.0), ("soon", 0.0), ("999999", 3600.0), ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0)],
)
def test_what_the_receiver_says_about_retrying_is_understood(receiver: Receiver, said: str, seconds: float) -> None:
    receiver.answer = lambda *_: (429, {"Retry-After": said})
    sender = Sender(receiver.url)
    headers = sign([secret_bytes(SECRET)], "sub_1.1", int(time.time()), b"{}")
    assert sender.post(b"{}", headers) == (Kind.UNAVAILABLE, "HTTP 429", seconds)
    sender.close()


def test_a_receiver_that_vanishes_for_a_while_misses_nothing(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(5, alerts=5)
    tried = threading.Semaphore(0)

    def backoff(_: int) -> float:
        tried.release()
        return 0.02

    courier = estate.courier(backoff=backoff)
    receiver.wait(lambda: len(receiver.posts) == 5)
    receiver.stop()
    estate.change(20, alerts=5)
    courier.wake()
    for _ in range(6):
        assert tried.acquire(timeout=30)
    receiver.start()
    receiver.wait(lambda: len(set(sequences(receiver))) == 25)


def test_a_slow_receiver_holds_up_no_other(estate: Estate, receiver: Receiver) -> None:
    slow, go_on = Receiver(SECRET), threading.Event()
    slow.answer = lambda *_: (204 if go_on.wait(30) else 500, {})
    slow.start()
    estate.subscribe(slow.url, "sub_slow")
    estate.subscribe(receiver.url, "sub_quick")
    estate.change(20, alerts=20)
    estate.courier(backoff=lambda _: 0.02)
    receiver.wait(lambda: len(receiver.posts) == 20)
    assert slow.taken == []
    go_on.set()
    slow.wait(lambda: len(set(sequences(slow))) == 20)
    slow.stop()


def test_one_alert_that_is_refused_holds_up_no_other_and_ends_as_a_dead_letter(
    estate: Estate, receiver: Receiver
) -> None:
    estate.subscribe(receiver.url)
    estate.change(6, alerts=3)
    receiver.answer = lambda msg_id, _e, _n: (422 if msg_id == "sub_1.2" else 204, {})
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.taken) == 5)
    courier.stop()
    assert sum(post.id == "sub_1.2" for post in receiver.posts) >= 5
    assert [(change, reason) for change, reason, _ in estate.dead] == [(2, "HTTP 422")]
    assert estate.cursor == 6
    assert "dead letters" in courier.problems()[0]


def test_a_receiver_that_refuses_everything_for_a_while_misses_nothing(estate: Estate, receiver: Receiver) -> None:
    """A proxy without its route, a secret that was not changed there: all is 404 or 401, and then it is well."""
    estate.subscribe(receiver.url)
    estate.change(3, alerts=3)
    receiver.answer = lambda _i, _e, nth: ((404, 401)[nth % 2] if nth <= 40 else 204, {})
    courier = estate.courier(backoff=lambda _: 0.001)
    receiver.wait(lambda: len(receiver.taken) == 3)
    courier.stop()
    assert estate.dead == []
    assert estate.cursor == 3


def test_dead_letters_can_be_replayed_also_across_a_restart(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(3, alerts=3)
    receiver.answer = lambda msg_id, *_: (204 if msg_id == "sub_1.3" else 400, {})
    courier = estate.courier(backoff=lambda _: 0.001)
    receiver.wait(lambda: len(receiver.posts) >= 11)
    courier.stop()
    assert len(estate.dead) == 2
    receiver.answer = lambda *_: (204, {})
    assert courier.replay("sub_1") == 2
    second = estate.courier()
    receiver.wait(lambda: len(receiver.taken) == 3)
    second.stop()
    assert {post.id for post in receiver.taken} == {"sub_1.1", "sub_1.2", "sub_1.3"}
    assert estate.dead == []


def test_a_receiver_away_for_too_long_costs_the_alert_and_says_so(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(1)
    receiver.answer = lambda *_: (500, {})
    courier = estate.courier(retry_days=1e-9)
    receiver.wait(lambda: len(receiver.posts) == 1)
    courier.stop()
    assert estate.dead == [(1, "HTTP 500", 1)]


def test_a_receiver_that_is_gone_for_good_is_left_alone(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(3)
    receiver.answer = lambda *_: (410, {})
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.posts) == 1)
    courier.stop()
    assert estate.row("SELECT disabled FROM subscriptions") == "410 Gone"
    assert "127.0.0.1" in courier.problems()[0], "told on /health and at the desk"
    estate.courier().stop()
    assert len(receiver.posts) == 1


def test_a_receiver_that_is_back_goes_on_where_it_was(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(3)
    receiver.answer = lambda _i, _e, nth: (410 if nth == 2 else 204, {})
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.posts) == 2)
    while not estate.row("SELECT disabled FROM subscriptions"):
        threading.Event().wait(0.01)
    with estate.store.write() as db:
        db.execute("UPDATE subscriptions SET disabled=''")
    courier.wake()
    receiver.wait(lambda: len(receiver.taken) == 3)
    assert sequences(receiver) == [1, 2, 3]


def test_a_new_secret_is_used_at_once_and_the_old_one_beside_it(estate: Estate, receiver: Receiver) -> None:
    """One receiver knows the old secret only, one the new one only; both take what comes while both are good."""
    new = "whsec_" + base64.b64encode(b"n" * 24).decode()
    estate.subscribe(receiver.url)
    estate.change(1)
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.taken) == 1)

    def rotate(old_until: int) -> None:
        with estate.store.write() as db:
            db.execute(
                "UPDATE subscriptions SET old_secret=secret, old_until=?, secret=?",
                (old_until, VAULT.seal(new.encode(), "subscription:sub_1")),
            )
        courier.wake()

    rotate(us(datetime.now(UTC)) + 3_600_000_000)
    estate.change(1)
    courier.tell()
    receiver.wait(lambda: len(receiver.taken) == 2)
    receiver.secret = new
    estate.change(1)
    courier.tell()
    receiver.wait(lambda: len(receiver.taken) == 3)


def test_the_next_courier_goes_on_where_the_last_one_stopped(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(40)
    first = estate.courier()
    receiver.wait(lambda: len(receiver.posts) >= 10)
    first.stop()
    estate.courier()
    receiver.wait(lambda: 40 in sequences(receiver))
    assert sequences(receiver) == list(range(1, 41)), "a stop saves what arrived, so nothing comes twice"


def test_nothing_is_missed_when_a_courier_stops_among_many_alerts(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(80, alerts=9)
    for goal in (10, 30, 50):
        courier = estate.courier()
        receiver.wait(lambda goal=goal: len(receiver.posts) >= goal)
        courier.stop()
    estate.courier()
    receiver.wait(lambda: set(sequences(receiver)) == set(range(1, 81)))


def test_a_courier_that_died_with_its_cursor_repeats_under_the_same_ids(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(5)
    first = estate.courier()
    receiver.wait(lambda: len(receiver.taken) >= 5)
    first.stop()
    with estate.store.write() as db:  # as after kill -9 before the cursor was written
        db.execute("UPDATE subscriptions SET cursor=2")
    estate.courier()
    receiver.wait(lambda: len(receiver.taken) >= 8)
    assert [post.id for post in receiver.taken][-3:] == ["sub_1.3", "sub_1.4", "sub_1.5"]


def test_a_redirect_is_not_followed(estate: Estate, receiver: Receiver) -> None:
    target = Receiver(SECRET)
    target.start()
    estate.subscribe(receiver.url)
    estate.change(1)
    receiver.answer = lambda *_: (302, {"Location": target.url})
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.posts) == 8)
    courier.stop()
    target.stop()
    assert target.posts == []
    assert (estate.cursor, estate.dead) == (0, []), "tried again, as whoever refuses everything"


def test_a_private_address_is_not_called_where_that_is_not_allowed(estate: Estate, receiver: Receiver) -> None:
    estate.subscribe(receiver.url)
    estate.change(1)
    tried = threading.Event()

    def backoff(_: int) -> float:
        tried.set()
        return 60.0

    courier = estate.courier(backoff=backoff, allow=())
    assert tried.wait(30)
    courier.stop()
    assert receiver.posts == []
    assert estate.cursor == 0


def test_a_proxy_of_the_environment_is_not_used(
    estate: Estate, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Receiver(SECRET)
    proxy.start()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    estate.subscribe(receiver.url)
    estate.change(1)
    estate.courier()
    receiver.wait(lambda: len(receiver.taken) == 1)
    assert proxy.connections == 0
    proxy.stop()


def test_a_name_that_leads_elsewhere_the_second_time_is_not_asked_twice(
    estate: Estate, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: allowed when it is checked, the metadata service when it is asked again."""
    asked: list[object] = []

    def resolve(host: object, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "169.254.169.254", receiver.port))]

    monkeypatch.setattr(webhooks.socket, "getaddrinfo", resolve)
    estate.subscribe(f"http://rebinding.example:{receiver.port}/hook")
    estate.change(1)
    estate.courier()
    receiver.wait(lambda: len(receiver.taken) == 1)
    assert asked == ["rebinding.example"], "asked once, and called where it was checked to lead"


def test_a_subscription_added_while_running_is_served(estate: Estate, receiver: Receiver) -> None:
    courier = estate.courier()
    estate.subscribe(receiver.url)
    estate.change(1)
    courier.wake()
    receiver.wait(lambda: len(receiver.posts) == 1)


@pytest.mark.parametrize(("attempt", "least", "most"), [(1, 0.75, 1.25), (4, 6, 10), (40, 450, 750)])
def test_waiting_doubles_up_to_ten_minutes(attempt: int, least: float, most: float) -> None:
    assert all(least <= delays(attempt) <= most for _ in range(100))


def test_who_it_is_about_and_the_picture_leave_only_by_contract(estate: Estate, receiver: Receiver) -> None:
    alert = Alert(
        id="alert-1",
        key="c1/lane-1/blocklisted_plate",
        type="blocklisted_plate",
        severity=ALERT_TYPES["blocklisted_plate"].severity,
        community="c1",
        device="lane-1",
        first_seen=NOW,
        last_seen=NOW,
        raised_at=NOW,
        subject="苏A00001",
        evidence="ab" * 32,
    )
    for name in ("plain", "contract"):
        estate.subscribe(receiver.url, name=name)
    with estate.store.write() as db:
        db.execute("UPDATE subscriptions SET clear_text=1, evidence_hours=24 WHERE id='contract'")
        db.execute(
            "INSERT INTO alert_changes(alert, change, actor, reason, at, body) VALUES ('alert-1','raised','g','',?,?)",
            (us(NOW), msgspec.json.encode(alert)),
        )
    courier = estate.courier()
    receiver.wait(lambda: len(receiver.posts) == 2)
    courier.stop()
    said = {post.id.split(".")[0]: post.event["data"] for post in receiver.posts}
    assert said["contract"]["subject"] == "苏A00001"
    link = said["contract"]["evidence"].removeprefix("/v1/evidence-links/")
    assert "ab" * 8 not in link
    assert followed(estate.store, VAULT, link, datetime.now(UTC)) == "ab" * 32
    assert len(said["plain"]["subject"]) == 32
    assert said["plain"]["evidence"] == "/v1/evidence/" + "ab" * 32
