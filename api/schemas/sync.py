"""The shapes of synchronisation with a governance backend: one for all sections, with an example of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.schemas.base import Id, Moment, Shape, Utc
from api.schemas.register import PlaceBody, SiteChange, SiteVehicle, WorkerBody
from gateway.passes import PassKind
from gateway.syncplan import Why

PAGE_AT_MOST = 5_000
PAGES_AT_MOST = 200
Number = Annotated[int, Field(ge=1, le=2**53)]
Key = Annotated[str, Field(min_length=1, max_length=64)]
SectionName = Literal["places", "staff", "vehicles", "passes"]


class Revision(Shape):
    """One page of a revision, without its items."""

    revision: Number = Field(description="The backend's own number of what it sends; each is greater than the last.")
    base: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        default=None,
        description="The revision these changes build on: what `GET /v1/sync` says is here. Left out: a snapshot, "
        "all the backend has; what it gave before and does not give now goes.",
    )
    page: Annotated[int, Field(ge=1, le=PAGES_AT_MOST)] = 1
    pages: Annotated[int, Field(ge=1, le=PAGES_AT_MOST)] = Field(
        default=1, description="Of how many. Nothing changes before the last is here; then everything at once."
    )
    gone: Annotated[list[Key], Field(max_length=PAGE_AT_MOST)] = Field(
        default=[], description="With a base: ids (vehicles: plates) the backend takes back."
    )
    overrule: Annotated[list[Key], Field(max_length=PAGE_AT_MOST)] = Field(
        default=[], description="Ids (plates) for which the backend's word replaces what was changed on the spot."
    )
    shrink: bool = Field(
        default=False, description="A snapshot that takes back more than half of what was given is meant so."
    )


class SyncPlaces(Revision):
    """The hierarchy: district > sub-district > community > grid > building > unit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "revision": 42,
                    "items": [
                        {"id": "shuguang", "kind": "sub_district", "name": "曙光街道"},
                        {"id": "yonghe", "kind": "community", "name": "永和社区", "parent": "shuguang"},
                        {"id": "yonghe-g3", "kind": "grid", "name": "第三网格", "parent": "yonghe"},
                        {"id": "yonghe-7", "kind": "building", "name": "7号楼", "parent": "yonghe-g3"},
                    ],
                }
            ]
        }
    )
    items: list[PlaceBody] = Field(default=[], max_length=PAGE_AT_MOST)


class SyncStaff(Revision):
    """Grid workers, building heads, the property company, community and sub-district, with contacts and duty."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "revision": 18,
                    "base": 17,
                    "items": [
                        {
                            "id": "w-12",
                            "name": "网格员12",
                            "level": "grid_worker",
                            "role": "grid_worker",
                            "places": ["yonghe-g3"],
                            "contact": "tel:+86-21-55550100",
                        }
                    ],
                    "gone": ["w-9"],
                }
            ]
        }
    )
    items: list[WorkerBody] = Field(default=[], max_length=PAGE_AT_MOST)


class SyncVehicles(Revision):
    """Vehicles; ids are plates."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "revision": 7,
                    "base": 6,
                    "items": [{"plate": "粤B12345", "listing": "visitor", "valid_to": "2026-05-02T00:00:00+08:00"}],
                    "gone": ["粤B54321"],
                }
            ]
        }
    )
    items: list[SiteVehicle] = Field(default=[], max_length=PAGE_AT_MOST)


class PassBody(Shape):
    """A pass. It opens nothing without consent and enrolment; it narrows what they allow."""

    id: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")] = Field(examples=["pass-2026-0017"])
    person: Key = Field(description="The resident's id, as they are enrolled.", examples=["res_4f0c2a9d1b7e3358"])
    kind: PassKind = Field(default=PassKind.RESIDENT, description="temporary: 流动人口; it has an end.")
    scope: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        default="estate", examples=["estate", "building:3"]
    )
    valid_from: Moment | None = None
    valid_to: Moment | None = Field(default=None, description="In force until before this instant.")


class SyncPasses(Revision):
    """Who may pass where and when, temporary residents among them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "revision": 3,
                    "items": [
                        {
                            "id": "pass-2026-0017",
                            "person": "res_4f0c2a9d1b7e3358",
                            "kind": "temporary",
                            "scope": "building:3",
                            "valid_to": "2026-11-01T00:00:00+08:00",
                        }
                    ],
                }
            ]
        }
    )
    items: list[PassBody] = Field(default=[], max_length=PAGE_AT_MOST)


class SyncRefusal(Shape):
    """An entry that was left as it was."""

    id: str
    why: Why
    error: str = Field(description="In words; never a value, which may be personal.")
    fields: list[str] = Field(description="In which it differs from what is here.")
    source: str = Field(description="Whose it is (`given_by_other`); empty: the estate's own.")


class SyncShared(Shape):
    """An entry that another source gives, too: it is theirs, and yours when they take it back."""

    id: str
    source: str


class SyncAnswer(Shape):
    """What a revision changed, by id (vehicles: by plate)."""

    section: SectionName
    revision: int
    base: int | None
    complete: bool = Field(description="false: this page is kept, and nothing has changed yet; send `next_page`.")
    replayed: bool = Field(
        description="It was here already, and nothing was changed now; the rest is the first answer."
    )
    next_page: int | None
    added: list[str]
    changed: list[SiteChange]
    removed: list[str]
    unchanged: int = Field(description="How many of the entries of this revision were so already.")
    refused: list[SyncRefusal]
    shared: list[SyncShared] = Field(description="What stands because another source gives it, too.")
    waiting: list[str] = Field(
        description="People of this revision who have a pass and are not enrolled; it opens nothing so far."
    )
    digest: str = Field(
        description="What the ledger says was sent: SHA-256 over the nonce and the SHA-256 of every page as sent, all "
        "as bytes. Empty while pages are missing."
    )
    nonce: str = Field(description="16 bytes, hex. Keep it with the pages: together they prove the row of the ledger.")


class SyncPending(Shape):
    revision: int
    pages: int
    next_page: int


class SyncState(Shape):
    section: SectionName
    revision: int = Field(description="What is here; give it as `base`. 0: nothing was ever given.")
    at: Utc | None
    by: str = Field(description="Name of the token.")
    items: int = Field(description="How many entries the source gave and has not taken back.")
    pending: SyncPending | None = Field(description="A revision that has not come in whole.")


class SyncStates(Shape):
    source: str = Field(description="Whose this is: the token's `--source`.")
    sections: list[SyncState]


class SyncItem(Shape):
    id: Id
    standing: Literal["as_given", "changed_here", "removed_here", "given_by_other"]


class SyncItems(Shape):
    items: list[SyncItem]
    next: str | None = Field(description="Give it as `after` for more; null at the end.")
