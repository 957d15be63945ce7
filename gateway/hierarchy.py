"""The places of the estate, what lies in which, and the check that none of them hangs in the air. Pure but for memory.

A place lies in one of a larger kind (`gateway.roster.PLACE_KINDS`), so none can lie within itself. A change is checked
by the edges it touches: from what is written to what it lies in, and from what lies in something written or gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from gateway.refusals import InvalidError
from gateway.roster import PLACE_KINDS


class Place(Struct, frozen=True, kw_only=True):
    """A place of one of `PLACE_KINDS`; `parent` is the id of the place it lies in, "" for none."""

    id: str
    kind: str
    name: str
    parent: str = ""


class Hierarchy:
    """Places by id, with what lies in each. Used under the directory's lock."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._places: dict[str, Place] = {}
        self._within: dict[str, set[str]] = {}
        self.change({place.id: place for place in places}, ())

    def get(self, place: str) -> Place | None:
        """The place of this id."""
        return self._places.get(place)

    def all(self) -> list[Place]:
        """Every place, by id."""
        return [self._places[place] for place in sorted(self._places)]

    def becoming(self, places: Sequence[Place]) -> tuple[dict[str, Place], list[str]]:
        """What has to be written, and what has to go, so that there are these and no others."""
        wanted = {place.id: place for place in places}
        written = {name: place for name, place in wanted.items() if self._places.get(name) != place}
        return written, sorted(self._places.keys() - wanted.keys())

    def check(self, written: Mapping[str, Place], gone: Collection[str]) -> None:
        """Would everything still lie in something, after this change? Takes as long as the change is large.

        :raises InvalidError: a place would not; the text names it.
        """
        leaving = set(gone) - written.keys()
        for place in (*written.values(), *self._left_over(written, leaving)):
            _check_kind(place)
            if place.parent:
                above = None if place.parent in leaving else written.get(place.parent, self._places.get(place.parent))
                _check_parent(place, above)

    def _left_over(self, written: Mapping[str, Place], leaving: Collection[str]) -> Iterator[Place]:
        """What stays as it is and lies in something that is written or goes."""
        for place in (*written, *leaving):
            for inner in self._within.get(place, ()):
                if inner not in written and inner not in leaving:
                    yield self._places[inner]

    def change(self, written: Mapping[str, Place], gone: Collection[str]) -> None:
        """Take over a checked change that is on the disk."""
        for name in (*gone, *written):
            before = self._places.pop(name, None)
            if before is not None and before.parent:
                inner = self._within[before.parent]
                inner.discard(name)
                if not inner:
                    del self._within[before.parent]
        for name, place in written.items():
            self._places[name] = place
            if place.parent:
                self._within.setdefault(place.parent, set()).add(name)


def check_whole(places: Sequence[Place]) -> None:
    """Do these places, and no others, go together?

    :raises InvalidError: an id stands twice, a parent is not among them, or a place lies within itself.
    """
    parents = {place.id: place.parent for place in places}
    if len(parents) != len(places):
        raise InvalidError("an id stands twice among the places")
    by_id = {place.id: place for place in places}
    for place in places:
        _check_ancestors(place.id, parents)
        _check_kind(place)
        if place.parent:
            _check_parent(place, by_id.get(place.parent))


def _check_ancestors(place: str, parents: Mapping[str, str]) -> None:
    """Only to say it well: by their kinds alone no two could lie in each other."""
    seen = {place}
    parent = parents[place]
    while parent:
        if parent not in parents:
            raise InvalidError(f"place {place} lies in {parent}, which is not among the places")
        if parent in seen:
            raise InvalidError(f"place {place} lies within itself")
        seen.add(parent)
        parent = parents[parent]


def _check_kind(place: Place) -> None:
    if place.kind not in PLACE_KINDS:
        raise InvalidError(f"place {place.id} is a {place.kind}; there are {', '.join(PLACE_KINDS)}")


def _check_parent(place: Place, above: Place | None) -> None:
    if above is None:
        raise InvalidError(f"place {place.id} lies in {place.parent}, which is not among the places")
    _check_kind(above)
    if PLACE_KINDS.index(above.kind) >= PLACE_KINDS.index(place.kind):
        raise InvalidError(f"place {place.id}, a {place.kind}, cannot lie in {above.id}, a {above.kind}")
