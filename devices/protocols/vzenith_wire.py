"""What Vzenith cameras put on the wire; `devices.protocols.vzenith` reads it."""

from __future__ import annotations

from datetime import datetime

from msgspec import Raw, Struct, field

from devices.protocols.wire import Scalar, epoch_time, integer

NO_PLATE = frozenset({"", "_无_", "无牌车"})
"""What stands for the plate of a vehicle without one."""
_COLORS = ("", "blue", "yellow", "white", "black", "green", "yellow_green")


def plate_color(code: Scalar) -> str:
    """`colorType` in words, the same in the vendor's older push and newer protocol; "" for an unknown one."""
    color = integer(code) or 0
    return _COLORS[color] if 0 <= color < len(_COLORS) else ""


class Envelope(Struct, frozen=True):
    id: Scalar = None
    sn: Scalar = None
    name: Scalar = None
    code: Scalar = None
    timestamp: Scalar = None
    payload: Raw = Raw(b"null")


class Timeval(Struct, frozen=True):
    sec: Scalar = None
    usec: Scalar = None


class TimeStamp(Struct, frozen=True):
    value: Timeval = field(name="Timeval", default=Timeval())


class Result(Struct, frozen=True):
    license: Scalar = None
    confidence: Scalar = None
    color: Scalar = field(name="colorType", default=None)
    trigger: Scalar = field(name="triggerType", default=None)
    fake: Scalar = field(name="is_fake_plate", default=None)
    encrypted: Scalar = field(name="is_encrypted", default=None)
    offline: Scalar = field(name="isoffline", default=None)
    plate_id: Scalar = field(name="plateid", default=None)
    time: TimeStamp | Scalar = field(name="timeStamp", default=None)
    full: str | None = field(name="full_image_content", default=None)
    small: str | None = field(name="small_image_content", default=None)

    @property
    def at(self) -> datetime | None:
        """Some firmware writes a count in place of the object."""
        if isinstance(self.time, TimeStamp):
            return epoch_time(self.time.value.sec, self.time.value.usec)
        return epoch_time(self.time)


class Input(Struct, frozen=True):
    source: Scalar = None
    value: Scalar = None


class Gate(Struct, frozen=True):
    connected: Scalar = field(name="connect_status", default=None)
    status: Scalar = field(name="gate_status", default=None)


class Snapshot(Struct, frozen=True):
    code: Scalar = field(name="state_code", default=None)
    image: str | None = field(name="image_content", default=None)


class Alive(Struct, frozen=True):
    timestamp: Scalar = None


class Listed(Struct, frozen=True):
    plate: Scalar = None


class PlateList(Struct, frozen=True):
    """An answer to white_list_operator. `records`: a list, or one object where there is one."""

    operator: Scalar = field(name="operator_type", default=None)
    state: Scalar = field(name="state_code", default=None)
    records: list[Listed] | Listed | None = field(name="dldb_rec", default=None)
    total: Scalar = field(name="total_count", default=None)


class Lock(Struct, frozen=True):
    output: Scalar = field(name="ioout", default=None)
    io: Scalar = None
    status: Scalar = None


class Offline(Struct, frozen=True):
    count: Scalar = field(name="offline_record", default=None)
