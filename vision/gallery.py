"""Who is this? An in-memory index of face templates, safe to search while it is being written.

Identification is open-set: most people in front of a gate may be in no gallery at all. Hence a threshold far below the
verification one, a margin to the second-best person, and an answer that is neither yes nor no.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vision.types import EMBEDDING_SIZE, Identified, Match, Stranger, Unsure

Vector = NDArray[np.float32]

THRESHOLD = 0.45
"""Largest L2 distance that identifies. dlib's 0.6 answers "are these two the same?" (99.38 % on LFW,
http://dlib.net/face_recognition.py.html). Asked of 5,000 residents at once it would name somebody for nearly every
stranger, so the threshold of an open-set search has to be lower; 0.45 is for galleries of a building or an estate."""
MARGIN = 0.05
"""How much nearer the best person must be than the second-best, L2."""
GREY_BAND = 0.05
"""Just above the threshold a face is neither known nor strange, L2: ask again instead of saying stranger."""


class _Index(Struct, frozen=True, eq=False):
    """One immutable state of the gallery. `vectors` is float32[n, 128]; `owner[i]` is whose row i is, as an index into
    `people`; `rows` are the rows of each person.
    """

    vectors: Vector
    owner: NDArray[np.intp]
    people: tuple[str, ...]
    templates: tuple[str, ...]
    rows: dict[str, NDArray[np.intp]]


def as_vector(embedding: bytes | Vector) -> Vector:
    """An embedding as float32[128]. Raises ValueError when it is not 128 finite numbers."""
    if isinstance(embedding, bytes):
        if len(embedding) != EMBEDDING_SIZE * 4:
            raise ValueError(f"an embedding has {EMBEDDING_SIZE * 4} bytes, not {len(embedding)}")
        vector = np.frombuffer(embedding, dtype="<f4").astype(np.float32)
    else:
        vector = np.array(embedding, dtype=np.float32)
    if vector.shape != (EMBEDDING_SIZE,):
        raise ValueError(f"an embedding has {EMBEDDING_SIZE} numbers, not {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError("an embedding has only finite numbers")
    return vector


def _build(templates: Mapping[tuple[str, str], Vector]) -> _Index:
    vectors = np.stack(list(templates.values())) if templates else np.empty((0, EMBEDDING_SIZE), np.float32)
    people = tuple(dict.fromkeys(person for person, _ in templates))
    number = {person: i for i, person in enumerate(people)}
    owner = np.fromiter((number[person] for person, _ in templates), dtype=np.intp, count=len(templates))
    order = np.argsort(owner, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(owner[order])) + 1) if templates else []
    return _Index(
        vectors=vectors,
        owner=owner,
        people=people,
        templates=tuple(template for _, template in templates),
        rows=dict(zip(people, groups, strict=True)),
    )


def _search(index: _Index, vector: Vector, threshold: float, margin: float, among: Collection[str] | None) -> Match:
    if among is None:
        rows = np.arange(len(index.vectors))
    else:
        chosen = [index.rows[person] for person in set(among) if person in index.rows]
        rows = np.concatenate(chosen) if chosen else np.empty(0, np.intp)
    if not len(rows):
        return Stranger(threshold=threshold, distance=None)
    distances = np.linalg.norm(index.vectors[rows] - vector, axis=1)
    best = int(distances.argmin())
    distance = float(distances[best])
    rivals = distances[index.owner[rows] != index.owner[rows[best]]]
    gap = float(rivals.min()) - distance if len(rivals) else None
    if distance >= threshold + GREY_BAND:
        return Stranger(threshold=threshold, distance=distance)
    if distance >= threshold or (gap is not None and gap < margin):
        return Unsure(threshold=threshold, distance=distance, margin=gap)
    row = int(rows[best])
    return Identified(
        threshold=threshold,
        person=index.people[index.owner[row]],
        template=index.templates[row],
        distance=distance,
        margin=gap,
    )


class Gallery:
    """Templates of enrolled people: any number per person, each with an id. All methods may be called from any thread.

    Writers only note the change; the next search builds a new immutable index, so a thousand enrolments at start-up
    cost one build, and a search never waits for another search.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._templates: dict[tuple[str, str], Vector] = {}
        self._index: _Index | None = None

    def __len__(self) -> int:
        """How many templates are held."""
        with self._lock:
            return len(self._templates)

    def people(self) -> frozenset[str]:
        """Everybody with at least one template."""
        with self._lock:
            return frozenset(person for person, _ in self._templates)

    def put(self, person: str, template_id: str, vector: bytes | Vector) -> None:
        """Add a template, or replace the one with this id. Raises ValueError (see `as_vector`)."""
        self.load([(person, template_id, vector)])

    def load(self, templates: Iterable[tuple[str, str, bytes | Vector]]) -> None:
        """`put` many at once: all of them, or, when one raises ValueError, none."""
        checked = {(person, template_id): as_vector(vector) for person, template_id, vector in templates}
        with self._lock:
            self._templates.update(checked)
            self._index = None

    def remove(self, person: str, template_id: str | None = None) -> int:
        """Forget a person, or one template of theirs; says how many templates went. Once this has returned, no search
        names the person by what was removed: one that had found them before starts over.
        """
        with self._lock:
            gone = [key for key in self._templates if key[0] == person and template_id in (None, key[1])]
            for key in gone:
                del self._templates[key]
            if gone:
                self._index = None
            return len(gone)

    def identify(
        self,
        vector: bytes | Vector,
        *,
        threshold: float = THRESHOLD,
        margin: float = MARGIN,
        among: Collection[str] | None = None,
    ) -> Match:
        """Whose face is this? Only `among` is searched when given (the people of one building; ids without templates
        are ignored). Identified below `threshold` with the second person at least `margin` further; Unsure when the
        margin is missing or the distance is within `GREY_BAND` above the threshold; else Stranger.
        Raises ValueError (see `as_vector`).
        """
        wanted = as_vector(vector)
        while True:
            with self._lock:
                if self._index is None:
                    self._index = _build(self._templates)
                index = self._index
            found = _search(index, wanted, threshold, margin, among)
            if not isinstance(found, Identified):
                return found
            with self._lock:  # the template may have been withdrawn while we searched
                if (found.person, found.template) in self._templates:
                    return found
