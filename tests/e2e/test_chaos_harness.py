"""The chaos harness proves itself: a sound gateway passes, and one broken on purpose is found out."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from simulators import chaos
from simulators.chaos import Chaos
from simulators.chaos_commands import _finish, _protocols
from simulators.chaos_ledger import (
    FINE,
    SERVED_WITHIN,
    TRANSIT,
    Account,
    Books,
    Key,
    Opening,
    Tally,
    Verdict,
    blows,
    disordered,
    judge,
)
from simulators.chaos_protocols import WORDS
from simulators.gateway_process import LINLI, ProcessError

BROKEN = Path(__file__).with_name("broken.py")
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PATIENCE_S = 14.0
"""The broker sends again after 10 s (`ack_wait`)."""


def opening(command: str = "c1", *, at: datetime = NOON, good_for: timedelta = 5 * SECOND) -> Opening:
    return Opening(device="gate-1", command=command, at=at, not_after=at + good_for)


def wrong(account: Account, books: Books) -> dict[str, int]:
    """What the judge finds wrong, by name."""
    verdict = judge(account, books)
    found = {name: getattr(verdict, name) for name in Verdict.__struct_fields__ if name not in FINE}
    assert verdict.clean == (not any(found.values()))
    return {name: count for name, count in found.items() if count}


# -- the judge ----------------------------------------------------------------------

KEYS = [Key("light-1", "lamp_measured", at) for at in range(5)]
SOUND = (
    Account(
        sent=frozenset(KEYS),
        acked=frozenset(KEYS),
        presented=[("gate-1", NOON)],
        openings=[opening("c1", at=NOON + SECOND), opening("c2")],
        received=["1.a", "2.b", "3.a"],
        answers={"key-1": frozenset({"c2"})},
        positions={"cover-1": True},
        present=frozenset({"light-1"}),
    ),
    Books(
        events=dict.fromkeys(KEYS, 1),
        changes=["1.a", "2.b", "3.a"],
        open_keys=["k1", "k2"],
        commands={"c1": ("gate-1", "gateway"), "c2": ("gate-1", "chaos")},
        states={"cover-1": True, "bay-1": None},
        online=frozenset({"light-1", "light-2"}),
        alarmed=frozenset({"cover-1"}),
        dangers=frozenset({"cover-1"}),
    ),
)


def test_two_accounts_that_agree_are_clean() -> None:
    assert wrong(*SOUND) == {}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"events": dict.fromkeys(KEYS[1:], 1)}, {"lost": 1, "lost_events": 1}),
        ({"events": dict.fromkeys(KEYS, 1) | {KEYS[0]: 3}}, {"duplicated": 2, "duplicated_events": 2}),
        ({"events": dict.fromkeys([*KEYS, Key("light-1", "lamp_measured", 99)], 1)}, {"invented": 1}),
        ({"changes": ["1.a", "2.b", "3.a", "4.b"]}, {"lost": 1, "lost_deliveries": 1}),
        ({"changes": ["1.a", "2.b"]}, {"invented": 1}),
        ({"open_keys": ["k1", "k1"]}, {"doubly_open_alerts": 1}),
        ({"commands": {"c1": ("gate-1", "gateway")}}, {"stray_openings": 1}),
        ({"commands": {"c1": ("gate-1", "gateway"), "c2": ("gate-2", "chaos")}}, {"stray_openings": 1}),
        ({"states": {"cover-1": False}}, {"backward_states": 1}),
        ({"states": {}}, {"backward_states": 1}),
        ({"online": frozenset({"light-2"})}, {"absent": 1}),
        ({"alarmed": frozenset()}, {"missing_alerts": 1}),
    ],
)
def test_books_that_differ_are_found_out(changed: dict[str, Any], found: dict[str, int]) -> None:
    account, books = SOUND
    fields = {name: getattr(books, name) for name in Books.__struct_fields__}
    assert wrong(account, Books(**(fields | changed))) == found


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"openings": [opening("c2"), opening("c2")]}, {"double_openings": 1}),
        ({"openings": [opening("c2", good_for=-TRANSIT - SECOND)]}, {"stray_openings": 1}),
        ({"openings": [opening("c1", at=NOON + SERVED_WITHIN + SECOND)]}, {"stray_openings": 1}),
        ({"presented": []}, {"stray_openings": 1}),
        ({"received": ["1.a", "2.b", "3.a", "2.b"]}, {"duplicated": 1, "duplicated_deliveries": 1}),
        ({"received": ["3.a", "1.a", "2.b"]}, {"disordered": 1}),
        ({"answers": {"key-1": frozenset({"c2", "c3"})}}, {"split_keys": 1}),
    ],
)
def test_a_world_that_differs_is_found_out(changed: dict[str, Any], found: dict[str, int]) -> None:
    account, books = SOUND
    fields = {name: getattr(account, name) for name in Account.__struct_fields__}
    assert wrong(Account(**(fields | changed)), books) == found


def test_two_commands_for_one_card_are_a_double_opening() -> None:
    account = Account(presented=[("gate-1", NOON)], openings=[opening("c1"), opening("c2", at=NOON + SECOND)])
    books = Books(commands={"c1": ("gate-1", "gateway"), "c2": ("gate-1", "gateway")})
    assert wrong(account, books) == {"double_openings": 1}


def test_an_event_that_was_never_confirmed_may_be_missing() -> None:
    assert wrong(Account(sent=frozenset(KEYS), acked=frozenset()), Books()) == {}


def test_what_nobody_can_tell_from_its_repetition_may_stand_twice_but_not_be_missing() -> None:
    account = Account(
        sent=frozenset(KEYS), acked=frozenset(KEYS), loose=frozenset(KEYS[:2]), protocols={"light-1": "homie"}
    )
    found = judge(account, Books(events=dict.fromkeys(KEYS, 1) | {KEYS[0]: 3}))
    assert (found.clean, found.again) == (True, 2)
    assert found.protocols == {"homie": Tally(sent=5, acked=5, stored=5, lost=0, doubled=0, again=2)}
    assert wrong(account, Books(events=dict.fromkeys(KEYS[1:], 1))) == {"lost": 1, "lost_events": 1}
    assert wrong(account, Books(events=dict.fromkeys(KEYS, 1) | {KEYS[4]: 2})) == {
        "duplicated": 1,
        "duplicated_events": 1,
    }


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 29))
def test_deliveries_in_order_are_in_order_wherever_they_are_repeated(alerts: list[str], at: int) -> None:
    received = [f"{n + 1}.{alert}" for n, alert in enumerate(alerts)]
    assert disordered(received) == 0
    assert disordered(received + received[at : at + 1]) == 0


def test_five_minutes_bring_the_promised_blows_and_a_short_run_one_of_each() -> None:
    many = [blow.what for blow in blows(300, seed=7)]
    assert many.count("gateway") >= 20
    assert many.count("broker") >= 10
    assert many.count("backend") >= 10
    assert {blow.what for blow in blows(10, seed=7)} == {"gateway", "broker", "backend", "storm", "full_disk"}


@given(st.floats(6, 3600), st.integers(0, 99))
def test_blows_fall_in_order_within_the_run_and_again_the_same(seconds: float, seed: int) -> None:
    fallen = blows(seconds, seed)
    assert fallen == sorted(fallen) == blows(seconds, seed)
    assert all(0 < blow.after < seconds for blow in fallen)


# -- real processes -----------------------------------------------------------------


def played(folder: Path, way: str = "", *protocols: str, rate: float = 200) -> dict[str, Any]:
    """A short run with real processes below a folder with a space in its name; in native and these protocols."""
    program = (sys.executable, "-P", str(BROKEN), way) if way else LINLI
    run = Chaos(
        folder / "a run", seconds=10, rate=rate, seed=3, protocols=protocols, program=program, patience_s=PATIENCE_S
    )
    return run.run()


@pytest.mark.e2e
def test_a_sound_gateway_loses_and_doubles_nothing_in_eighteen_protocols_under_blows(tmp_path: Path) -> None:
    # Of what has no time an older message can come last after a kill of the broker (docs/limits.md).
    protocols = [name for name, words in WORDS.items() if not words.loose]
    found = played(tmp_path, "", *protocols, rate=100)
    assert found["clean"], found
    assert found["stored"] == found["sent"] > 800
    assert found["protocols"].keys() == {"native", *protocols}
    assert all(tally["stored"] == tally["sent"] > 5 for tally in found["protocols"].values())
    assert found["delivered"] == found["alert_changes"] > 0
    assert found["openings"] > 0
    assert min(*found["kills"].values(), found["storms"], found["full_disks"]) >= 1


@pytest.mark.e2e
def test_a_gateway_that_acknowledges_before_it_commits_is_found_to_lose(tmp_path: Path) -> None:
    assert played(tmp_path, "acknowledges_before_it_commits")["lost_events"] > 0


@pytest.mark.e2e
def test_a_gateway_that_knows_no_record_again_is_found_to_double(tmp_path: Path) -> None:
    assert played(tmp_path, "knows_no_record_again")["duplicated_events"] > 0


@pytest.mark.e2e
def test_a_gateway_that_answers_a_post_before_it_commits_is_found_to_lose(tmp_path: Path) -> None:
    found = played(tmp_path, "answers_posts_before_it_commits", "hik_access", "dahua", rate=50)["protocols"]
    assert found["hik_access"]["lost"] + found["dahua"]["lost"] > 0
    assert found["native"]["lost"] == 0


@pytest.mark.e2e
def test_a_gateway_that_knows_records_by_their_bytes_doubles_those_told_again_in_other_words(tmp_path: Path) -> None:
    found = played(tmp_path, "knows_records_by_their_bytes", "oem_face", "vzenith_push", rate=50)["protocols"]
    assert found["oem_face"]["doubled"] > 0
    assert found["vzenith_push"]["doubled"] > 0
    assert found["native"]["doubled"] == 0


@pytest.mark.e2e
def test_a_gateway_that_retains_its_commands_is_found_to_open_again_when_a_door_reconnects(tmp_path: Path) -> None:
    assert played(tmp_path, "retains_its_commands")["double_openings"] > 0


@pytest.mark.e2e
def test_a_gateway_that_publishes_its_commands_twice_is_found_to_open_twice(tmp_path: Path) -> None:
    assert played(tmp_path, "publishes_its_commands_twice")["double_openings"] > 0


@pytest.mark.e2e
def test_a_gateway_that_does_not_come_back_ends_the_run_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chaos, "CALM_S", 3.0)
    program = (sys.executable, "-P", str(BROKEN), "comes_back_no_more")
    with pytest.raises(ProcessError, match="is not back 3 s after the run"):
        Chaos(tmp_path / "a run", seconds=1, rate=50, protocols=(), program=program).run()


def test_data_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    command = [*LINLI, "chaos", "--minutes", "1", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_a_folder_that_holds_something_is_refused_since_the_reckoning_would_be_wrong(tmp_path: Path) -> None:
    (tmp_path / "linli.toml").write_text("")
    command = [*LINLI, "chaos", "--minutes", "1", "--data", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "not empty" in done.stderr


@pytest.mark.parametrize(
    ("wanted", "spoken"),
    [("all", list(WORDS)), ("12", list(WORDS)[:12]), ("native", []), ("homie, native,dahua,homie", ["homie", "dahua"])],
)
def test_protocols_are_named_or_counted(wanted: str, spoken: list[str]) -> None:
    assert _protocols(wanted) == spoken


def test_a_protocol_that_chaos_does_not_speak_is_refused_by_name() -> None:
    with pytest.raises(typer.BadParameter, match="does not speak telex"):
        _protocols("homie,telex")


@pytest.mark.parametrize(("clean", "status"), [(True, 0), (False, 1)])
def test_the_verdict_is_the_last_line_and_decides_on_the_exit_status(
    clean: bool, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command = typer.Typer()
    command.command()(lambda: _finish(lambda: {"lost": 7, "clean": clean}))
    with pytest.raises(SystemExit) as ended:
        command(args=[])
    assert ended.value.code == status
    assert capsys.readouterr().out.splitlines()[-1] == '{"lost": 7}'
