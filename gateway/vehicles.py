"""Registered vehicles: plates, and the CSV files property offices keep them in. Pure: no disk, no clock.

A plate is compared exactly, after `normal_plate`. A file is read line by line: a line with any fault is left out whole
and reported with its line, its column and the shape of the value, never the value, because a shifted column may
hold somebody's name.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo

from msgspec import Struct

from devices.events import Listing

MAX_FILE = 5 * 1024 * 1024
"""Bytes of the longest file taken: some 80,000 vehicles."""

LISTINGS: Mapping[str, Listing] = {
    "": Listing.ALLOW,
    "allow": Listing.ALLOW,
    "visitor": Listing.VISITOR,
    "block": Listing.BLOCK,
    "白名单": Listing.ALLOW,
    "允许": Listing.ALLOW,
    "业主": Listing.ALLOW,
    "访客": Listing.VISITOR,
    "临时": Listing.VISITOR,
    "黑名单": Listing.BLOCK,
    "禁止": Listing.BLOCK,
}
"""What a file may say of a vehicle. Empty means allowed."""

COLUMNS: Mapping[str, str] = {
    "plate": "plate",
    "车牌": "plate",
    "车牌号": "plate",
    "车牌号码": "plate",
    "listing": "listing",
    "名单": "listing",
    "owner": "owner",
    "车主": "owner",
    "valid_from": "valid_from",
    "生效": "valid_from",
    "valid_to": "valid_to",
    "失效": "valid_to",
    "note": "note",
    "备注": "note",
}
"""Header names, English and Chinese, and the column each means."""

_PLATE = re.compile(
    "^(?:WJ[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]?[0-9A-Z]{4,6}"
    "|[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领军空海北沈兰济南广成民]"
    "[0-9A-Z]{5,6}[0-9A-Z学警港澳领使挂试超应急]{1,2})$"
)
_SEPARATORS = re.compile(r"[\s·•・.\-_]+")
_DATE = re.compile(r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T ](\d{1,2}):(\d{2})(?::(\d{2}))?)?$")


class Vehicle(Struct, frozen=True, kw_only=True):
    """One registered vehicle. In force from `valid_from` until before `valid_to` (UTC; None: no limit)."""

    plate: str
    id: str
    listing: Listing
    owner: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    note: str = ""


class LineError(Struct, frozen=True, kw_only=True):
    """Why a line was left out. `value_hint` is the value's shape: 汉 a character, A a letter, 9 a digit."""

    line: int
    column: str
    value_hint: str
    error: str


class ImportReport(Struct, frozen=True, kw_only=True):
    """What an import did: vehicles written, vehicles that were so already, lines left out."""

    imported: int
    unchanged: int
    errors: list[LineError]


class FieldError(ValueError):
    """One value is not acceptable; `column` names it and the text says why, without the value."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(why)
        self.column = column


def new_vehicle_id() -> str:
    """A registry id that says nothing about the vehicle."""
    return f"veh_{secrets.token_hex(8)}"


def normal_plate(plate: str) -> str:
    """A plate as it is compared: full-width forms folded, upper case, without spaces, dots and dashes."""
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", plate)).upper()


def checked_plate(plate: str) -> str:
    """The normal form of a plate of 7 or 8 characters (GA 36): a province or 使, military, 民航 or WJ, then letters
    and digits, perhaps ending in 学警港澳领使挂试超应急.

    :raises FieldError: it is not one.
    """
    normal = normal_plate(plate)
    if not normal:
        raise FieldError("plate", "the plate is missing")
    if not 7 <= len(normal) <= 8 or not _PLATE.match(normal):
        raise FieldError("plate", "not a plate: 7 or 8 characters, first a province, then letters and digits")
    return normal


def listing_now(vehicle: Vehicle, now: datetime) -> Listing:
    """Where it stands at this moment. A block outside its dates is no block; anything else outside them is expired."""
    early = vehicle.valid_from is not None and now < vehicle.valid_from
    over = vehicle.valid_to is not None and now >= vehicle.valid_to
    if not (early or over):
        return vehicle.listing
    return Listing.UNKNOWN if vehicle.listing is Listing.BLOCK else Listing.EXPIRED


def decoded(content: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, or what Excel writes in China (GBK, read as GB 18030).

    :raises FieldError: it is none of them, or longer than `MAX_FILE`.
    """
    if len(content) > MAX_FILE:
        raise FieldError("", f"the file is longer than {MAX_FILE // 1024 // 1024} MB; split it")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FieldError("", "the file's encoding is none of UTF-8, UTF-16 and GBK; save it as CSV UTF-8")


def read_csv(text: str, zone: tzinfo) -> tuple[list[Vehicle], list[LineError]]:
    """The vehicles of a file and the lines left out. The first line names the columns (`COLUMNS`); commas, semicolons
    or tabs separate. Dates are the estate's (`zone`): 2026-01-31, 2026/1/31, with or without a time; a last day
    without a time is included. A plate that stands twice counts the first time.
    """
    vehicles: dict[str, Vehicle] = {}
    errors: list[LineError] = []
    lines: dict[str, int] = {}
    for line, row in _rows(text.lstrip("\ufeff"), errors):
        try:
            vehicle = _vehicle(row, zone)
            if vehicle.plate in vehicles:
                raise FieldError("plate", f"the plate stands on line {lines[vehicle.plate]} already")  # noqa: TRY301
        except FieldError as error:
            hint = _shape(row.get(error.column, ""))
            errors.append(LineError(line=line, column=error.column, value_hint=hint, error=str(error)))
        else:
            vehicles[vehicle.plate] = vehicle
            lines[vehicle.plate] = line
    return list(vehicles.values()), errors


def _rows(text: str, errors: list[LineError]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line with its number and its values by column; what cannot be taken apart goes to `errors`."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            errors.append(LineError(line=line, column="", value_hint="", error=f"not CSV: {error}"))
            continue
        if not any(cells):
            continue
        if header is None:
            header = [COLUMNS.get(cell.lower(), "") for cell in cells]
            if "plate" not in header:
                why = "the first line must name the columns, one of them plate (车牌)"
                errors.append(LineError(line=line, column="plate", value_hint="", error=why))
                return
        elif len(cells) > len(header) and any(cells[len(header) :]):
            why = f"{len(cells)} values under {len(header)} columns"
            errors.append(LineError(line=line, column="", value_hint="", error=why))
        else:
            yield line, {name: cell for name, cell in zip(header, cells, strict=False) if name}


def _vehicle(row: Mapping[str, str], zone: tzinfo) -> Vehicle:
    listing = LISTINGS.get(row.get("listing", "").lower())
    if listing is None:
        raise FieldError("listing", "one of allow, visitor, block (白名单, 访客, 黑名单)")
    plate = checked_plate(row.get("plate", ""))
    start = _date("valid_from", row.get("valid_from", ""), zone)
    end = _date("valid_to", row.get("valid_to", ""), zone)
    return checked(
        Vehicle(
            plate=plate,
            id=new_vehicle_id(),
            listing=listing,
            owner=row.get("owner", ""),
            valid_from=start,
            valid_to=end,
            note=row.get("note", ""),
        )
    )


def checked(vehicle: Vehicle) -> Vehicle:
    """The vehicle, if its values go together.

    :raises FieldError: it ends before it begins, or a text is too long.
    """
    if vehicle.valid_from and vehicle.valid_to and vehicle.valid_from >= vehicle.valid_to:
        raise FieldError("valid_to", "it ends before it begins")
    for column, value, most in (("owner", vehicle.owner, 64), ("note", vehicle.note, 200)):
        if len(value) > most:
            raise FieldError(column, f"longer than {most} characters")
    return vehicle


def _date(column: str, value: str, zone: tzinfo) -> datetime | None:
    if not value:
        return None
    found = _DATE.match(value)
    if not found:
        raise FieldError(column, "not a date such as 2026-01-31 or 2026/1/31 08:00")
    year, month, day, hour, minute, second = (int(part) if part else 0 for part in found.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        if column == "valid_to" and found.group(4) is None:
            moment += timedelta(days=1)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise FieldError(column, "there is no such date") from error


def _shape(value: str) -> str:
    return "".join("9" if c.isdigit() else "A" if c.isascii() and c.isalpha() else "汉" for c in value[:24])
