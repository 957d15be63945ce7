"""What Vbar terminals put on the wire; `devices.protocols.vf` reads it. Both versions say who passed, each in its way:
v1 by the permission's `id` ("-1": none), `time`, and `result` 1 for passed; v2 by `userId`, `timeStamp`, and 0.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Raw, Struct, field

from devices.events import DenyReason, Method
from devices.protocols.wire import Scalar, epoch_time, integer, name, number, parse, text

ROOT = "access_device"
OK, ERROR = "000000", "100000"
CARD = 200
_PHONE_AND_PIN, _ID_AND_PIN = 901, 902
_METHODS = {
    100: Method.QR,
    101: Method.QR,
    103: Method.QR,
    CARD: Method.CARD,
    205: Method.CARD,
    300: Method.FACE,
    400: Method.PIN,
    900: Method.REMOTE,
    _PHONE_AND_PIN: Method.PIN,
    _ID_AND_PIN: Method.PIN,
}
"""Credential types. 500 fingerprint and 600 Bluetooth have no name of ours and stay UNKNOWN."""
_REASONS = {
    "VOUCHER_NOT_FOUND": DenyReason.UNKNOWN_CREDENTIAL,
    "Voucher verification failed": DenyReason.UNKNOWN_CREDENTIAL,
    "Personnel verification failed": DenyReason.UNKNOWN_CREDENTIAL,
    "PERMISSION_DENIED": DenyReason.UNAUTHORIZED,
    "Permission verification failed": DenyReason.UNAUTHORIZED,
    "SCHEDULE_CLOSED": DenyReason.NOT_PERMITTED_AT_THIS_TIME,
}
"""`error` of a record: the interface document's words, and those of the open firmware."""
_PASSED = {"v1": 1, "v2": 0}
_NOBODY = "-1"


class Envelope(Struct, frozen=True):
    uuid: Scalar = None
    serial: Scalar = field(name="serialNo", default=None)
    code: Scalar = None
    time: Scalar = None
    data: Raw = Raw(b"null")


class _Scores(Struct, frozen=True):
    similarity: Scalar = field(name="compareScore", default=None)


_SCORES = msgspec.json.Decoder(_Scores)


class Access(Struct, frozen=True):
    """Who passed or was refused, or a credential asked about. `code` is a number, a code, or a face's picture."""

    user: Scalar = field(name="userId", default=None)
    permission: Scalar = field(name="id", default=None)
    type: Scalar = None
    result: Scalar = None
    code: Scalar = None
    pin: Scalar = None
    seen: Scalar = field(name="timeStamp", default=None)
    time: Scalar = None
    error: Scalar = None
    extra: Raw = Raw(b"null")

    @property
    def at(self) -> datetime | None:
        return epoch_time(self.seen) or epoch_time(self.time)

    @property
    def method(self) -> Method:
        code = integer(self.type)
        return _METHODS.get(code, Method.UNKNOWN) if code is not None else Method.UNKNOWN

    @property
    def credential(self) -> str:
        """What is checked. A telephone or identity number opens with its PIN only, so the two are one: number/pin."""
        if integer(self.type) in (_PHONE_AND_PIN, _ID_AND_PIN):
            return name(f"{text(self.code)}/{text(self.pin)}")
        return name(self.code)

    @property
    def similarity(self) -> float | None:
        """0 to 1, where the terminal tells it."""
        if bytes(memoryview(self.extra)[:1]) != b"{":
            return None
        found = number(parse(_SCORES, self.extra).similarity)
        return found if found is not None and 0 <= found <= 1 else None

    def who(self, version: str) -> str:
        found = name(self.user) or (name(self.permission) if version == "v1" else "")
        return "" if found == _NOBODY else found

    def passed(self, version: str) -> bool | None:
        """Whether the door was opened; None where the result is neither."""
        result = integer(self.result)
        return result == _PASSED[version] if result in (0, 1) else None

    def refusal(self, who: str) -> DenyReason:
        """Why somebody was refused; `who`: "" for nobody the terminal knows."""
        return _REASONS.get(text(self.error), DenyReason.OTHER if who else DenyReason.UNKNOWN_CREDENTIAL)


class Alarm(Struct, frozen=True):
    type: Scalar = None
    value: Scalar = None


class Refused(Struct, frozen=True):
    user: Scalar = field(name="userId", default=None)
    permission: Scalar = field(name="permissionId", default=None)
    id: Scalar = None
    reason: Scalar = field(name="errmsg", default=None)


class Connect(Struct, frozen=True):
    firmware: Scalar = field(name="appVersion", default=None)
