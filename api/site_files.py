"""A site's files: TOML, and CSV for long lists. Read, checked and told apart by file and line before anything is sent.

A folder is read as its *.toml and its places.csv, devices.csv and vehicles.csv. In a TOML file there are [[places]],
[[devices]] and [[vehicles]], with the API's field names; in devices.csv the columns are those names, and a limit or an
option is a column params.NAME or options.NAME.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from api import schemas
from gateway.vehicles import FieldError, Vehicle, decoded, read_csv

SECTIONS: dict[str, type[BaseModel]] = {
    "places": schemas.PlaceBody,
    "devices": schemas.DeviceNew,
    "vehicles": schemas.SiteVehicle,
}
"""What a site is made of, and the shape of one entry."""


class Entry(NamedTuple):
    """One entry and where it stands: "site.toml:12"."""

    where: str
    body: dict[str, Any]


class SiteFiles(NamedTuple):
    """Everything found, by section (only those that are given), and what is wrong with it."""

    entries: dict[str, list[Entry]]
    faults: list[str]

    def body(self) -> dict[str, Any]:
        """As the API takes it."""
        return {section: [entry.body for entry in entries] for section, entries in self.entries.items()}


def read_site(path: Path, zone: ZoneInfo) -> SiteFiles:
    """A TOML file, or a folder. `zone`: of dates without one."""
    files = SiteFiles({}, [])
    sources = sorted(path.glob("*.toml")) + [path / f"{name}.csv" for name in SECTIONS] if path.is_dir() else [path]
    found = [source for source in sources if source.is_file()]
    if not found:
        files.faults.append(f"{path}: there is no site here: a TOML file, or a folder with *.toml, devices.csv, ...")
    for source in found:
        try:
            if source.suffix == ".csv":
                _READ_CSV[source.stem](files, source.name, decoded(source.read_bytes()), zone)
            else:
                _read_toml(files, source.name, source.read_bytes(), zone)
        except (FieldError, OSError) as error:
            files.faults.append(f"{source.name}: {error}")
    return files


def _read_toml(files: SiteFiles, name: str, content: bytes, zone: ZoneInfo) -> None:
    try:
        text = content.decode()
        found = tomllib.loads(text)
    except UnicodeDecodeError:
        files.faults.append(f"{name}: not UTF-8; save it as UTF-8")
        return
    except tomllib.TOMLDecodeError as error:
        files.faults.append(f"{name}: not TOML: {error}")
        return
    for key in sorted(found.keys() - SECTIONS.keys()):
        files.faults.append(f"{name}: {key}: there is no such section; there are {', '.join(SECTIONS)}")
    for section in SECTIONS:
        entries = found.get(section)
        if entries is None:
            continue
        if not isinstance(entries, list):
            files.faults.append(f"{name}: {section}: write [[{section}]] once for each")
            continue
        lines = _lines_of(section, text)
        for index, entry in enumerate(entries):
            line = lines[index] if index < len(lines) else f"{section}[{index}]"
            _take(files, section, f"{name}:{line}", _with_zone(entry, zone))


def _lines_of(section: str, text: str) -> list[str]:
    header = re.compile(rf"\s*\[\[\s*{section}\s*\]\]")
    return [str(number) for number, line in enumerate(text.splitlines(), 1) if header.match(line)]


def _with_zone(entry: Any, zone: ZoneInfo) -> Any:
    """TOML's dates without an offset are the estate's; a last day without a time is included, as in a CSV file."""
    if not isinstance(entry, dict):
        return entry
    return {key: _moment(key, value, zone) for key, value in entry.items()}


def _moment(key: str, value: Any, zone: ZoneInfo) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=zone)).isoformat()
    if isinstance(value, date):
        day = value + timedelta(days=1) if key == "valid_to" else value
        return datetime.combine(day, time(), zone).isoformat()
    return value


def _devices_csv(files: SiteFiles, name: str, text: str, zone: ZoneInfo) -> None:
    del zone
    for line, row in _rows(files, name, text):
        body: dict[str, Any] = {}
        for column, cell in row.items():
            group, _, key = column.partition(".")
            if key and group in ("params", "options"):
                body.setdefault(group, {})[key] = cell
            else:
                body[column] = cell
        _take(files, "devices", f"{name}:{line}", body)


def _places_csv(files: SiteFiles, name: str, text: str, zone: ZoneInfo) -> None:
    del zone
    for line, row in _rows(files, name, text):
        _take(files, "places", f"{name}:{line}", dict(row))


def _vehicles_csv(files: SiteFiles, name: str, text: str, zone: ZoneInfo) -> None:
    vehicles, errors = read_csv(text, zone)
    files.entries.setdefault("vehicles", []).extend(
        Entry(f"{name}:vehicle {n}", _vehicle_body(vehicle)) for n, vehicle in enumerate(vehicles, 1)
    )
    files.faults.extend(f"{name}:{error.line}: {error.column}: {error.error}" for error in errors)


def _vehicle_body(vehicle: Vehicle) -> dict[str, Any]:
    return {
        "plate": vehicle.plate,
        "listing": vehicle.listing.value,
        "owner": vehicle.owner,
        "valid_from": vehicle.valid_from.isoformat() if vehicle.valid_from else None,
        "valid_to": vehicle.valid_to.isoformat() if vehicle.valid_to else None,
        "note": vehicle.note,
    }


_READ_CSV: dict[str, Callable[[SiteFiles, str, str, ZoneInfo], None]] = {
    "places": _places_csv,
    "devices": _devices_csv,
    "vehicles": _vehicles_csv,
}


def _rows(files: SiteFiles, name: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line with its number and the cells that are not empty, by column."""
    files.entries.setdefault(name.removesuffix(".csv"), [])
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if None in row:
                files.faults.append(f"{name}:{reader.line_num}: more values than columns")
                continue
            yield reader.line_num, {key.strip(): cell.strip() for key, cell in row.items() if (cell or "").strip()}
    except csv.Error as error:
        files.faults.append(f"{name}:{reader.line_num}: not CSV: {error}")


def _take(files: SiteFiles, section: str, where: str, body: Any) -> None:
    shape = SECTIONS[section]
    try:
        checked = shape.model_validate(body)
    except ValidationError as error:
        files.faults.extend(f"{where}: {_words(fault, shape)}" for fault in error.errors())
        files.entries.setdefault(section, [])
        return
    kept = checked.model_dump(mode="json", exclude_unset=True)
    files.entries.setdefault(section, []).append(Entry(where, kept))


def _words(fault: Any, shape: type[BaseModel]) -> str:
    """What is wrong and what to do; never the value, which may be personal."""
    key = ".".join(map(str, fault["loc"])) or "entry"
    match fault["type"]:
        case "extra_forbidden":
            return f"{key}: there is no such key; there are {', '.join(shape.model_fields)}"
        case "missing":
            return f"{key}: is missing; add it"
        case _:
            return f"{key}: {fault['msg']}"
