"""What an access controller's major and minor event numbers mean.

Source: the vendor's device SDK header (HCNetSDK.h, "ACS event", MAJOR_* and MINOR_*), whose numbers ISAPI repeats in
majorEventType/subEventType (push) and major/minor (history). 21 and 22 are the lock's, not the door contact's: a
lock falls shut behind a door that still stands open, so they say nothing about the door.
"""

from __future__ import annotations

from devices.events import DenyReason, DoorAlarm, Method

ALARM, EXCEPTION, OPERATION, EVENT = 1, 2, 3, 5

GRANTED: dict[tuple[int, int], Method] = {
    (EVENT, 1): Method.CARD,
    (EVENT, 2): Method.CARD,  # and PIN
    (EVENT, 16): Method.CARD,  # several persons together
    (EVENT, 17): Method.CARD,  # first card: stays open
    (EVENT, 38): Method.UNKNOWN,  # fingerprint: no method of ours
    (EVENT, 40): Method.CARD,  # and fingerprint
    (EVENT, 43): Method.CARD,  # and fingerprint and PIN
    (EVENT, 46): Method.PIN,  # and fingerprint
    (EVENT, 54): Method.FACE,  # and fingerprint
    (EVENT, 57): Method.FACE,  # and PIN
    (EVENT, 60): Method.FACE,  # and card
    (EVENT, 63): Method.FACE,  # and PIN and fingerprint
    (EVENT, 66): Method.FACE,  # and card and fingerprint
    (EVENT, 69): Method.UNKNOWN,  # number and fingerprint
    (EVENT, 72): Method.PIN,  # number, fingerprint and PIN
    (EVENT, 75): Method.FACE,
    (EVENT, 77): Method.FACE,  # and number
    (EVENT, 156): Method.QR,
    (EVENT, 181): Method.PIN,
    (OPERATION, 1024): Method.REMOTE,
}

_CARD_WRONG, _PERIOD = DenyReason.UNKNOWN_CREDENTIAL, DenyReason.NOT_PERMITTED_AT_THIS_TIME
DENIED: dict[tuple[int, int], tuple[Method, DenyReason]] = {
    (EVENT, 3): (Method.CARD, DenyReason.INVALID_PIN),
    (EVENT, 4): (Method.CARD, DenyReason.OTHER),  # no PIN in time
    (EVENT, 5): (Method.CARD, DenyReason.OTHER),  # too many tries
    (EVENT, 6): (Method.CARD, DenyReason.UNAUTHORIZED),
    (EVENT, 7): (Method.CARD, _PERIOD),
    (EVENT, 8): (Method.CARD, DenyReason.CREDENTIAL_EXPIRED),
    (EVENT, 9): (Method.CARD, _CARD_WRONG),
    (EVENT, 10): (Method.CARD, DenyReason.OTHER),  # passed back
    (EVENT, 11): (Method.CARD, DenyReason.OTHER),  # the other door of the lock is open
    (EVENT, 12): (Method.CARD, DenyReason.UNAUTHORIZED),
    (EVENT, 13): (Method.CARD, _PERIOD),
    (EVENT, 14): (Method.CARD, DenyReason.UNAUTHORIZED),
    (EVENT, 15): (Method.CARD, DenyReason.UNAUTHORIZED),
    (EVENT, 39): (Method.UNKNOWN, _CARD_WRONG),
    (EVENT, 41): (Method.CARD, _CARD_WRONG),
    (EVENT, 44): (Method.CARD, _CARD_WRONG),
    (EVENT, 47): (Method.PIN, _CARD_WRONG),
    (EVENT, 49): (Method.UNKNOWN, _CARD_WRONG),
    (EVENT, 55): (Method.FACE, _CARD_WRONG),
    (EVENT, 58): (Method.FACE, _CARD_WRONG),
    (EVENT, 61): (Method.FACE, _CARD_WRONG),
    (EVENT, 64): (Method.FACE, _CARD_WRONG),
    (EVENT, 67): (Method.FACE, _CARD_WRONG),
    (EVENT, 70): (Method.UNKNOWN, _CARD_WRONG),
    (EVENT, 73): (Method.PIN, _CARD_WRONG),
    (EVENT, 76): (Method.FACE, _CARD_WRONG),
    (EVENT, 78): (Method.FACE, _CARD_WRONG),
    (EVENT, 80): (Method.FACE, _CARD_WRONG),
    (EVENT, 148): (Method.PIN, DenyReason.INVALID_PIN),  # too many tries
    (EVENT, 150): (Method.PIN, DenyReason.INVALID_PIN),
    (EVENT, 151): (Method.PIN, DenyReason.INVALID_PIN),
    (EVENT, 157): (Method.QR, _CARD_WRONG),
}

DOOR: dict[tuple[int, int], bool] = {(EVENT, 25): True, (EVENT, 26): False}
"""The door contact: open."""
DOOR_ALARM: dict[tuple[int, int], DoorAlarm] = {(EVENT, 27): DoorAlarm.FORCED, (EVENT, 28): DoorAlarm.HELD}
TAMPER: dict[tuple[int, int], bool] = {
    (ALARM, 1028): True,
    (ALARM, 1029): False,
    (ALARM, 1030): True,
    (ALARM, 1031): False,
    (ALARM, 1032): True,
    (ALARM, 1033): False,
    (ALARM, 1039): True,
    (ALARM, 1040): False,
}
"""Controller, reader, housing and security module: taken apart, or closed again."""
DURESS = (ALARM, 1034)

NOTICES: dict[tuple[int, int], str] = {
    (EVENT, 19): "stays_open",
    (EVENT, 20): "stays_open_ended",
    (EVENT, 21): "lock_opened",
    (EVENT, 22): "lock_closed",
    (EVENT, 23): "exit_button_pressed",
    (EVENT, 24): "exit_button_released",
    (EVENT, 31): "stays_closed",
    (EVENT, 32): "stays_closed_ended",
    (EVENT, 37): "doorbell",
    (ALARM, 1024): "input_short_circuit",
    (ALARM, 1025): "input_broken_circuit",
    (ALARM, 1027): "input_normal",
    (ALARM, 1035): "records_nearly_full",
    (ALARM, 1036): "too_many_refusals",
    (EXCEPTION, 39): "network_broken",
    (EXCEPTION, 1024): "power_on",
    (EXCEPTION, 1025): "power_off",
    (EXCEPTION, 1026): "watchdog_reset",
    (EXCEPTION, 1027): "battery_low",
    (EXCEPTION, 1029): "mains_lost",
    (EXCEPTION, 1030): "mains_back",
    (OPERATION, 1025): "remote_close",
    (OPERATION, 1026): "remote_stays_open",
    (OPERATION, 1027): "remote_stays_closed",
}
"""Names of our own for what is worth reading and moves nothing."""
