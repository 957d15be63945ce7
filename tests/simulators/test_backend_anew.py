# ruff: noqa: F811 - the fixtures are those of the tests of cases
"""The feed cannot go on (409, 410): the reference backend reads the open alerts anew, says so, and loses no case."""

import copy

import pytest

from devices.alerts import Work
from simulators.backend import anew
from simulators.backend.store import Books
from simulators.backend.work import Office, TakenError
from simulators.client import ApiError
from tests.simulators.test_backend_cases import (  # noqa: F401
    Clock,
    Gateway,
    books,
    clock,
    gateway,
    office,
    standing,
)


def numbers(books: Books) -> tuple[int, list[int]]:
    account = books.account()
    return account.last, account.missing


def raised_and_seen(office: Office, gateway: Gateway, *alerts: str) -> None:
    for alert in alerts:
        gateway.change(alert, "raised")
        office.look()
    office.look()


@pytest.mark.parametrize("more", [0, 30])
def test_a_gateway_set_back_is_found_out_also_when_its_numbers_have_overtaken_ours(
    office: Office,
    gateway: Gateway,
    books: Books,
    more: int,
) -> None:
    raised_and_seen(office, gateway, "a-1")
    backup = copy.deepcopy(gateway)
    office.step("a-1", Work.CLAIMED, operator="w-1")
    raised_and_seen(office, gateway, "a-2")
    after = int(books.fact("after"))
    gateway.set_back(backup)
    gateway.change("a-3", "raised")
    for _ in range(more):
        gateway.change("a-3", "repeated")
    office.look()
    said = anew.shown(books)
    assert said is not None
    assert (said["code"], said["after"], said["unknown"]) == ("set_back", after, 1)
    assert said["next"] == len(backup.feed) + 1 + more
    office.look()
    assert standing(books) == ("assigned", "w-1"), "as the gateway has it now"
    assert standing(books, "a-3")[0] == "assigned", "raised after the backup, and dispatched"
    assert (int(books.fact("after")), numbers(books)) == (len(gateway.feed), (len(gateway.feed), []))
    assert "claimed" not in [line["what"] for line in books.history("a-1")]
    assert len(books.history("a-1")) >= 4, "what was told before is kept"


def test_a_case_the_gateway_forgot_stays_and_is_worked_on_to_its_end(
    office: Office,
    gateway: Gateway,
    books: Books,
) -> None:
    raised_and_seen(office, gateway, "a-1")
    backup = copy.deepcopy(gateway)
    raised_and_seen(office, gateway, "a-2")
    gateway.set_back(backup)
    office.look()
    told = len(gateway.asked)
    for step in (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED):
        assert office.step("a-2", step, operator="w-2", reason="r")
    assert books.case("a-2").open  # type: ignore[union-attr]
    with pytest.raises(TakenError, match="somebody else"):
        office.step("a-2", Work.VERIFIED, operator="w-2", reason="r")
    office.step("a-2", Work.VERIFIED, operator="v-1", reason="seen")
    case = books.case("a-2")
    assert case is not None
    assert (case.open, case.unknown, case.work) == (False, True, Work.VERIFIED)
    assert [line["what"] for line in books.history("a-2")][-5:] == [
        "unknown", "claimed", "on_site", "resolved", "verified",
    ]  # fmt: skip
    assert len(gateway.asked) == told
    gateway.change("a-2", "raised", open=True)
    office.look()
    assert (books.case("a-2").unknown, books.case("a-2").open) == (False, True)  # type: ignore[union-attr]


def test_a_step_that_waited_while_the_gateway_was_set_back_is_kept_here(
    office: Office,
    gateway: Gateway,
    books: Books,
) -> None:
    backup = copy.deepcopy(gateway)
    raised_and_seen(office, gateway, "a-1")
    gateway.away = True
    assert not office.step("a-1", Work.CLAIMED, operator="w-1")
    gateway.away = False
    gateway.set_back(backup)
    office.look()
    assert (standing(books), books.case("a-1").unknown) == (("claimed", "w-1"), True)  # type: ignore[union-attr]
    assert books.waiting() == []


def test_what_retention_dropped_is_read_anew_and_counts_as_no_gap(
    office: Office,
    gateway: Gateway,
    books: Books,
) -> None:
    raised_and_seen(office, gateway, "a-1")
    gateway.change("a-1", "disposed", open=False)
    gateway.change("a-2", "raised")
    gateway.change("a-2", "repeated")
    gateway.change("a-3", "raised")
    gateway.drop(gateway.feed[-2]["seq"])
    office.look()
    said = anew.shown(books)
    assert said is not None
    assert (said["code"], said["next"], said["unknown"]) == ("dropped", gateway.forgotten, 1)
    office.look()
    assert numbers(books) == (gateway.feed[-1]["seq"], [])
    assert [standing(books, alert)[0] for alert in ("a-2", "a-3")] == ["assigned", "assigned"]
    assert books.case("a-1").open, "nobody said how it ended: a person does"  # type: ignore[union-attr]


def test_a_new_backend_counts_no_hole_of_before_its_time(office: Office, gateway: Gateway, books: Books) -> None:
    for _ in range(4):
        gateway.change("a-1", "repeated")
    gateway.feed = [item for item in gateway.feed if item["seq"] in (1, 4)]
    gateway.forgotten = 3
    office.look()
    office.look()
    assert (numbers(books), anew.shown(books)) == ((gateway.feed[-1]["seq"], []), None)


def test_cut_off_in_the_middle_it_is_done_again(office: Office, gateway: Gateway, books: Books, monkeypatch) -> None:
    asked: list[str] = []
    office._subscribe = lambda: asked.append("subscribed")
    backup = copy.deepcopy(gateway)
    raised_and_seen(office, gateway, "a-1")
    gateway.set_back(backup)
    with monkeypatch.context() as patched:

        def cut() -> list[dict[str, object]]:
            raise ApiError("cut")

        patched.setattr(gateway, "open_alerts", cut)
        with pytest.raises(ApiError):
            office.look()
    assert (anew.shown(books), asked) == (None, [])
    office.look()
    assert asked == ["subscribed"]
    assert books.case("a-1").unknown  # type: ignore[union-attr]


def test_a_refusal_that_is_none_of_the_feed_s_changes_nothing(
    office: Office, gateway: Gateway, books: Books, monkeypatch
):
    def refuse(*_, **__):
        raise ApiError("a proxy", status=410)

    monkeypatch.setattr(gateway, "changes", refuse)
    with pytest.raises(ApiError, match="a proxy"):
        office.look()
    assert anew.shown(books) is None
