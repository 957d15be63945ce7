"""Who is this? An in-memory gallery of face templates, safe to search while it is being written.

Identification is open-set: most people in front of a gate may be in no gallery at all. Hence a threshold far below the
verification one (`vision.calibration` derives it), a margin to the second-best person, and an answer that is neither
yes nor no.

How a search stays right while others write: the index is scanned without a lock, for candidates. Then, with the
writers held off for some microseconds, the candidates are measured exactly and named. If a template went meanwhile the
scan starts over, so who is removed is never named from the moment `remove` returns; if the candidates cannot be proven
to hold the best person and the second-best, more are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vision.index import BLOCK_ROWS, EXACT_ROWS, FAR, Index, Rows
from vision.types import EMBEDDING_SIZE, Identified, Match, Stranger, Unsure

Vector = NDArray[np.float32]
Template = tuple[str, str, bytes | Vector]
"""Person, template id, embedding."""

THRESHOLD = 0.45
"""Largest L2 distance that identifies. dlib's 0.6 answers "are these two the same?" (99.38 % on LFW,
http://dlib.net/face_recognition.py.html). Asked of 5,000 residents at once it would name somebody for nearly every
stranger, so the threshold of an open-set search has to be lower; 0.45 is for galleries of a building or an estate that
has no calibration of its own."""
MARGIN = 0.05
"""How much nearer the best person must be than the second-best, L2."""
GREY_BAND = 0.05
"""Just above the threshold a face is neither known nor strange, L2: ask again instead of saying stranger."""

CANDIDATES = 16
"""Asked of a scan at first; eight times as many when they prove not to be enough."""
FEW_ROWS = 8192
"""So many templates of chosen people are measured one by one instead of scanning for them."""
BATCH = 4096
"""Templates written at a time, so that a search waits for one batch at most."""
PATIENCE = 4
"""A search that was overtaken by removals this often holds the writers off for its next scan."""


class Limit(Struct, frozen=True):
    """A threshold: the largest L2 distance that identifies, and where it comes from, for the answer to carry."""

    distance: float
    why: str = "fixed"


Rule = Callable[[int], Limit]
"""From how many templates were searched to the threshold for so many."""


class Nearest(Struct, frozen=True, kw_only=True):
    """The template of `person` that is nearest, its id and distance, L2."""

    person: str
    template: str
    distance: float


class _Ranking(Struct, frozen=True, kw_only=True):
    """`best`, and how far the nearest template of anybody else is; `searched`: how many templates were looked at."""

    best: Nearest | None
    rival: float | None
    searched: int


def _checked(vectors: Vector) -> Vector:
    if vectors.shape[1:] != (EMBEDDING_SIZE,):
        raise ValueError(f"an embedding has {EMBEDDING_SIZE} numbers, not {vectors.shape[1:]}")
    if not (np.abs(vectors) < FAR / EMBEDDING_SIZE).all():  # neither for NaN
        raise ValueError("an embedding has only finite numbers, and small ones")
    return vectors


def as_vector(embedding: bytes | Vector) -> Vector:
    """An embedding as float32[128]. Raises ValueError when it is not 128 finite, small numbers."""
    if isinstance(embedding, bytes):
        if len(embedding) != EMBEDDING_SIZE * 4:
            raise ValueError(f"an embedding has {EMBEDDING_SIZE * 4} bytes, not {len(embedding)}")
        vector = np.frombuffer(embedding, dtype="<f4").astype(np.float32)
    else:
        vector = np.array(embedding, dtype=np.float32)
    return np.asarray(_checked(vector[None])[0])


def _stacked(embeddings: list[bytes | Vector]) -> Vector:
    """As `as_vector`, for many: float32[n, 128]."""
    plain = [e for e in embeddings if isinstance(e, bytes) and len(e) == EMBEDDING_SIZE * 4]
    if len(plain) == len(embeddings):
        joined = np.frombuffer(b"".join(plain), dtype="<f4")
        return _checked(joined.astype(np.float32).reshape(-1, EMBEDDING_SIZE))
    return np.stack([as_vector(e) for e in embeddings])


def _batches(templates: Iterable[Template]) -> Iterator[tuple[list[tuple[str, str]], Vector]]:
    rest = iter(templates)
    while batch := list(islice(rest, BATCH)):
        yield [(person, template) for person, template, _ in batch], _stacked([e for *_, e in batch])


class Gallery:
    """Templates of enrolled people: any number per person, each with an id. All methods may be called from any thread.
    `exact_rows`, `block_rows`: see `vision.index`.
    """

    def __init__(self, *, exact_rows: int = EXACT_ROWS, block_rows: int = BLOCK_ROWS) -> None:
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        """Whoever names a row, or changes whose it is."""
        self._index = Index(EMBEDDING_SIZE, exact_rows=exact_rows, block_rows=block_rows)
        self._whose: list[tuple[str, str] | None] = []
        """Of each row: person and template id."""
        self._people: dict[str, tuple[int, ...]] = {}
        self._refused: dict[str, list[Vector]] = {}
        self._size = 0
        self._removals = 0

    def __len__(self) -> int:
        """How many templates are held."""
        return self._size

    def people(self) -> frozenset[str]:
        """Everybody with at least one template."""
        with self._lock:
            return frozenset(self._people)

    def count(self, people: Collection[str]) -> int:
        """How many templates these people have."""
        with self._lock:
            return sum(len(self._people.get(person, ())) for person in people)

    def put(self, person: str, template_id: str, vector: bytes | Vector) -> None:
        """Add a template, or replace the one with this id. Raises ValueError (see `as_vector`)."""
        self.load([(person, template_id, vector)])

    def load(self, templates: Iterable[Template]) -> None:
        """`put` many at once: all of them, or, when one raises ValueError, none. Searches go on meanwhile."""
        for keys, vectors in list(_batches(templates)):
            with self._writing:
                last = {key: i for i, key in enumerate(keys)}  # the same id twice: the later one counts
                rows = self._index.add(vectors[list(last.values())])
                with self._lock:
                    replaced = [row for key, row in zip(last, rows, strict=True) for row in self._name(key, row)]
                    self._index.forget(replaced)

    def _name(self, key: tuple[str, str], row: int) -> tuple[int, ...]:
        """Row now holds this template; the row that did before, if any."""
        old = self._drop(key[0], key[1])
        self._whose.extend([None] * (row + 1 - len(self._whose)))
        self._whose[row] = key
        self._people[key[0]] = (*self._people.get(key[0], ()), row)
        self._size += 1
        return old

    def _drop(self, person: str, template_id: str | None) -> tuple[int, ...]:
        """Rows of a person, or of one template, that are nobody's now."""
        rows = self._people.get(person)
        if rows is None:
            return ()
        gone = tuple(row for row in rows if template_id in (None, (self._whose[row] or ("", ""))[1]))
        for row in gone:
            self._whose[row] = None
        if len(gone) == len(rows):
            del self._people[person]
        elif gone:
            self._people[person] = tuple(row for row in rows if row not in gone)
        self._size -= len(gone)
        self._removals += bool(gone)
        return gone

    def remove(self, person: str, template_id: str | None = None) -> int:
        """Forget a person, or one template of theirs; says how many templates went. Once this has returned, no search
        names the person by what was removed, and its numbers are overwritten in memory.
        """
        with self._writing, self._lock:
            gone = self._drop(person, template_id)
            self._index.forget(list(gone))
            if person not in self._people:
                self._refused.pop(person, None)
            return len(gone)

    def refuse(self, person: str, vector: bytes | Vector) -> None:
        """'That was not them': from now on a face at least as near to this one as to the person's templates is not
        called by their name. Forgotten with the person's last template. Raises ValueError (see `as_vector`).
        """
        wrong = as_vector(vector)
        with self._lock:
            if person in self._people:
                self._refused.setdefault(person, []).append(wrong)

    def identify(
        self,
        vector: bytes | Vector,
        *,
        threshold: float | Rule = THRESHOLD,
        margin: float = MARGIN,
        among: Collection[str] | None = None,
    ) -> Match:
        """Whose face is this? Only `among` is searched when given (the people of one building; ids without templates
        are ignored). Identified below `threshold` (a rule makes it from the number of templates searched) with the
        second person at least `margin` further and not refused; Unsure when the margin is missing, the face was
        refused for the person, or the distance is within `GREY_BAND` above the threshold; else Stranger.
        Raises ValueError (see `as_vector`).
        """
        wanted = as_vector(vector)
        found = self._rank(wanted, among, None)
        limit = Limit(threshold) if isinstance(threshold, int | float) else threshold(found.searched)
        return self._judged(found, wanted, limit, margin)

    def _judged(self, found: _Ranking, wanted: Vector, limit: Limit, margin: float) -> Match:
        best, threshold, why = found.best, limit.distance, limit.why
        if best is None:
            return Stranger(threshold=threshold, distance=None, why=why)
        if best.distance >= threshold + GREY_BAND:
            return Stranger(threshold=threshold, distance=best.distance, searched=found.searched, why=why)
        gap = None if found.rival is None else found.rival - best.distance
        if best.distance >= threshold or (gap is not None and gap < margin) or self._is_refused(best, wanted):
            return Unsure(threshold=threshold, distance=best.distance, margin=gap, searched=found.searched, why=why)
        return Identified(
            threshold=threshold,
            person=best.person,
            template=best.template,
            distance=best.distance,
            margin=gap,
            searched=found.searched,
            why=why,
        )

    def nearest(self, vector: bytes | Vector, *, excluding: str | None = None) -> Nearest | None:
        """The nearest template of anybody but `excluding`: does a photograph to enrol look like somebody else?
        None when nobody else is enrolled. Raises ValueError (see `as_vector`).
        """
        return self._rank(as_vector(vector), None, excluding).best

    def _is_refused(self, best: Nearest, wanted: Vector) -> bool:
        with self._lock:
            wrong = list(self._refused.get(best.person, ()))
        return any(float(np.linalg.norm(w - wanted)) <= best.distance for w in wrong)

    def _rank(self, wanted: Vector, among: Collection[str] | None, excluding: str | None) -> _Ranking:
        chosen: frozenset[str] | None = None
        if among is not None:
            with self._lock:
                if len(among) >= len(self._people) and self._people.keys() <= frozenset(among):
                    among = None  # everybody: nothing to choose
        if among is not None:
            with self._lock:
                chosen = frozenset(among) & self._people.keys()
                rows = [row for person in chosen for row in self._people[person]]
                if len(rows) <= FEW_ROWS:
                    return self._named(np.array(rows, np.int64), wanted, chosen, excluding)
        k, overtaken = CANDIDATES, 0
        while True:
            before = self._removals
            if overtaken < PATIENCE:
                rows_found, complete = self._index.scan(wanted, k)
            with self._lock:
                if overtaken >= PATIENCE:
                    rows_found, complete = self._index.scan(wanted, k)
                elif self._removals != before:
                    overtaken += 1
                    continue
                found = self._named(rows_found, wanted, chosen, excluding)
                searched = self._size if chosen is None else len(rows)
            proven = complete - self._index.slack
            if complete == float("inf") or (found.rival is not None and found.rival <= proven):
                return _Ranking(best=found.best, rival=found.rival, searched=searched)
            k *= 8

    def _named(self, rows: Rows, wanted: Vector, among: Collection[str] | None, excluding: str | None) -> _Ranking:
        """The best of these rows and its rival. The lock is held."""
        distances = self._index.measure(rows, wanted)
        best, rival = None, None
        for i in np.argsort(distances, kind="stable"):
            owner = self._whose[rows[i]] if rows[i] < len(self._whose) else None
            if owner is None or owner[0] == excluding or (among is not None and owner[0] not in among):
                continue
            if best is None:
                best = Nearest(person=owner[0], template=owner[1], distance=float(distances[i]))
            elif owner[0] != best.person:
                rival = float(distances[i])
                break
        return _Ranking(best=best, rival=rival, searched=len(rows))
