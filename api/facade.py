"""What the API needs of the running gateway (`gateway.runtime.Gateway` has it)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request

from devices.model import Device
from gateway.access import AccessBook
from gateway.actions import Action
from gateway.attached import StreamState
from gateway.directory import Directory
from gateway.discovery import Discovered
from gateway.enrolment import Looker
from gateway.face_report import FaceReport
from gateway.inbox import PostAnswer, Posted
from gateway.lists import ListView
from gateway.presencebook import Inside
from gateway.scenarios.vehicles import Lot
from gateway.settings import Settings
from gateway.store import Store
from gateway.sync import Sync
from gateway.templates import Photos
from gateway.thresholds import Thresholds
from gateway.vault import Vault


class Health(Protocol):
    """Whether all is well; `problems` say in words what is not, and what to do."""

    @property
    def ok(self) -> bool: ...
    @property
    def problems(self) -> Sequence[str]: ...


class Courier(Protocol):
    """What delivers alerts to subscriptions (`gateway.courier.Courier`)."""

    def wake(self) -> None: ...
    def replay(self, subscription: str) -> int: ...


class Lists(Protocol):
    """What keeps the terminals' own lists (`gateway.lists.Lists`)."""

    def view(self, device: Device, now: datetime) -> ListView: ...
    def resync(self, device: Device, now: datetime) -> None: ...


class Gateway(Protocol):
    """The running gateway, as the API sees it. Everything may be called from any thread."""

    @property
    def settings(self) -> Settings: ...
    @property
    def store(self) -> Store: ...
    @property
    def vault(self) -> Vault: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def evidence(self) -> Photos: ...
    @property
    def pool(self) -> Looker | None: ...
    @property
    def thresholds(self) -> Thresholds: ...
    def face_report(self) -> FaceReport: ...
    @property
    def courier(self) -> Courier: ...
    @property
    def lists(self) -> Lists: ...
    @property
    def sync(self) -> Sync: ...
    @property
    def listeners(self) -> list[Callable[[], None]]: ...
    @property
    def access(self) -> AccessBook: ...
    def submit(self, action: Action) -> Future[Any]: ...
    def post(self, post: Posted) -> Future[PostAnswer]: ...
    def health(self) -> Health: ...
    def online(self, device_id: str) -> bool | None: ...
    def last_seen(self, device_id: str) -> datetime | None: ...
    def stream(self, device_id: str) -> StreamState | None: ...
    def discovered(self) -> list[Discovered]: ...
    def listen(self, seconds: float) -> None: ...
    def inside(self, community: str, now: datetime) -> list[Inside]: ...
    def lot(self, community: str) -> Lot: ...


def the_gateway(request: Request) -> Gateway:
    """The gateway this application was made for."""
    return cast("Gateway", request.app.state.gateway)


TheGateway = Annotated[Gateway, Depends(the_gateway)]
