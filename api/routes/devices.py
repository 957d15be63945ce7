"""Devices, and the commands they are sent."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Response, status
from fastapi.concurrency import run_in_threadpool

from api import schemas, views
from api.auth import AlertsWrite, CommandsWrite, DevicesRead, DevicesWrite
from api.engine import ask
from api.errors import ApiError
from api.facade import Gateway, TheGateway
from devices import registry
from devices.commands import CommandRecord
from devices.effects import COMMANDS, Command
from devices.model import Device, DeviceKind, Protocol
from gateway.actions import AcceptScene, NotFoundError, RefusedError, ReloadDirectory, SceneAcceptance, SendCommand
from gateway.store import when

router = APIRouter(prefix="/v1", tags=["devices"])
LOOK_EVERY_S = 0.1
NOT_AFTER_AT_MOST = timedelta(minutes=1)
_FIELDS = {"set_lamp": "level_pct", "speak": "text"}
"""The command types that need a field of their own, and which."""


@cache
def _protocols() -> dict[str, Protocol]:
    return registry.protocols()


@cache
def _kinds() -> dict[str, DeviceKind[Any]]:
    return registry.kinds()


def _view(device: Device, gateway: Gateway) -> schemas.DeviceView:
    row = gateway.store.reader.execute("SELECT body FROM states WHERE name = ?", (f"device:{device.id}",)).fetchone()
    return views.device_view(device, gateway, _protocols(), _kinds(), row["body"] if row else None)


def _device(device_id: str, gateway: Gateway) -> Device:
    device = gateway.directory.device(device_id)
    if device is None:
        raise NotFoundError(f"there is no device {device_id}")
    return device


@router.get("/devices")
def list_devices(gateway: TheGateway, _: DevicesRead) -> schemas.DeviceList:
    """Every device, by id."""
    rows = gateway.store.reader.execute("SELECT name, body FROM states WHERE name >= 'device:' AND name < 'device;'")
    states = {row["name"].removeprefix("device:"): row["body"] for row in rows}
    return schemas.DeviceList(
        items=[
            views.device_view(device, gateway, _protocols(), _kinds(), states.get(device.id))
            for device in gateway.directory.devices()
        ]
    )


@router.get("/devices/{device_id}")
def get_device(device_id: str, gateway: TheGateway, _: DevicesRead) -> schemas.DeviceView:
    """One device."""
    return _view(_device(device_id, gateway), gateway)


@router.post("/devices", status_code=status.HTTP_201_CREATED)
async def add_device(body: schemas.DeviceNew, gateway: TheGateway, caller: DevicesWrite) -> schemas.DeviceView:
    """Register a new device."""
    await run_in_threadpool(gateway.directory.put_device, Device(**body.model_dump()), new=True)
    await ask(gateway, ReloadDirectory(by=caller.name), int)
    return await run_in_threadpool(get_device, body.id, gateway, caller)


@router.put("/devices/{device_id}", responses={201: {"model": schemas.DeviceView, "description": "It is new."}})
async def put_device(
    device_id: str, body: schemas.DeviceBody, gateway: TheGateway, caller: DevicesWrite, response: Response
) -> schemas.DeviceView:
    """Register or change a device."""
    device = Device(id=device_id, **body.model_dump())
    if await run_in_threadpool(gateway.directory.put_device, device):
        response.status_code = status.HTTP_201_CREATED
    await ask(gateway, ReloadDirectory(by=caller.name), int)
    return await run_in_threadpool(get_device, device_id, gateway, caller)


@router.delete("/devices/{device_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_device(device_id: str, gateway: TheGateway, caller: DevicesWrite) -> None:
    """Forget a device; its alerts and its record stay."""
    await run_in_threadpool(gateway.directory.remove_device, device_id)
    await ask(gateway, ReloadDirectory(by=caller.name), int)


@router.get("/devices/{device_id}/events")
def list_events(
    device_id: str,
    gateway: TheGateway,
    _: DevicesRead,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="Later than this; absent: only `next`.")] = None,
) -> schemas.EventList:
    """What kinds of things happened at a device, oldest first, at most 100: to see that it is heard."""
    _device(device_id, gateway)
    newest = gateway.store.reader.execute("SELECT coalesce(max(seq), 0) AS seq FROM events").fetchone()["seq"]
    rows = gateway.store.reader.execute(
        "SELECT seq, type, at, received_at, late FROM events WHERE seq > ? AND seq <= ? AND device = ? "
        "ORDER BY seq LIMIT 100",
        (newest if after is None else after, newest, device_id),
    ).fetchall()
    items = [
        schemas.EventView(
            seq=row["seq"],
            type=row["type"],
            at=when(row["at"]),
            received_at=when(row["received_at"]),
            late=bool(row["late"]),
        )
        for row in rows
    ]
    return schemas.EventList(items=items, next=items[-1].seq if len(items) == 100 else newest)


@router.get("/discovered")
def list_discovered(gateway: TheGateway, _: DevicesRead) -> schemas.DiscoveredList:
    """Who speaks on the broker and is not registered, last heard first; since the gateway started, the last 500."""
    return schemas.DiscoveredList(
        items=[schemas.DiscoveredView(**msgspec.to_builtins(one)) for one in gateway.discovered()]
    )


@router.post("/discovered")
def discover(
    gateway: TheGateway,
    caller: DevicesWrite,
    seconds: Annotated[float, Query(ge=0, le=60, description="How long to listen.")] = 10,
) -> schemas.DiscoveredList:
    """Listen to the whole broker for a while, also to topics no protocol listens on, then tell who speaks."""
    gateway.listen(seconds)
    return list_discovered(gateway, caller)


@router.get("/devices/{device_id}/list")
def get_list(device_id: str, gateway: TheGateway, caller: DevicesRead) -> schemas.DeviceListView:
    """How far the device's own list of persons or plates has come, and what it refused."""
    device = _device(device_id, gateway)
    return views.list_view(device, gateway.lists.view(device, datetime.now(UTC)), gateway, caller)


@router.post("/devices/{device_id}/list/resync", status_code=status.HTTP_202_ACCEPTED)
def resync_list(device_id: str, gateway: TheGateway, caller: DevicesWrite) -> schemas.DeviceListView:
    """The device was reset or replaced: send it everything again."""
    gateway.lists.resync(_device(device_id, gateway), datetime.now(UTC))
    return get_list(device_id, gateway, caller)


@router.post("/devices/{device_id}/scene/accept")
async def accept_scene(
    device_id: str, body: schemas.SceneBody, gateway: TheGateway, caller: AlertsWrite
) -> schemas.SceneAcceptedView:
    """A person says that the view of a camera is as it should be: it is learnt anew from the next pictures, and alerts
    of a covered, moved or defocused camera and of lasting change in its zones end with the reason given. Refused while
    the picture is frozen, too dark or blown out.
    """
    done = await ask(gateway, AcceptScene(by=caller.name, device=device_id, reason=body.reason), SceneAcceptance)
    return schemas.SceneAcceptedView(device=done.device, at=done.at, by=done.by, ended=list(done.ended))


@router.post(
    "/devices/{device_id}/commands",
    status_code=status.HTTP_202_ACCEPTED,
    tags=["commands"],
    responses={200: {"model": schemas.CommandView, "description": "It is finished, one way or the other."}},
)
async def send_command(
    device_id: str,
    body: schemas.CommandBody,
    gateway: TheGateway,
    caller: CommandsWrite,
    response: Response,
    *,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=128, description="The same key is the same command: sent once.")
    ] = None,
    wait: Annotated[float, Query(ge=0, le=10, description="Seconds to wait for the end of it.")] = 0,
) -> schemas.CommandView:
    """Tell a device to do something, once, before `not_after` or never. It is done only when the device says so."""
    command = _command(body, _device(device_id, gateway), gateway)
    key = f"{caller.token.id}:{idempotency_key}" if idempotency_key else ""
    record = await ask(gateway, SendCommand(by=caller.name, command=command, idempotency_key=key), CommandRecord)
    if (record.device, record.type) != (device_id, body.type) or record.level_pct != body.level_pct:
        raise ApiError(409, "this Idempotency-Key was used for another command")
    until = time.monotonic() + wait
    while not record.status.final and time.monotonic() < until:
        await asyncio.sleep(LOOK_EVERY_S)
        record = await run_in_threadpool(_record, record.id, gateway)
    if record.status.final:
        response.status_code = status.HTTP_200_OK
    return views.command_view(record)


def _command(body: schemas.CommandBody, device: Device, gateway: Gateway) -> Command:
    now = datetime.now(UTC)
    not_after = body.not_after or now + timedelta(seconds=gateway.settings.limits.command_s)
    if not now < not_after <= now + NOT_AFTER_AT_MOST:
        raise ApiError(422, "not_after: within the next minute")
    given = body.model_dump(include={*_FIELDS.values()}, exclude_none=True)
    for type_, name in _FIELDS.items():
        if (name in given) != (body.type == type_):
            raise ApiError(422, f"{name}: belongs to {type_}, and to it only")
    if body.type not in views.commands_of(device, _protocols()):
        raise RefusedError(f"{device.id}, a {device.kind} that speaks {device.protocol}, has no command {body.type}")
    command: Command = COMMANDS[body.type](not_after=not_after, device=device.id, **given)
    return command


def _record(command_id: str, gateway: Gateway) -> CommandRecord:
    row = gateway.store.reader.execute("SELECT body FROM commands WHERE id = ?", (command_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no command {command_id}")
    return views.read_command(row["body"])


@router.get("/commands", tags=["commands"])
def list_commands(
    gateway: TheGateway,
    _: DevicesRead,
    device: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.CommandList:
    """Newest first."""
    rows = gateway.store.reader.execute(
        "SELECT body FROM commands WHERE ?1 IS NULL OR device = ?1 ORDER BY requested_at DESC, id LIMIT ?2",
        (device, limit),
    ).fetchall()
    return schemas.CommandList(items=[views.command_view(views.read_command(row["body"])) for row in rows])


@router.get("/commands/{command_id}", tags=["commands"])
def get_command(command_id: str, gateway: TheGateway, _: DevicesRead) -> schemas.CommandView:
    """One command as it stands."""
    return views.command_view(_record(command_id, gateway))
