"""What says how things stand, in a chaos run: Homie, Home Assistant, Sparkplug, a ThingsBoard sub-gateway. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from devices.protocols.sparkplug_wire import TYPES, Metric, Payload, read, write
from simulators.chaos_words import Out, Scene, Words, as_json, figure, milliseconds


def _tb(s: Scene, values: dict[str, Any]) -> Out:
    return as_json("v1/gateway/telemetry", {s.address: [{"ts": milliseconds(s.at), "values": values}]})


def _homie(s: Scene, leaf: str, text: str) -> Out:
    return Out(f"homie/5/{s.address}/{leaf}", text.encode(), retain=True)


def _homie_greets(s: Scene, is_open: bool) -> list[Out]:
    about = {"homie": "5.0", "version": 1, "nodes": {"lid": {"properties": {"open": {}, "level": {}}}}}
    described = _homie(s, "$description", msgspec.json.encode(about).decode())
    return [_homie(s, "$state", "init"), described, _homie_places(s, is_open), _homie(s, "$state", "ready")]


def _homie_places(s: Scene, is_open: bool) -> Out:
    return _homie(s, "lid/open", str(is_open).lower())


_HA = {"state_topic": "ha/chaos/state", "availability_topic": "ha/chaos/lwt", "component": "sensor"}
_HA_ANNOUNCED = "homeassistant/sensor/chaos/config"


def _home_assistant(s: Scene) -> Out:
    return Out(_HA["state_topic"], str(s.n).encode(), retain=True)


def _home_assistant_greets(s: Scene, is_open: bool) -> list[Out]:
    del s, is_open
    config = {"name": "Count", "uniq_id": "chaos", "stat_t": _HA["state_topic"], "avty_t": _HA["availability_topic"]}
    return [as_json(_HA_ANNOUNCED, config, retain=True), Out(_HA["availability_topic"], b"online", retain=True)]


_LID, _LEVEL = "Lid/Open", "Sump/Level"
_LID_ALIAS = 1


def _spark(s: Scene, kind: str, seq: int | None, *metrics: Metric) -> Out:
    group, node = s.address.split(":")
    at = milliseconds(s.at)
    return Out(f"spBv1.0/{group}/{kind}/{node}", write(Payload(timestamp=at, metrics=metrics, seq=seq)))


def _bd_seq(s: Scene) -> Metric:
    return Metric(name="bdSeq", datatype=TYPES["UInt64"], value=s.session.births)


def _sparkplug(s: Scene) -> Out:
    """The level by its name: it is understood whether its birth was heard or not."""
    at = milliseconds(s.at)
    level = Metric(name=_LEVEL, timestamp=at, datatype=TYPES["Int32"], value=s.n, is_historical=s.again)
    return _spark(s, "NDATA", s.session.next(), level)


def _sparkplug_places(s: Scene, is_open: bool) -> Out:
    """The lid by its alias: it is understood only after a birth."""
    lid = Metric(alias=_LID_ALIAS, timestamp=milliseconds(s.at), datatype=TYPES["Boolean"], value=is_open)
    return _spark(s, "NDATA", s.session.next(), lid)


def _sparkplug_greets(s: Scene, is_open: bool) -> list[Out]:
    s.session.seq = 0
    at = milliseconds(s.at)
    lid = Metric(name=_LID, alias=_LID_ALIAS, timestamp=at, datatype=TYPES["Boolean"], value=is_open)
    level = Metric(name=_LEVEL, datatype=TYPES["Int32"])  # null: a birth is no new measurement
    again = Metric(name="Node Control/Rebirth", datatype=TYPES["Boolean"], value=False)
    return [_spark(s, "NBIRTH", 0, _bd_seq(s), again, lid, level)]


def _reborn(payload: bytes) -> bool:
    return any(metric.name == "Node Control/Rebirth" for metric in read(payload).metrics)


_LEVELS = {"cover_open": "lid/open", "water_below_cover_cm": "lid/level"}
_SUMP: dict[str, Any] = {"kind": "cover", "event": "water_measured", "found": figure("below_cover_cm")}
_COUNT: dict[str, Any] = {"event": "sensor_measured", "found": figure("value")}

STATES = (
    Words(
        protocol="tb_gateway",
        says=lambda s: _tb(s, {"lid/level": s.n}),
        places=lambda s, is_open: _tb(s, {"lid/open": is_open}),
        greets=lambda s, is_open: [
            as_json("v1/gateway/connect", {"device": s.address}),
            _tb(s, {"lid/open": is_open}),
        ],
        will=lambda s: as_json("v1/gateway/disconnect", {"device": s.address}),
        options=_LEVELS,
        **_SUMP,
    ),
    Words(
        protocol="homie",
        says=lambda s: _homie(s, "lid/level", str(s.n)),
        places=_homie_places,
        greets=_homie_greets,
        will=lambda s: _homie(s, "$state", "lost"),
        options=_LEVELS,
        repeats=False,
        loose=True,
        **_SUMP,
    ),
    Words(
        protocol="home_assistant",
        says=_home_assistant,
        greets=_home_assistant_greets,
        will=lambda _: Out(_HA["availability_topic"], b"offline", retain=True),
        kind="sensor",
        address="sensor.chaos",
        options=_HA,
        repeats=False,
        loose=True,
        **_COUNT,
    ),
    Words(
        protocol="sparkplug",
        says=_sparkplug,
        places=_sparkplug_places,
        greets=_sparkplug_greets,
        will=lambda s: _spark(s, "NDEATH", None, _bd_seq(s)),
        hears=("spBv1.0/Yard/NCMD/cabinet-1",),
        asked=_reborn,
        address="Yard:cabinet-1",
        options={"cover_open": _LID, "water_below_cover_cm": _LEVEL},
        repeats=False,
        **_SUMP,
    ),
)
"""Those with a will and a greeting."""
