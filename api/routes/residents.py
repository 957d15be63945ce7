"""Residents: enrolled with their consent, shown to who may see people, forgotten on withdrawal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, File, Form, Response, UploadFile, status
from fastapi.concurrency import run_in_threadpool

from api import schemas, views
from api.auth import PeopleCorrect, PeopleRead, PeopleWrite
from api.errors import ApiError
from api.facade import Gateway, TheGateway
from gateway.actions import NotFoundError
from gateway.enrolment import MAX_PHOTO, MAX_PHOTOS, Known, embedding_of, face_or_reason, look, media, refusal_of_file
from gateway.residents import Enrolment, Face, Resident
from gateway.shown import shown_on

router = APIRouter(prefix="/v1", tags=["residents"])
Short = Annotated[str, Form(max_length=64)]
Checked = Annotated[
    bool, Form(description="The office has checked that this is not the enrolled resident the photo looks like.")
]


def _view(resident: Resident) -> schemas.ResidentView:
    return schemas.ResidentView(**views.resident_fields(resident))


@router.get("/residents")
def list_residents(gateway: TheGateway, _: PeopleRead) -> schemas.ResidentList:
    """Every resident, newest first."""
    return schemas.ResidentList(items=[_view(resident) for resident in gateway.directory.people()])


@router.get("/residents/{person}")
def get_resident(person: str, gateway: TheGateway, _: PeopleRead) -> schemas.ResidentView:
    """One resident."""
    return _view(gateway.directory.residents.get(person))


@router.post("/residents", status_code=status.HTTP_201_CREATED)
async def enrol_resident(
    gateway: TheGateway,
    caller: PeopleWrite,
    *,
    name: Annotated[str, Form(min_length=1, max_length=64)],
    consent_scope: Annotated[str, Form(description='"estate" or "building:<building>"', max_length=80)],
    consent_until: Annotated[schemas.Moment, Form(description="When the consent ends.")],
    building: Short = "",
    recorded_by: Annotated[
        str, Form(max_length=64, description="Who took the consent down; empty: the token's name.")
    ] = "",
    cards: Annotated[list[str], Form(max_length=20, description="Card numbers; once each, or with commas.")] = [],  # noqa: B006
    photos: Annotated[list[UploadFile], File(description="JPEG or PNG, up to 8 MB each, up to 5.")] = [],  # noqa: B006
    checked: Checked = False,
    id: Annotated[str, Form(max_length=64, description="Empty: one is made.")] = "",  # noqa: A002
    consent_terminals: Annotated[
        bool, Form(description="Whether a copy of the photo may lie on terminals that decide by themselves.")
    ] = False,
) -> schemas.Enrolled:
    """Enrol a resident with photos, cards or both. Each photo that cannot be used is named with the reason."""
    faces, refused = await _faces(gateway, photos, _known(gateway, checked=checked))
    numbers = [number.strip() for card in cards for number in card.split(",") if number.strip()]
    if not faces and not numbers:
        raise _no_good_photo(refused, "a resident needs a good photo or a card")
    new = Enrolment(
        name=name.strip(),
        building=building.strip(),
        scope=consent_scope,
        until=consent_until,
        recorded_by=recorded_by or caller.name,
        faces=faces,
        cards=numbers,
        id=id,
        terminals=consent_terminals,
    )
    resident = await run_in_threadpool(gateway.directory.enrol, new, gateway.evidence, datetime.now(UTC))
    return schemas.Enrolled(**views.resident_fields(resident), refused=refused)


@router.post("/residents/{person}/photos", status_code=status.HTTP_201_CREATED)
async def add_photos(
    person: str,
    gateway: TheGateway,
    _: PeopleWrite,
    *,
    photos: Annotated[list[UploadFile], File(description="JPEG or PNG, up to 8 MB each, up to 5.")],
    checked: Checked = False,
) -> schemas.Enrolled:
    """More photos of a resident, each compared with those there are: several make a gate surer."""
    await run_in_threadpool(gateway.directory.residents.get, person)
    faces, refused = await _faces(gateway, photos, _known(gateway, person, checked=checked))
    if not faces:
        raise _no_good_photo(refused, "no photo was sent")
    add = gateway.directory.residents.add_faces
    resident = await run_in_threadpool(add, person, faces, gateway.evidence, datetime.now(UTC))
    return schemas.Enrolled(**views.resident_fields(resident), refused=refused)


def _no_good_photo(refused: Sequence[schemas.RefusedPhoto], otherwise: str) -> ApiError:
    reasons = "; ".join(f"photo {photo.photo + 1}: {photo.reason}" for photo in refused)
    return ApiError(422, reasons or otherwise, more={"refused": [photo.model_dump() for photo in refused]})


def _known(gateway: Gateway, person: str = "", *, checked: bool) -> Known:
    """What new photos are compared with, by the threshold of a gate that searches the whole estate."""
    return gateway.directory.residents.known(gateway.thresholds.at, person=person, checked=checked)


async def _faces(
    gateway: Gateway, photos: Sequence[UploadFile], known: Known
) -> tuple[list[Face], list[schemas.RefusedPhoto]]:
    """The good faces, and what is wrong with the other photos."""
    if len(photos) > MAX_PHOTOS:
        raise ApiError(422, f"photos: at most {MAX_PHOTOS}")
    if photos and gateway.pool is None:
        raise _vision_off()
    images = [await photo.read(MAX_PHOTO + 1) for photo in photos]
    faces: list[Face] = []
    refused: list[schemas.RefusedPhoto] = []
    looks = [
        asyncio.wrap_future(look(gateway.pool, image)) if gateway.pool and not refusal_of_file(image) else None
        for image in images
    ]
    for number, (image, coming) in enumerate(zip(images, looks, strict=True)):
        found = refusal_of_file(image) if coming is None else face_or_reason(await coming, image, known)
        if isinstance(found, Face):
            faces.append(found)
            known.first = known.first or found
        elif found is not None:
            refused.append(schemas.RefusedPhoto(photo=number, reason=found.en, reason_zh=found.zh))
    return faces, refused


@router.put("/residents/{person}/consent")
def renew_consent(
    person: str, body: schemas.ConsentBody, gateway: TheGateway, caller: PeopleWrite
) -> schemas.ResidentView:
    """A new consent in place of the old one."""
    resident = gateway.directory.residents.renew(
        person,
        scope=body.scope,
        until=body.until,
        recorded_by=body.recorded_by or caller.name,
        terminals=body.terminals,
        now=datetime.now(UTC),
    )
    return _view(resident)


@router.delete("/residents/{person}")
def forget_resident(person: str, gateway: TheGateway, _: PeopleWrite) -> schemas.ReceiptView:
    """Withdrawal of consent: everything about the person is gone here when this returns, and the receipt says so. A
    terminal that holds a copy is told to remove it, now or when it is back; only the id is kept for that.
    """
    receipt = gateway.directory.withdraw(person, gateway.evidence, datetime.now(UTC))
    return schemas.ReceiptView(**{name: getattr(receipt, name) for name in receipt.__struct_fields__})


@router.post("/people/{person}/not-this-person")
async def not_this_person(
    person: str, body: schemas.NotThem, gateway: TheGateway, caller: PeopleCorrect
) -> schemas.NotThemView:
    """Somebody else was taken for this person on a captured picture: nobody who looks at least as much like them is
    called by this name from the next frame on. Doing it twice changes nothing; it is forgotten with the person.
    """
    residents = gateway.directory.residents
    if not await run_in_threadpool(_shown_on, gateway, person, body.evidence):
        raise NotFoundError(f"there is no picture of this key on which {person} was identified")
    image = await run_in_threadpool(gateway.evidence.read, body.evidence)
    if image is None:
        raise NotFoundError("the picture is not kept any more")
    if gateway.pool is None:
        raise _vision_off()
    embedding = embedding_of(await asyncio.wrap_future(look(gateway.pool, image, "face")))
    now = datetime.now(UTC)
    await run_in_threadpool(residents.not_them, person, body.evidence, embedding, recorded_by=caller.name, now=now)
    return schemas.NotThemView(person=person, evidence=body.evidence)


def _shown_on(gateway: Gateway, person: str, evidence: str) -> bool:
    return shown_on(gateway.store.reader, person, evidence)


def _vision_off() -> ApiError:
    return ApiError(503, "faces are switched off: set faces.workers to 1 or more in the settings and restart")


@router.get("/receipts/{receipt}")
def get_receipt(receipt: str, gateway: TheGateway, _: PeopleWrite) -> schemas.ReceiptState:
    """Which terminals have not confirmed the removal yet."""
    held = gateway.directory.residents.receipt(receipt)
    return schemas.ReceiptState(receipt=held.receipt, person=held.person, at=held.at, terminals=list(held.terminals))


@router.get(
    "/people/{person}/photo",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The first enrolled photo."}},
)
def get_photo(person: str, gateway: TheGateway, _: PeopleRead) -> Response:
    """The photo a resident was enrolled with."""
    image = gateway.directory.residents.photo(person, gateway.evidence)
    if image is None:
        raise NotFoundError(f"there is no photo of {person}")
    return Response(image, media_type=media(image) or "application/octet-stream")
