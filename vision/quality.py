"""When a face is good enough, and how to tell a resident what to do when it is not. Pure; loads no image library.

A gate takes what it gets and only turns away what cannot be compared; a photograph to enrol can be taken again, and
every later comparison rests on it, so it has to be better.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from vision.types import FaceFound, LowQuality, ManyFaces, NoFace, Unreadable

Flaw = Literal["too small", "too dark", "too bright", "too blurred", "turned away"]
"""What `LowQuality.reason` can be."""


class Advice(Struct, frozen=True):
    """What a resident is told, in English and in Chinese."""

    en: str
    zh: str


ADVICE: dict[Flaw | Literal["no face", "many faces", "others"], Advice] = {
    "too small": Advice(
        "the face is too small in the photo; come closer, or crop less", "照片中人脸太小；请靠近些拍，或少裁剪一些"
    ),
    "too dark": Advice("the face is too dark; turn towards a window or a lamp", "人脸太暗；请面向窗户或灯光"),
    "too bright": Advice(
        "the face is too bright; step out of the glare, and switch the flash off", "人脸过亮；请避开强光并关闭闪光灯"
    ),
    "too blurred": Advice("the photo is blurred; hold still, and clean the lens", "照片模糊；请拿稳手机并擦净镜头"),
    "turned away": Advice("the face is turned away; look straight into the camera", "脸没有正对镜头；请正视镜头"),
    "no face": Advice(
        "no face was found; look straight into the camera, without mask or sunglasses",
        "没有找到人脸；请正视镜头，摘下口罩和墨镜",
    ),
    "many faces": Advice("more than one face; take a photo alone", "照片中不止一张脸；请单独拍一张"),
    "others": Advice("other people are in the photo; take one alone", "照片中还有别人；请单独拍一张"),
}
"""Reason to what a resident is told."""
LOOKS_LIKE_ANOTHER = Advice(
    "looks like someone who is enrolled already; ask the property office to check",
    "与已登记的某位住户很像；请物业核对身份",
)
"""For when `vision.gallery.Gallery.nearest` finds somebody else within the threshold."""


MID_GREY = 128.0
"""The variance of the Laplacian grows with the square of the light, so it is compared at this brightness, 0..255."""


class FacePolicy(Struct, frozen=True, kw_only=True):
    """What makes a face good enough. `min_px`: shorter side. `dominance`: how many times the area of the second-largest
    face the largest must have to count alone. Brightness and `max_turn` as in `FaceFound`; `min_sharpness` is that
    of the face lit to `MID_GREY`. The defaults only turn away what dlib cannot embed to any use: a face lost in the
    dark, burnt out, or smeared. Measured by blurring photographs: at a sharpness of 12 an embedding lies 0.4 from that
    of the sharp photograph, at 40 a quarter; smeared faces lie near each other, whoever they show.
    """

    min_px: int
    dominance: float
    min_sharpness: float = 12.0
    min_brightness: float = 20.0
    max_brightness: float = 240.0
    max_turn: float = float("inf")


GATE = FacePolicy(min_px=24, dominance=2.0)
"""Labelled photographs shrunk until their faces have 24 px are still told apart without an error (EER 0)."""
ENROL = FacePolicy(min_px=80, dominance=float("inf"), min_sharpness=40.0, min_brightness=45.0, max_turn=0.3)


def flaw(policy: FacePolicy, *, size_px: int, sharpness: float, brightness: float, turn: float) -> Flaw | None:
    """Why a face is not good enough, None when it is. Dark before blurred: a dark face has little contrast."""
    lit = sharpness * (MID_GREY / max(brightness, 1.0)) ** 2
    checks: tuple[tuple[bool, Flaw], ...] = (
        (size_px < policy.min_px, "too small"),
        (brightness < policy.min_brightness, "too dark"),
        (brightness > policy.max_brightness, "too bright"),
        (lit < policy.min_sharpness, "too blurred"),
        (turn > policy.max_turn, "turned away"),
    )
    return next((word for failed, word in checks if failed), None)


def advice(look: FaceFound | NoFace | ManyFaces | LowQuality | Unreadable) -> Advice | None:
    """What to tell the resident whose photograph gave this look; None when it can be enrolled."""
    match look:
        case FaceFound(others=others):
            return ADVICE["others"] if others else None
        case NoFace():
            return ADVICE["no face"]
        case ManyFaces():
            return ADVICE["many faces"]
        case LowQuality(reason=reason):
            return next((told for word, told in ADVICE.items() if word == reason), Advice(reason, reason))
        case Unreadable(reason=reason):
            return Advice(
                f"the photo could not be looked at ({reason}); try again", f"照片无法识别（{reason}）；请重试"
            )
