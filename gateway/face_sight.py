"""From the face vision saw to what it means at this gate: whose it is, whether they may pass, whether it is a replay.

Only people who consented to be compared at the place are searched: those of the gate's own building first, at the
threshold of so small a gallery, and everybody else only when that names nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from devices.effects import IdentifyFace
from devices.events import DenyReason, FaceIdentified, FaceOutcome, Replay
from devices.model import Device
from gateway.directory import Directory
from gateway.replay import Sighting, Sightings, repeats
from gateway.settings import Faces
from gateway.thresholds import Thresholds
from vision.gallery import Gallery
from vision.types import FaceFound, Identified, Look, Match, Unsure, outcome


class FaceSight:
    """Answers `IdentifyFace`. Used by the engine's thread alone."""

    def __init__(self, *, gallery: Gallery, directory: Directory, thresholds: Thresholds, settings: Faces) -> None:
        self._gallery, self._directory, self._thresholds = gallery, directory, thresholds
        self._settings = settings
        self.sightings = Sightings()

    def seen(
        self, question: IdentifyFace, look: Look, device: Device, now: datetime, pending: Iterable[Sighting]
    ) -> tuple[FaceIdentified, Sighting | None]:
        """The answer, and what is to be remembered of the picture. `pending`: remembered, but not safe yet."""
        asked: dict[str, Any] = {"at": now, "evidence": question.evidence, "captured_at": question.captured_at}
        if not isinstance(look, FaceFound):
            return FaceIdentified(outcome=FaceOutcome(outcome(look)), **asked), None
        sighting = Sighting(device.id, question.captured_at, question.evidence, look.fingerprint)
        match = self._match(look.embedding, device, now)
        replay = self._replay(sighting, match, pending)
        told = asked | {
            "distance": match.distance,
            "threshold": match.threshold,
            "why": match.why,
            "searched": match.searched,
            "model": match.model,
        }
        if replay is not Replay.NONE:
            person = match.person if isinstance(match, Identified) else ""
            return FaceIdentified(outcome=FaceOutcome.REPLAYED, replay=replay, person=person, **told), sighting
        return self._told(match, device, now, told), sighting

    def _match(self, embedding: bytes, device: Device, now: datetime) -> Match:
        """In ever wider circles, until somebody is named. The wider one holds the nearer: what was in doubt among the
        neighbours (a face just beyond the threshold, say) it can only settle by somebody who is clearly nearer.
        """
        everybody = self._directory.may_match(device, now)
        neighbours = self._directory.residents.neighbours(device, now)
        circles = [neighbours, everybody] if 0 < len(neighbours) < len(everybody) else [everybody]
        rule, margin = self._thresholds.rule(len(circles)), self._settings.margin
        answers: list[Match] = []
        for people in circles:
            answers.append(self._gallery.identify(embedding, threshold=rule, margin=margin, among=people))
            if isinstance(answers[-1], Identified):
                return answers[-1]
        return next((answer for answer in answers if isinstance(answer, Unsure)), answers[-1])

    def _replay(self, sighting: Sighting, match: Match, pending: Iterable[Sighting]) -> Replay:
        """Nearly the same picture of a stranger opens nothing, and may be a poster behind the gate."""
        earlier = [*self.sightings.at(sighting.device), *(p for p in pending if p.device == sighting.device)]
        found = repeats(sighting, earlier, bits=self._settings.replay_bits)
        return Replay.NONE if found is Replay.NEAR and not isinstance(match, Identified) else found

    def _told(self, match: Match, device: Device, now: datetime, told: dict[str, Any]) -> FaceIdentified:
        match match:
            case Identified(person=person, margin=margin):
                allowed, deny = self._directory.may_pass(person, device, now)
                return FaceIdentified(
                    outcome=FaceOutcome.IDENTIFIED, person=person, margin=margin, allowed=allowed, deny=deny, **told
                )
            case Unsure(margin=margin):
                return FaceIdentified(outcome=FaceOutcome.UNSURE, margin=margin, **told)
            case _:
                return FaceIdentified(outcome=FaceOutcome.STRANGER, deny=DenyReason.UNKNOWN_CREDENTIAL, **told)
