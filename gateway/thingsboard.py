"""Our devices in a ThingsBoard server: we are one of its gateways (thingsboard.io/docs/reference/gateway-mqtt-api/).

Telemetry goes from the spool behind a durable cursor, which moves after the PUBACK; device status and the number of
open alerts go as attributes when they change. An RPC is refused unless `thingsboard.commands` names what it asks for;
then it is a command like any other: sent once, now or never, and answered with how that began.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from devices.effects import CloseBarrier, Command, OpenPassage, Reboot, SetLamp
from gateway.actions import Action, NotFoundError, RefusedError, SendCommand
from gateway.changes import DeviceState
from gateway.directory import Directory
from gateway.mqtt import where
from gateway.outlet import Outlet
from gateway.settings import Settings
from gateway.store import THINGSBOARD, Store

ROOT = "v1/gateway"
EXPORT_ROWS = 500
LOOK_EVERY_S = 1.0
ASKED_BY = "thingsboard"
_log = structlog.get_logger(__name__)


class _Params(Struct):
    level: float = 0.0


class _Call(Struct):
    id: int
    method: str
    params: Any = None


class _Request(Struct):
    device: str
    data: _Call


_REQUEST = msgspec.json.Decoder(_Request)
_METHODS: dict[str, tuple[str, Callable[[datetime, str, Any], Command]]] = {
    "open": ("open_passage", lambda until, device, _: OpenPassage(not_after=until, device=device)),
    "close": ("close_barrier", lambda until, device, _: CloseBarrier(not_after=until, device=device)),
    "setLevel": (
        "set_lamp",
        lambda until, device, params: SetLamp(not_after=until, device=device, level_pct=_level(params)),
    ),
    "reboot": ("reboot", lambda until, device, _: Reboot(not_after=until, device=device)),
}
"""RPC methods: the command's type in `thingsboard.commands`, and the command."""


def _level(params: Any) -> float:
    """:raises ValueError: it is no level from 0 to 100."""
    level = msgspec.convert(params, _Params).level if isinstance(params, dict) else msgspec.convert(params, float)
    if not 0 <= level <= 100:
        raise ValueError("a level is 0 to 100")
    return level


class ThingsBoard:
    """One thread that tells, in order. `submit` hands a command to the engine (`Gateway.submit`)."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        directory: Directory,
        states: Mapping[str, DeviceState],
        submit: Callable[[Action], Future[Any]],
    ) -> None:
        found, token = where(settings.thingsboard.url, "thingsboard.url"), settings.thingsboard.token
        self._allowed = frozenset(settings.thingsboard.commands)
        self._within = timedelta(seconds=settings.limits.command_s)
        self._store, self._directory, self._states, self._submit = store, directory, states, submit
        self._session = 0
        self._connected: set[str] = set()
        self._attributes: dict[str, dict[str, Any]] = {}
        self._stopping = threading.Event()
        self._outlet = Outlet(
            msgspec.structs.replace(found, username=token, password="") if token else found,
            client_id=f"{settings.mqtt.client_id}-{random.randbytes(6).hex()}",  # noqa: S311 - a name, not a secret
            topics=(f"{ROOT}/rpc",),
            heard=self._hears,
        )
        self._thread = threading.Thread(target=self._run, name="thingsboard", daemon=True)

    def start(self) -> None:
        """Begin where the cursor stands."""
        self._outlet.start()
        self._thread.start()

    def stop(self) -> None:
        """Let what is on its way end."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._outlet.stop()

    def problems(self) -> list[str]:
        """One sentence for each thing that is wrong."""
        return [] if self._outlet.connected else [f"ThingsBoard is told nothing: {self._outlet.trouble}"]

    # -- telling ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                more = self._outlet.connected and self._tell()
            except sqlite3.Error as error:
                _log.warning("thingsboard_not_told", trouble=str(error))
                more = False
            if not more:
                self._stopping.wait(LOOK_EVERY_S)

    def _tell(self) -> bool:
        """Status, then a bounded number of points; whether there may be more at once."""
        if self._session != self._outlet.sessions:
            self._session = self._outlet.sessions
            self._connected.clear()
            self._attributes.clear()
        return self._tell_status() and self._tell_points()

    def _tell_status(self) -> bool:
        counts = self._store.reader.execute("SELECT device, count(*) FROM alerts WHERE open=1 GROUP BY device")
        alerts: dict[str, int] = dict(counts)
        news = {}
        for device in self._directory.devices():
            held = self._states.get(device.id)
            online = bool(held and held.link.online)
            about = {"online": online, "alerts_open": alerts.get(device.id, 0), "kind": device.kind}
            if self._attributes.get(device.id) != about:
                news[device.id] = about
        for name in {*self._connected} - {device.id for device in self._directory.devices()}:
            self._publish("disconnect", {"device": name})
            self._connected.discard(name)
            self._attributes.pop(name, None)
        if not all(self._introduce(name) for name in news):
            return False
        if news and not self._publish("attributes", news):
            return False
        self._attributes |= news
        return True

    def _tell_points(self) -> bool:
        rows = self._store.reader.execute(
            "SELECT seq, device, metric, at, value FROM points WHERE seq>? ORDER BY seq LIMIT ?",
            (self._store.cursor(THINGSBOARD), EXPORT_ROWS),
        ).fetchall()
        if not rows:
            return False
        told: dict[str, dict[int, dict[str, float]]] = {}
        for row in rows:
            told.setdefault(row["device"], {}).setdefault(row["at"] // 1000, {})[row["metric"]] = row["value"]
        body = {name: [{"ts": at, "values": values} for at, values in held.items()] for name, held in told.items()}
        if not all(self._introduce(name) for name in body) or not self._publish("telemetry", body):
            return False
        with self._store.write() as db:
            db.execute("INSERT OR REPLACE INTO cursors(name, seq) VALUES (?,?)", (THINGSBOARD, rows[-1]["seq"]))
        return True

    def _introduce(self, name: str) -> bool:
        if name in self._connected:
            return True
        device = self._directory.device(name)
        if not self._publish("connect", {"device": name, "type": device.kind if device else "removed"}):
            return False
        self._connected.add(name)
        return True

    def _publish(self, leaf: str, body: dict[str, Any]) -> bool:
        return self._outlet.publish(f"{ROOT}/{leaf}", msgspec.json.encode(body))

    # -- being told ---------------------------------------------------------------------------------------------------

    def _hears(self, topic: str, payload: bytes) -> None:
        """An RPC; what is none of the gateway API's is left alone."""
        del topic
        try:
            request = _REQUEST.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        try:
            asked = self._submit(self._command(request))
        except (RefusedError, NotFoundError, ValueError) as error:
            self._answer(request, {"success": False, "error": str(error)})
            return
        asked.add_done_callback(lambda done: self._began(request, done))

    def _command(self, request: _Request) -> SendCommand:
        type_, make = _METHODS.get(request.data.method, ("", None))
        if make is None or type_ not in self._allowed:
            raise RefusedError("not allowed: thingsboard.commands does not name it")
        command = make(datetime.now(UTC) + self._within, request.device, request.data.params)
        return SendCommand(by=ASKED_BY, command=command)

    def _began(self, request: _Request, done: Future[Any]) -> None:
        error = done.exception()
        if error is None:
            self._answer(request, {"success": True, "command": done.result().id})
        else:
            known = isinstance(error, RefusedError | NotFoundError)
            self._answer(request, {"success": False, "error": str(error) if known else "an error of the gateway"})

    def _answer(self, request: _Request, data: dict[str, Any]) -> None:
        body = {"device": request.device, "id": request.data.id, "data": data}
        self._outlet.tell(f"{ROOT}/rpc", msgspec.json.encode(body))
