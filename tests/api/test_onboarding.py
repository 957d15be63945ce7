"""From a box that speaks to a device that is checked, and a whole site from a reviewed file: API and commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.site_files import read_site
from devices.events import Listing
from devices.protocols import PROTOCOLS
from tests.api.conftest import Estate

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy/site.example.toml"
HELLO = b'{"online": true, "boot_id": "b", "at": "2026-03-01T08:00:00Z"}'
Run = Callable[..., Result]


@pytest.fixture
def run(address: str, estate: Estate) -> Run:
    token = estate.token()["Authorization"].removeprefix("Bearer ")

    def do(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--url", address, "--token", token])

    return do


def speak(estate: Estate, body: dict[str, Any]) -> None:
    topic, payload = "linli/v1/BOX-9/event", json.dumps({"event": {"at": "2026-03-01T08:00:00Z", **body}}).encode()
    now = datetime.now(UTC)
    decoded = PROTOCOLS["native"].decode(topic, payload, now, ZoneInfo("UTC"))
    estate.discovery.unregistered("native", decoded, topic, payload, now)


def last_line(result: Result) -> Any:
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_a_box_that_speaks_is_listed_guessed_and_registered_in_one_step(run: Run, estate: Estate) -> None:
    speak(estate, {"type": "credential_presented", "method": "card", "value": "0012345678"})
    listed = run("devices", "discover", "--seconds", "0")
    assert listed.exit_code == 0, listed.output
    assert "native  BOX-9  face_gate  x1" in listed.stdout
    assert "0012345678" not in listed.stdout
    added = run("devices", "discover", "--seconds", "0", "--register", "BOX-9", "--id", "gate-9")
    assert added.exit_code == 0, added.output
    assert last_line(added) == {"found": 1, "registered": "BOX-9"}
    device = estate.directory.device("gate-9")
    assert device is not None
    assert (device.kind, device.protocol, device.address) == ("face_gate", "native", "BOX-9")
    assert last_line(run("devices", "discover", "--seconds", "0"))["found"] == 0


def test_a_box_that_has_not_said_enough_needs_its_kind(run: Run, estate: Estate) -> None:
    speak(estate, {"type": "vendor_notice", "name": "hello"})
    unclear = run("devices", "add", "--from-discovered", "BOX-9")
    assert unclear.exit_code == 2
    added = run("devices", "add", "--from-discovered", "BOX-9", "--kind", "bay")
    assert added.exit_code == 0, added.output
    assert "registered bay-BOX-9" in added.stdout
    again = run("devices", "add", "--address", "BOX-9", "--protocol", "native", "--kind", "bay", "--id", "other")
    assert (again.exit_code, "is the address of bay-BOX-9" in again.output) == (1, True)
    assert "nobody called BOX-7" in run("devices", "add", "--from-discovered", "BOX-7").output


def test_what_will_not_work_is_said_at_registration(call, run: Run, estate: Estate) -> None:
    lamp = {"id": "l-1", "kind": "light", "protocol": "testbed", "address": "L", "params": {"held_opn_s": 3}}
    added = call("POST", "/v1/devices", estate.token(), json=lamp).json()
    assert [warning.split(":")[0] for warning in added["warnings"]] == [
        "testbed has no message for set_lamp",
        "params.held_opn_s",
    ]
    gate = {"id": "g-1", "kind": "face_gate", "protocol": "testbed", "address": "G", "params": {"holds_list": 1}}
    (warning,) = call("POST", "/v1/devices", estate.token(), json=gate).json()["warnings"]
    assert warning.startswith("holds_list: testbed has no list for a face_gate")
    assert "! testbed has no message for set_lamp" in run("devices", "list").stdout


def test_a_check_says_what_fails_and_what_to_do(run: Run, estate: Estate) -> None:
    checked = run("devices", "check", "gate-3", "--seconds", "1", "--no-event")
    assert checked.exit_code == 1
    assert last_line(checked) == {
        "device": "gate-3",
        "ok": False,
        "checks": {"registered": "pass", "heartbeat": "fail", "clock": "none", "command": "none"},
    }
    assert "FAIL  heartbeat: it was never heard; check its power" in checked.stdout
    missing = run("devices", "check", "none")
    assert (missing.exit_code, last_line(missing)["checks"]) == (1, {"registered": "fail"})


def test_no_gateway_and_no_token_are_told_in_one_line(tmp_path: Path) -> None:
    from api.commands.client import Api  # noqa: PLC0415
    from gateway.settings import SettingsError  # noqa: PLC0415

    with pytest.raises(SettingsError, match="LINLI_TOKEN"):
        Api("http://127.0.0.1:1", "")
    with pytest.raises(SettingsError, match="no gateway answers at"):
        Api("http://127.0.0.1:1", "x").get("/v1/devices")


def test_the_example_is_taken_over_once_and_a_second_time_changes_nothing(run: Run, estate: Estate) -> None:
    planned = run("site", "plan", str(EXAMPLE))
    assert planned.exit_code == 0, planned.output
    assert "+ devices gate-3" not in planned.stdout  # it is there already, and differs
    assert "~ devices gate-3: protocol, address, name, community, building, uplink, params" in planned.stdout
    assert "粤B12345" not in planned.stdout
    assert estate.directory.vehicles() == []
    applied = run("site", "apply", str(EXAMPLE))
    assert applied.exit_code == 0, applied.output
    assert last_line(applied)["written"] is True
    visitor = estate.directory.vehicle("粤B54321")
    assert visitor is not None
    assert (visitor.listing, visitor.valid_to) == (Listing.VISITOR, datetime(2026, 12, 31, 16, tzinfo=UTC))
    again = last_line(run("site", "apply", str(EXAMPLE)))
    for section, unchanged in (("places", 2), ("devices", 2), ("vehicles", 2)):
        assert again[section] == {"added": 0, "changed": 0, "removed": 0, "unchanged": unchanged}


def test_what_is_not_in_the_files_goes_only_when_pruned(run: Run, estate: Estate, tmp_path: Path) -> None:
    assert run("site", "apply", str(EXAMPLE)).exit_code == 0
    (tmp_path / "devices.csv").write_text(
        "id,kind,protocol,address,params.held_open_s\nlamp-1,light,native,P1,\ngate-3,face_gate,native,GATE-0003,20\n",
        encoding="utf-8",
    )
    kept = run("site", "apply", str(tmp_path))
    assert kept.exit_code == 0, kept.output
    assert last_line(kept)["devices"] == {"added": 1, "changed": 1, "removed": 0, "unchanged": 0}
    pruned = run("site", "apply", str(tmp_path), "--prune")
    assert "- devices lane-in" in pruned.stdout
    assert [device.id for device in estate.directory.devices()] == ["gate-3", "lamp-1"]
    assert len(estate.directory.vehicles()) == 2, "a section that is not given stays as it is"
    gate = estate.directory.device_at("native", "GATE-0003")
    assert gate is not None
    assert gate.params == {"held_open_s": 20.0}


def test_two_devices_may_swap_their_addresses(run: Run, estate: Estate, tmp_path: Path) -> None:
    file = tmp_path / "devices.csv"
    for first, second in (("A", "B"), ("B", "A")):
        file.write_text(f"id,kind,protocol,address\nx,bay,native,{first}\ny,bay,native,{second}\n", encoding="utf-8")
        assert run("site", "apply", str(tmp_path)).exit_code == 0
    found = estate.directory.device_at("native", "A")
    assert found is not None
    assert found.id == "y"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[devices]]\nid='a'\n", "site.toml:1: kind: is missing; add it"),
        (
            "\n\n[[devices]]\nid='a'\nkind='bay'\nprotocol='native'\naddress='A'\ncolour=1\n",
            "site.toml:3: colour: there",
        ),
        (
            (
                "[[devices]]\nid='a'\nkind='bay'\nprotocol='native'\naddress='A'\n"
                "[[devices]]\nid='b'\nkind='toaster'\nprotocol='native'\naddress='B'\n"
            ),
            "site.toml:6: there is no kind 'toaster'",
        ),
        (
            (
                "[[devices]]\nid='a'\nkind='bay'\nprotocol='native'\naddress='A'\n"
                "[[devices]]\nid='b'\nkind='bay'\nprotocol='native'\naddress='A'\n"
            ),
            "site.toml:6: native A is the address of a",
        ),
        ("[[places]]\nid='p'\nkind='building'\nname='n'\nparent='nowhere'\n", "lies in nowhere, which is not among"),
        ("[[vehicles]]\nplate='NOT-A-PLATE'\n", "site.toml:1: plate: not a plate"),
        ("[[cars]]\nplate='x'\n", "cars: there is no such section"),
        ("devices = 3\n", "devices: write [[devices]] once for each"),
        ("[[devices]\n", "not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_nothing_is_written(
    run: Run, estate: Estate, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "site.toml").write_text(text, encoding="utf-8")
    (tmp_path / "places.csv").write_text("id,kind,name\ngood,community,Good\n", encoding="utf-8")
    result = run("site", "apply", str(tmp_path))
    assert result.exit_code == 1
    assert said in result.output
    assert "nothing was written" in result.output
    assert "NOT-A-PLATE" not in result.output
    assert estate.directory.places() == []
    assert [device.id for device in estate.directory.devices()] == ["gate-3"]


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    assert "there is no site here" in read_site(tmp_path, ZoneInfo("UTC")).faults[0]
    (tmp_path / "vehicles.csv").write_text("plate,listing\nxx,allow\n", encoding="utf-8")
    assert read_site(tmp_path, ZoneInfo("UTC")).faults[0].startswith("vehicles.csv:2: plate: not a plate")


def test_the_events_of_a_device_say_what_and_when_and_nothing_else(call, estate: Estate) -> None:
    reader = estate.token("devices:read")
    first = call("GET", "/v1/devices/gate-3/events", reader).json()
    assert first == {"items": [], "next": 0}
    assert call("GET", "/v1/devices/none/events", reader).status_code == 404


def test_a_command_takes_its_own_field_and_no_other(call, estate: Estate) -> None:
    estate.directory.put_device(gate := estate_gate())
    estate.connect(gate)
    desk = estate.token("commands:write")
    path = f"/v1/devices/{gate.id}/commands"
    for body, status in (
        ({"type": "speak"}, 422),
        ({"type": "speak", "text": ""}, 422),
        ({"type": "reboot", "text": "hello"}, 422),
        ({"type": "speak", "text": "请勿堵塞消防通道"}, 202),
        ({"type": "take_snapshot"}, 202),
        ({"type": "sync_time"}, 202),
        ({"type": "reboot"}, 202),
        ({"type": "sync_persons"}, 422),
    ):
        assert call("POST", path, desk, json=body).status_code == status, body
    assert "请勿" not in str(estate.store.reader.execute("SELECT body FROM commands").fetchall()[0]["body"])


def estate_gate() -> Any:
    from devices.model import Device  # noqa: PLC0415

    return Device(id="n-1", kind="face_gate", protocol="native", address="N1")


def test_the_list_of_a_device_shows_names_only_to_who_may_see_people(call, estate: Estate) -> None:
    estate.directory.put_device(estate_gate())
    shown = call("GET", "/v1/devices/n-1/list", estate.token("devices:read")).json()
    assert (shown["what"], shown["held"], shown["refusals"]) == ("", 0, [])
    resync = call("POST", "/v1/devices/n-1/list/resync", estate.token("devices:write", "devices:read"))
    assert resync.status_code == 202
    assert call("POST", "/v1/devices/n-1/list/resync", estate.token("devices:read")).status_code == 403
