"""What a device's list should hold, out of the register: revisions to compare, and entries to send. Photographs are
opened here, for one batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog

from devices.effects import PersonEntry, ReportLists
from devices.model import Device, Protocol
from gateway import listplan
from gateway.directory import Directory
from gateway.listplan import HOLDS, Batch, Candidate, list_of
from gateway.templates import Photos

log = structlog.get_logger()

TOO_LARGE = "the photo is larger than the {kb} KB this terminal takes; enrol a smaller one"
UNREADABLE = "the photo cannot be read; enrol a new one"


class ListSource:
    """Looks into the register. Used by the lists' thread, and for showing by any other."""

    def __init__(self, directory: Directory, photos: Photos, protocols: Mapping[str, Protocol]) -> None:
        self._directory = directory
        self._photos = photos
        self._protocols = protocols

    def what(self, device: Device) -> str | None:
        """Which list this device is to hold now, None for none."""
        protocol = self._protocols.get(device.protocol)
        return list_of(device, protocol) if protocol and device.param(HOLDS, 0.0) else None

    def wanted(self, device: Device, what: str, now: datetime) -> dict[str, str]:
        """Entry -> revision of everything the device should hold in this list; nothing where it is to hold none."""
        if self.what(device) != what:
            return {}
        if what == "persons":
            return listplan.wanted_persons(self._candidates(device, now), device, now)
        return listplan.wanted_plates(listplan.plate_entries(self._directory.vehicles(), now))

    def _candidates(self, device: Device, now: datetime, persons: Iterable[str] | None = None) -> list[Candidate]:
        residents = self._directory.residents
        return list(residents.passes.narrowed(residents.candidates(persons), device, now))

    def reports(self, device: Device) -> bool:
        """Whether this device can be asked what it holds."""
        protocol = self._protocols.get(device.protocol)
        return protocol is not None and ReportLists in protocol.commands

    def within(self, device: Device, batch: Batch) -> Batch:
        """As much of it as one message of the device's protocol may carry."""
        limits = self._protocols[device.protocol].lists
        return Batch(put=batch.put[: limits.put], remove=batch.remove[: limits.remove])

    def photographs(self, device: Device, persons: Iterable[str]) -> tuple[dict[str, bytes], dict[str, str]]:
        """As many as fit into a batch, and what is wrong with those that never will."""
        most = self._protocols[device.protocol].lists.photo_bytes
        found: dict[str, bytes] = {}
        unfit: dict[str, str] = {}
        size = 0
        for person in persons:
            photo = self._photograph(person)
            if photo is None or len(photo) > most:
                unfit[person] = TOO_LARGE.format(kb=most // 1024) if photo else UNREADABLE
                continue
            size += len(photo)
            if size > most:
                break
            found[person] = photo
        return found, unfit

    def _photograph(self, person: str) -> bytes | None:
        try:
            return self._directory.residents.photo(person, self._photos)
        except (OSError, ValueError) as error:  # a bad sector: one person is named, the others go on
            log.warning("photo_unreadable", trouble=type(error).__name__)
            return None

    def entries(
        self, device: Device, what: str, put: Iterable[str], photos: Mapping[str, bytes], now: datetime
    ) -> tuple[dict[str, str], tuple[Any, ...]]:
        """What of `put` the device should hold still: revisions, and the entries as they are sent."""
        if self.what(device) != what:
            return {}, ()
        if what == "plates":
            plates = listplan.plate_entries(self._directory.vehicles(), now)
            chosen = {plate: plates[plate] for plate in put if plate in plates}
            return listplan.wanted_plates(chosen), tuple(chosen.values())
        candidates = self._candidates(device, now, put)
        wanted = listplan.wanted_persons(candidates, device, now)
        persons = tuple(
            PersonEntry(id=who.person, photo=photos[who.person], valid_from=who.granted_at, valid_to=who.until)
            for who in candidates
            if who.person in wanted and who.person in photos
        )
        return wanted, persons
