import subprocess
import sys

import pytest

from vision.types import (
    Box,
    FaceFound,
    Look,
    LowQuality,
    ManyFaces,
    NoFace,
    NoPlate,
    PlateFound,
    PlateReading,
    PlateUnsure,
    Unreadable,
    decode_look,
    encode,
    outcome,
)

READING = PlateReading(
    plate="沪A12345",
    confidence=0.9,
    char_confidences=(0.9,) * 7,
    quad=((0.0, 0.0), (9.0, 0.0), (9.0, 3.0), (0.0, 3.0)),
    valid=True,
)
BOX = Box(1, 2, 3, 4)
LOOKS = {
    "one_face": FaceFound(embedding=bytes(512), box=BOX, size_px=3, sharpness=90.0, brightness=120.0, others=1),
    "no_face": NoFace(),
    "many_faces": ManyFaces(count=2),
    "low_quality": LowQuality(reason="too dark", box=BOX),
    "unreadable": Unreadable(reason="empty"),
    "read": PlateFound(reading=READING),
    "unsure": PlateUnsure(reading=READING),
    "no_plate": NoPlate(),
}


@pytest.mark.parametrize(("word", "look"), LOOKS.items())
def test_every_answer_survives_the_way_from_the_worker(word: str, look: Look) -> None:
    assert decode_look(encode(look)) == look
    assert outcome(look) == word


def test_the_gateways_part_of_vision_loads_no_image_library() -> None:
    heavy = "{'cv2', 'dlib', 'onnxruntime', 'face_recognition', 'PIL'}"
    code = (
        "import sys, vision.commands, vision.gallery, vision.pool, vision.types;"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
