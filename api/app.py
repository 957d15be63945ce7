"""The HTTP application, put together in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

from api import docs, errors
from api.bodies import Held
from api.digest import Digests
from api.facade import Gateway
from api.routes import (
    access,
    alerts,
    devices,
    faces,
    ingest,
    load,
    places,
    residents,
    site,
    staff,
    subscriptions,
    sync,
    system,
    vehicles,
)
from api.stream import Feed
from api.web import Guard

DESK = Path(__file__).parent / "desk"
ROUTERS = (
    alerts.router,
    load.router,
    devices.router,
    access.router,
    residents.router,
    faces.router,
    vehicles.router,
    places.router,
    site.router,
    staff.router,
    sync.router,
    subscriptions.router,
    system.router,
    ingest.router,
)


def create_app(gateway: Gateway) -> FastAPI:
    """The API, its documentation and the desk, for a running gateway. `app.state.feed.close()` ends the live streams,
    so that a server that waits for its connections can stop.
    """
    feed = Feed(gateway)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        feed.open()
        yield
        feed.close()

    app = FastAPI(
        title="Linli Gateway",
        version=version("linli-gateway"),
        description="Alerts, devices, residents and vehicles of an estate. Times are UTC, errors RFC 9457 problems.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    app.state.feed = feed
    app.state.digests = Digests()
    app.state.held = Held()
    errors.install(app)
    for router in ROUTERS:
        app.include_router(router)
    docs.install(app)
    app.mount("/", StaticFiles(directory=DESK, html=True))
    app.add_middleware(Guard)
    return app


def _operation_id(route: APIRoute) -> str:
    """A generated client's method is named as our function."""
    return route.name
