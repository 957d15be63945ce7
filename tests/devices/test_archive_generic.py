"""The vendors' archive of the generic protocols: everything up is understood, everything we can send is sent so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devices.archive import decode_file
from devices.effects import CloseBarrier, Command, OpenPassage, SetLamp
from devices.model import Device, Outgoing
from devices.protocols import PROTOCOLS, home_assistant_config, sparkplug
from devices.protocols.sparkplug_wire import read
from tests.devices.hostile import NOW, ZONE

ARCHIVE = Path(__file__).resolve().parents[2] / "../shared/vendor/F-generic"
pytestmark = pytest.mark.skipif(not ARCHIVE.is_dir(), reason="the vendors' archive is not beside this checkout")
ON = SetLamp(not_after=NOW, level_pct=100)


def archived(name: str) -> dict[str, Any]:
    file: dict[str, Any] = json.loads((ARCHIVE / f"{name}.json").read_text(encoding="utf-8"))
    return file


def lamp(protocol: str, address: str, **options: str) -> Device:
    return Device(id="d", kind="light", protocol=protocol, address=address, options=options)


def announced(config: str) -> Device:
    file = archived(f"home-assistant-discovery/{config}")
    offer = home_assistant_config.offers(file["topic"], json.dumps(file["payload"]).encode())[0]
    return Device(id="d", kind=offer.kind, protocol="home_assistant", address=offer.address, options=offer.options)


def test_everything_from_a_device_is_understood() -> None:
    files = sorted(ARCHIVE.rglob("*.json"))
    said = {path: decode_file(path.read_bytes(), PROTOCOLS, received_at=NOW, zone=ZONE) for path in files}
    up = [path for path in files if json.loads(path.read_bytes())["direction"] == "up"]
    unheard = {path.name: said[path] for path in up if not said[path].get("events")}
    assert unheard == {"06-STATE.json": {"protocol": "sparkplug", "ignored": "whether a host application is there"}}


SENT: list[tuple[str, Any, Command]] = [
    ("home-assistant-discovery/10-switch-set", lambda: announced("06-switch-config"), ON),
    ("home-assistant-discovery/12-cover-set", lambda: announced("11-cover-config"), CloseBarrier(not_after=NOW)),
    ("homie-5/04-light-set", lambda: lamp("homie", "kitchen-light", set_on="light/power"), ON),
    ("homie-5/06-brightness-set", lambda: lamp("homie", "kitchen-light", set_level_pct="light/brightness"), ON),
]


@pytest.mark.parametrize(("name", "device", "command"), SENT, ids=[name for name, *_ in SENT])
def test_a_command_is_sent_as_the_archive_has_it(name: str, device: Any, command: Command) -> None:
    file, registered = archived(name), device()
    message = PROTOCOLS[registered.protocol].encode(command, "c-1", registered, NOW)
    assert isinstance(message, Outgoing)
    assert (message.topic, message.payload.decode()) == (file["topic"], file["payload"])


def test_sparkplug_is_sent_field_by_field() -> None:
    at = datetime.fromtimestamp(1486144502.122, UTC)
    file = archived("sparkplug-b/02-NCMD")
    message = sparkplug.rebirth("Sparkplug B Devices", "Raspberry Pi", at)
    assert (message.topic, read(message.payload)) == (file["topic"], read(json.dumps(file["payload"]).encode()))
    file = archived("sparkplug-b/03-DCMD")
    device = lamp(
        "sparkplug", "Sparkplug B Devices:Raspberry Pi:Pibrella", set_on="Outputs/LEDs/Green;Outputs/LEDs/Yellow"
    )
    sent = PROTOCOLS["sparkplug"].encode(ON, "c-1", device, at)
    assert isinstance(sent, Outgoing)
    assert (sent.topic, read(sent.payload)) == (file["topic"], read(json.dumps(file["payload"]).encode()))


def test_an_rpc_is_sent_but_for_its_number() -> None:
    file = archived("thingsboard-gateway/08-rpc-request")
    device = lamp("tb_gateway", "Device A", rpc_open='toggle_gpio {"pin": 1}')
    sent = PROTOCOLS["tb_gateway"].encode(OpenPassage(not_after=NOW), "c-1", device, NOW)
    assert isinstance(sent, Outgoing)
    body = json.loads(sent.payload)
    body["data"]["id"] = file["payload"]["data"]["id"]
    assert (sent.topic, body) == (file["topic"], file["payload"])
