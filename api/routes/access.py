"""How a device is reached over HTTP, and what it posts with. What is secret goes in, and never comes out again."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from api import schemas
from api.auth import DevicesRead, DevicesWrite
from api.facade import Gateway, TheGateway
from devices import registry
from devices.model import Device
from gateway.access import Access, new_token
from gateway.actions import NotFoundError
from gateway.refusals import InvalidError

router = APIRouter(prefix="/v1", tags=["devices"])


@router.get("/devices/{device_id}/access")
def get_access(device_id: str, gateway: TheGateway, _: DevicesRead) -> schemas.AccessView:
    """What is set for a device that speaks HTTP, without its secrets."""
    device = _device(device_id, gateway)
    return _view(device, gateway.access.of(device_id))


@router.put("/devices/{device_id}/access")
async def put_access(
    device_id: str, body: schemas.AccessBody, gateway: TheGateway, _: DevicesWrite
) -> schemas.AccessSet:
    """Set how a device is called, and what it posts with. Its push token is shown in this answer only, and only when it
    is new.
    """
    return await run_in_threadpool(_put, device_id, body, gateway)


def _put(device_id: str, body: schemas.AccessBody, gateway: Gateway) -> schemas.AccessSet:
    device = _device(device_id, gateway)
    token = gateway.access.of(device_id).push_token
    new = body.new_push_token or not token
    access = Access(
        url=body.url,
        username=body.username,
        password=body.password.get_secret_value(),
        fingerprint=body.fingerprint.replace(":", "").lower(),
        push_token=new_token() if new else token,
        attach=body.attach,
    )
    protocol = registry.protocols().get(device.protocol)
    if access.attach and (protocol is None or protocol.attachment is None):
        able = ", ".join(sorted(name for name, one in registry.protocols().items() if one.attachment is not None))
        raise InvalidError(f"attach: {device.protocol} has no event stream to attach to; these have: {able}")
    gateway.access.put(device_id, access)
    return schemas.AccessSet(**_view(device, access).model_dump(), push_token=access.push_token if new else None)


def _device(device_id: str, gateway: Gateway) -> Device:
    device = gateway.directory.device(device_id)
    if device is None:
        raise NotFoundError(f"there is no device {device_id}")
    return device


def _view(device: Device, access: Access) -> schemas.AccessView:
    protocol = registry.protocols().get(device.protocol)
    posts = protocol is not None and protocol.receive is not None
    return schemas.AccessView(
        url=access.url,
        username_set=bool(access.username),
        password_set=bool(access.password),
        fingerprint=access.fingerprint,
        push_token_set=bool(access.push_token),
        attach=access.attach,
        push_path=f"/ingest/{device.protocol}/{device.address}" if posts else None,
    )
