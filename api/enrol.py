"""Enrolling a folder of photographs through the API of a running gateway.

One way in: the gateway's own pool looks at every photo with its memory limit, its checks decide, and its gallery knows
at once who is enrolled. A second way, straight into the database of a stopped gateway, would have to repeat all that.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import urllib3
from msgspec import Struct

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
COLUMNS = ("person", "name", "building", "file")
PHOTOS_AT_ONCE = 5
_ANSWER_WITHIN_S = 180.0


class EnrolError(Exception):
    """The folder, the manifest or the gateway cannot be used; the text says what to do."""


class Applicant(Struct, frozen=True, kw_only=True):
    """Somebody to enrol. `id`: from the manifest's column `person`, "" for one the gateway makes."""

    name: str
    building: str
    files: tuple[Path, ...]
    id: str = ""


class Refused(Struct, frozen=True, kw_only=True):
    """A photograph that was not taken, or ("" for `file`) somebody none of whose photographs were, and why."""

    name: str
    file: str
    reason: str
    reason_zh: str = ""


class EnrolReport(Struct, frozen=True, kw_only=True):
    """Counts of people, and every refusal. `enrolled` with at least one photo; `already`: were there before."""

    people: int
    enrolled: int
    already: int
    failed: int
    photos: int
    refused: list[Refused]


def applicants(folder: Path, manifest: Path | None, building: str) -> list[Applicant]:
    """Who is in the folder: by the manifest (person,name,building,file; several lines of one person are several
    photos), else by file names: NAME.jpg, BUILDING_NAME.jpg, or a folder BUILDING_NAME with several photos.

    :raises EnrolError: there is nobody, or the manifest is not what it should be.
    """
    found = _by_manifest(folder, manifest) if manifest else _by_name(folder, building)
    if not found:
        raise EnrolError(f"{folder}: holds no photograph ({', '.join(sorted(SUFFIXES))})")
    return found


def _by_name(folder: Path, building: str) -> list[Applicant]:
    if not folder.is_dir():
        raise EnrolError(f"{folder}: is no folder")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            label = path.stem if path.parent == folder else path.relative_to(folder).parts[0]
            files.setdefault(label, []).append(path)
    return [_named(label, building, tuple(those)) for label, those in files.items()]


def _named(label: str, building: str, files: tuple[Path, ...]) -> Applicant:
    before, found, name = label.partition("_")
    return Applicant(name=name if found else label, building=before if found else building, files=files)


def _by_manifest(folder: Path, manifest: Path) -> list[Applicant]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EnrolError(f"{manifest}: {error}") from error
    if not rows or not set(COLUMNS) <= rows[0].keys():
        raise EnrolError(f"{manifest}: needs the columns {','.join(COLUMNS)} and at least one row")
    found: dict[str, Applicant] = {}
    for line, row in enumerate(rows, start=2):
        person, name, building, file = ((row[column] or "").strip() for column in COLUMNS)
        path = folder / file
        if not name or not path.is_file():
            raise EnrolError(f"{manifest}, line {line}: needs a name, and a file that is there")
        key = person or f"\0{building}\0{name}"
        known = found.get(key)
        if known is not None and (known.name, known.building) != (name, building):
            raise EnrolError(f"{manifest}, line {line}: this person has another name or building further up")
        files = (*known.files, path) if known else (path,)
        found[key] = Applicant(id=person, name=name, building=building, files=files)
    return list(found.values())


class Office:
    """Speaks to the gateway. `token` needs people:read and people:write.

    :raises EnrolError: it does not answer, or refuses the token.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._http = urllib3.PoolManager(headers={"Authorization": f"Bearer {token}"}, retries=False)

    def there(self) -> tuple[set[str], set[tuple[str, str]]]:
        """Who is enrolled already: ids, and names with buildings."""
        items = self._ask("GET", "/v1/residents")[1]["items"]
        return {item["id"] for item in items}, {(item["name"], item["building"]) for item in items}

    def enrol(self, who: Applicant, consent: dict[str, str]) -> tuple[bool, list[Refused]]:
        """Enrol one person; whether it was done, and what was refused."""
        first, *more = _groups(who.files)
        form = {"name": who.name, "building": who.building, "id": who.id, **consent}
        status, body = self._ask("POST", "/v1/residents", form, first)
        refused = _refused(who, first, body)
        if status >= 400:
            return False, refused or [Refused(name=who.name, file="", reason=str(body.get("detail", status)))]
        for files in more:
            added = self._ask("POST", f"/v1/residents/{body['id']}/photos", {}, files)[1]
            refused += _refused(who, files, added)
        return True, refused

    def _ask(
        self, method: str, path: str, form: dict[str, str] | None = None, photos: Iterable[Path] = ()
    ) -> tuple[int, dict[str, Any]]:
        fields: list[tuple[str, Any]] = list((form or {}).items())
        fields += [("photos", (photo.name, photo.read_bytes(), "application/octet-stream")) for photo in photos]
        try:
            answer = self._http.request(
                method, self._url + path, fields=fields or None, timeout=urllib3.Timeout(_ANSWER_WITHIN_S)
            )
        except urllib3.exceptions.HTTPError as error:
            raise EnrolError(f"no gateway answers at {self._url}; start it with `linli run`") from error
        if answer.status in (401, 403, 503):
            raise EnrolError(f"the gateway refuses: {_body(answer.data).get('detail', answer.status)}")
        return answer.status, _body(answer.data)


def _body(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise EnrolError("what answers is no gateway") from error
    return body if isinstance(body, dict) else {}


def _groups(files: tuple[Path, ...]) -> Iterator[tuple[Path, ...]]:
    for start in range(0, len(files), PHOTOS_AT_ONCE):
        yield files[start : start + PHOTOS_AT_ONCE]


def _refused(who: Applicant, files: tuple[Path, ...], body: dict[str, Any]) -> list[Refused]:
    return [
        Refused(name=who.name, file=str(files[r["photo"]]), reason=r["reason"], reason_zh=r["reason_zh"])
        for r in body.get("refused", ())
    ]


def enrol_all(who: Iterable[Applicant], office: Office, consent: dict[str, str]) -> EnrolReport:
    """Everybody who is not there yet, one after another: a run that was broken off is simply run again.

    :raises EnrolError: the gateway went away; those enrolled so far are.
    """
    ids, names = office.there()
    count = dict.fromkeys(("people", "enrolled", "already", "failed", "photos"), 0)
    refused: list[Refused] = []
    for one in who:
        count["people"] += 1
        if one.id in ids or (not one.id and (one.name, one.building) in names):
            count["already"] += 1
            continue
        done, reasons = office.enrol(one, consent)
        refused += reasons
        count["enrolled" if done else "failed"] += 1
        count["photos"] += len(one.files) - sum(bool(r.file) for r in reasons) if done else 0
    return EnrolReport(**count, refused=refused)
