import msgspec
import pytest

from devices.effects import (
    AnswerCredential,
    CheckCredential,
    Effect,
    IdentifyFace,
    OpenPassage,
    RaiseAlert,
    RecordPoint,
    Report,
)
from devices.events import (
    AccessDenied,
    AccessGranted,
    AccessTaken,
    CredentialChecked,
    CredentialPresented,
    DenyReason,
    DoorAlarm,
    DoorAlarmed,
    DoorChanged,
    DuressSignalled,
    FaceCaptured,
    FaceIdentified,
    FaceOutcome,
    Method,
    Replay,
    TamperDetected,
)
from devices.kinds.face_gate import FACE_GATE
from tests.devices.table import Run, at, changes, of


def gate(**params: float) -> Run:
    return Run(FACE_GATE, **params)


def door(seconds: float, *, opened: bool) -> DoorChanged:
    return DoorChanged(at=at(seconds), open=opened)


def identified(seconds: float = 1, captured: float = 0, **more: object) -> FaceIdentified:
    base = {"outcome": FaceOutcome.IDENTIFIED, "evidence": "e1", "person": "p1", "allowed": True}
    return FaceIdentified(at=at(seconds), captured_at=at(captured), **(base | more))


def test_a_captured_face_is_looked_at_for_five_seconds() -> None:
    assert gate().say(FaceCaptured(at=at(0), evidence="e1", live=True)) == [
        IdentifyFace(evidence="e1", captured_at=at(0), not_after=at(5))
    ]


def test_a_face_that_is_not_live_or_has_no_picture_is_not_looked_at() -> None:
    effects = gate().say(FaceCaptured(at=at(0), evidence="e1", live=False), FaceCaptured(at=at(0), evidence=""))
    assert not of(IdentifyFace, effects)
    (alert,) = of(RaiseAlert, effects)
    assert (alert.code, alert.evidence, alert.detail) == ("presentation_attack", "e1", {"found_by": "terminal"})


def test_a_photograph_shown_again_opens_nothing_and_is_an_attack_until_nobody_tries_any_more() -> None:
    run = gate(attack_clear_s=300)
    replayed = identified(outcome=FaceOutcome.REPLAYED, replay=Replay.NEAR, allowed=False)
    point, alert = run.say(replayed)
    assert (point.metric, alert.code, alert.detail) == ("faces_not_live", "presentation_attack", {"repeats": "near"})
    assert (alert.subject, run.state.opened_for) == ("p1", ""), "for the guard, and never for the door"
    assert run.due == at(301)
    (over,) = run.until(301)
    assert (over.code, run.due) == ("presentation_attack", None)


def test_a_known_face_opens_the_door_and_is_reported() -> None:
    assert gate().say(identified()) == [
        OpenPassage(not_after=at(5), method=Method.FACE, person="p1"),
        Report(event=AccessGranted(at=at(1), method=Method.FACE, person="p1", evidence="e1")),
    ]


def test_our_own_report_coming_back_does_not_open_again() -> None:
    run = gate()
    _, report = run.say(identified())
    assert run.say(report.event) == []
    assert (run.state.granted_at, run.state.granted_to) == (at(1), "p1")


def test_the_same_answer_twice_opens_once_and_a_new_one_opens_again() -> None:
    run = gate()
    assert len(of(OpenPassage, run.say(identified(), identified()))) == 1
    assert len(of(OpenPassage, run.say(identified(3, 2, evidence="e2")))) == 1


def test_an_answer_that_comes_too_late_opens_nothing_and_reports_no_grant() -> None:
    assert gate().say(identified(seconds=5.1)) == []
    assert of(OpenPassage, gate(open_within_s=10).say(identified(seconds=9)))


def test_a_capture_from_the_future_does_not_stretch_the_time_to_open() -> None:
    (opening,) = of(OpenPassage, gate().say(identified(seconds=0, captured=3600)))
    assert opening.not_after == at(5)


def test_a_known_face_without_permission_is_refused() -> None:
    effects = gate().say(identified(allowed=False, deny=DenyReason.CREDENTIAL_EXPIRED))
    denied = AccessDenied(
        at=at(1), method=Method.FACE, reason=DenyReason.CREDENTIAL_EXPIRED, person="p1", evidence="e1"
    )
    assert effects == [Report(event=denied)]


def test_a_stranger_is_refused_as_unknown() -> None:
    (report,) = gate().say(identified(outcome=FaceOutcome.STRANGER, person="", allowed=False))
    assert report.event.reason is DenyReason.UNKNOWN_CREDENTIAL


@pytest.mark.parametrize(
    "outcome",
    [FaceOutcome.UNSURE, FaceOutcome.NO_FACE, FaceOutcome.MANY_FACES, FaceOutcome.LOW_QUALITY, FaceOutcome.UNREADABLE],
)
def test_a_doubtful_picture_is_neither_granted_nor_refused(outcome: FaceOutcome) -> None:
    effects: list[Effect] = gate().say(identified(outcome=outcome))
    assert effects
    assert all(isinstance(e, RecordPoint) for e in effects)


def test_a_card_is_checked_and_an_allowed_one_opens_once() -> None:
    run = gate()
    asked = run.say(CredentialPresented(at=at(0), method=Method.CARD, value="0011"))
    assert asked == [CheckCredential(method=Method.CARD, value="0011", at=at(0))]
    answer = CredentialChecked(at=at(0), presented_at=at(0), method=Method.CARD, allowed=True, person="p1")
    opening, report = run.say(answer)
    assert opening == OpenPassage(not_after=at(5), method=Method.CARD, person="p1")
    assert report.event == AccessGranted(at=at(0), method=Method.CARD, person="p1")
    assert run.say(answer) == []


def test_a_refused_card_is_reported_with_its_reason() -> None:
    answer = CredentialChecked(
        at=at(0), presented_at=at(0), method=Method.PIN, allowed=False, reason=DenyReason.INVALID_PIN
    )
    (report,) = gate().say(answer)
    assert report.event == AccessDenied(at=at(0), method=Method.PIN, reason=DenyReason.INVALID_PIN)


def test_a_terminal_that_waits_for_an_answer_is_answered_and_opens_by_that_alone() -> None:
    run = gate()
    (asked,) = run.say(CredentialPresented(at=at(0), method=Method.QR, value="q", reply_to="v1/7"))
    assert asked == CheckCredential(method=Method.QR, value="q", at=at(0), reply_to="v1/7")
    answer = CredentialChecked(
        at=at(1), presented_at=at(0), method=Method.QR, allowed=True, person="p1", reply_to="v1/7"
    )
    answered, report = run.say(answer)
    assert answered == AnswerCredential(not_after=at(5), reply_to="v1/7", allowed=True)
    assert report.event == AccessGranted(at=at(1), method=Method.QR, person="p1")
    assert run.say(answer) == [], "redelivered"
    assert changes(run.say(DoorChanged(at=at(2), open=True))) == [], "it was let in"


def test_a_refused_credential_is_answered_too_and_reported_once() -> None:
    answer = CredentialChecked(
        at=at(1),
        presented_at=at(0),
        method=Method.CARD,
        allowed=False,
        reason=DenyReason.UNKNOWN_CREDENTIAL,
        reply_to="v1/7",
    )
    answered, report = gate().say(answer)
    assert answered == AnswerCredential(not_after=at(5), reply_to="v1/7", allowed=False)
    assert report.event == AccessDenied(at=at(1), method=Method.CARD, reason=DenyReason.UNKNOWN_CREDENTIAL)


def test_whoever_has_left_again_is_not_let_in_by_a_late_answer() -> None:
    late = CredentialChecked(
        at=at(6), presented_at=at(0), method=Method.CARD, allowed=True, person="p", reply_to="v1/7"
    )
    assert gate().say(late) == []


def test_a_blocked_person_raises_an_alert_that_ends_by_itself() -> None:
    run = gate()
    refused = AccessDenied(
        at=at(0), method=Method.FACE, reason=DenyReason.UNAUTHORIZED, person="p9", evidence="e", blocked=True
    )
    (alert,) = run.say(refused)
    assert (alert.code, alert.subject, alert.evidence, alert.instance) == ("blocked_person", "p9", "e", "")
    assert changes(run.until(299)) == []
    assert changes(run.until(300)) == ["-blocked_person"]
    assert run.due is None


def test_a_gate_held_open_raises_one_alert_and_closing_clears_it() -> None:
    run = gate()
    assert run.say(door(0, opened=True), door(10, opened=True)) == []
    assert run.due == at(30)
    (held,) = run.until(1000)
    assert (held.code, held.at) == ("door_held_open", at(30))
    assert run.say(door(1001, opened=True)) == []
    assert run.due is None
    assert changes(run.say(door(1002, opened=False), door(1003, opened=False))) == ["-door_held_open"]
    assert run.say(door(1004, opened=True)) == []
    assert run.due == at(1034)


def test_a_door_closed_in_time_raises_nothing() -> None:
    run = gate()
    run.say(door(0, opened=True), door(29, opened=False))
    assert run.until(1000) == []


def test_opening_without_a_grant_is_forced_only_where_that_is_asked_for() -> None:
    shut_then_open = (door(0, opened=False), door(20, opened=True))
    assert gate().say(*shut_then_open) == []
    assert changes(gate(forced_detection=1).say(*shut_then_open)) == ["+door_forced"]
    granted = AccessGranted(at=at(12), method=Method.CARD)
    assert gate(forced_detection=1).say(shut_then_open[0], granted, shut_then_open[1]) == []
    assert changes(gate(forced_detection=1).say(granted, door(13, opened=False), door(23, opened=True))) == [
        "+door_forced"
    ]


def test_an_opening_of_which_we_know_nothing_before_is_not_called_forced() -> None:
    assert gate(forced_detection=1).say(door(0, opened=True)) == []


def test_the_door_reports_its_own_alarms_and_their_end() -> None:
    run = gate()
    assert changes(run.say(DoorAlarmed(at=at(0), state=DoorAlarm.FORCED))) == ["+door_forced"]
    assert changes(run.say(door(1, opened=True), DoorAlarmed(at=at(2), state=DoorAlarm.HELD))) == ["+door_held_open"]
    assert run.due is None
    end = run.say(DoorAlarmed(at=at(3), state=DoorAlarm.NORMAL))
    assert changes(end) == ["-door_forced", "-door_held_open"]
    assert run.until(1000) == []


def test_duress_is_silent_at_the_gate() -> None:
    run = gate()
    (alert,) = run.say(DuressSignalled(at=at(0), person="p1"))
    assert (alert.code, alert.subject) == ("duress", "p1")
    assert run.state == FACE_GATE.initial


def test_an_opened_housing_is_tampering_until_it_is_closed() -> None:
    run = gate()
    assert changes(run.say(TamperDetected(at=at(0)), TamperDetected(at=at(1), active=False))) == ["+tamper", "-tamper"]


def test_a_passage_is_remembered() -> None:
    run = gate()
    assert run.say(AccessTaken(at=at(7))) == []
    assert msgspec.json.decode(msgspec.json.encode(run.state), type=type(run.state)).taken_at == at(7)
