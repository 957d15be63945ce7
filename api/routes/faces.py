"""Faces as a whole: how they stand on this estate, and the calibration their threshold follows from."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from fastapi import APIRouter

from api import schemas
from api.auth import PeopleRead, PeopleWrite
from api.facade import Gateway, TheGateway
from gateway.actions import NotFoundError

router = APIRouter(prefix="/v1/faces", tags=["residents"])


@router.get("")
def get_faces(gateway: TheGateway, _: PeopleRead) -> schemas.FacesView:
    """Who is enrolled, the threshold at this gallery size and why, and the false accepts to be expected in a day."""
    report = gateway.face_report()
    fields = msgspec.to_builtins(report)
    return schemas.FacesView(**fields | {"seen": fields["seen"] | {"per_day": report.seen.per_day}})


@router.get("/calibration")
def get_calibration(gateway: TheGateway, _: PeopleRead) -> schemas.CalibrationView:
    """The newest calibration, and whether it is used."""
    return _view(gateway)


@router.put("/calibration")
def put_calibration(body: schemas.CalibrationBody, gateway: TheGateway, caller: PeopleWrite) -> schemas.CalibrationView:
    """A new calibration, in use from the next face on. One of another network or detector is refused."""
    calibration = gateway.thresholds.read(body.model_dump())
    gateway.thresholds.keep(calibration, recorded_by=caller.name, now=datetime.now(UTC))
    return _view(gateway)


def _view(gateway: Gateway) -> schemas.CalibrationView:
    kept, trouble = gateway.thresholds.kept, gateway.thresholds.trouble
    if kept is None:
        raise NotFoundError("there is no calibration; measure one with `linli faces calibrate`")
    return schemas.CalibrationView(
        **msgspec.to_builtins(kept.calibration),
        recorded_by=kept.recorded_by,
        recorded_at=kept.at,
        in_use=not trouble,
        why_not=trouble,
    )
