"""The documents for firmware makers say what the decoder does."""

from __future__ import annotations

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from devices.effects import OpenPassage
from devices.model import Device
from devices.protocols.native import PROTOCOL
from tests.devices.hostile import NOW
from tests.devices.test_native import MESSAGES

ROOT = Path(__file__).resolve().parents[2]


def _script() -> Any:
    loader = SourceFileLoader("make_schemas", str(ROOT / "scripts/make-schemas"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


SCRIPT = _script()


def _schema(leaf: str) -> Any:
    return json.loads((ROOT / "docs/schemas" / f"{leaf}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(SCRIPT.documents()))
def test_a_generated_document_is_up_to_date(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == SCRIPT.documents()[path], "run scripts/make-schemas"


@pytest.mark.parametrize("leaf", ["event", "status", "heartbeat", "answer", "command"])
def test_a_schema_is_a_valid_schema(leaf: str) -> None:
    jsonschema.Draft202012Validator.check_schema(_schema(leaf))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[0])
def test_a_message_the_decoder_takes_fits_its_schema(message: tuple[str, Any]) -> None:
    topic, body = message
    assert PROTOCOL.decode(topic, json.dumps(body).encode(), NOW, NOW.tzinfo)  # type: ignore[arg-type]
    jsonschema.validate(body, _schema(topic.rsplit("/", 1)[1]))


def test_a_message_the_decoder_refuses_does_not_fit_its_schema() -> None:
    for body in ({"event": {"type": "ticked", "at": "2026-03-01T23:15:09Z"}}, {"event": {"type": "access_taken"}}, {}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(body, _schema("event"))


def test_a_command_we_send_fits_its_schema() -> None:
    gate = Device(id="g", kind="face_gate", protocol="native", address="a")
    message = PROTOCOL.encode(OpenPassage(not_after=NOW), "c-1", gate, NOW)
    jsonschema.validate(msgspec.json.decode(message.payload), _schema("command"))


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = SCRIPT.asyncapi()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [r for below in value.values() for r in references(below)]
        return [r for below in value for r in references(below)] if isinstance(value, list) else []

    found = references(document)
    assert found
    for reference in found:
        target: Any = document
        for key in reference.removeprefix("#/").split("/"):
            target = target[key]


def test_every_topic_of_the_protocol_is_a_channel() -> None:
    addresses = {channel["address"].replace("{address}", "+") for channel in SCRIPT.asyncapi()["channels"].values()}
    assert addresses == {*PROTOCOL.topics, "linli/v1/+/command"}
