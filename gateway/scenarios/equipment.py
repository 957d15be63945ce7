"""Equipment that fails together or comes and goes: dark streets, stair lights behind one meter, flapping devices."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert
from devices.events import DeviceStatusChanged, Event, LampMeasured, Ticked
from devices.kinds.sun import daylight, solar_day
from devices.model import Device, Step
from gateway.policy import Policy, never
from gateway.settings import Policies

# -- a device that comes and goes --------------------------------------------------------------------------------------


class Flaps(Struct, frozen=True, kw_only=True):
    """When the device went away lately, oldest first; no more than the alert needs."""

    device: str = ""
    times: tuple[datetime, ...] = ()
    raised: bool = False


def _flaps_scope(event: Event, device: Device) -> str:
    return device.id if isinstance(event, DeviceStatusChanged) and not event.online else ""


def _flaps_deadline(state: Flaps, limits: Policies) -> datetime | None:
    return state.times[-1] + timedelta(minutes=limits.flapping_min) if state.times else None


def _flaps(state: Flaps, event: Event, device: Device | None, limits: Policies) -> Step[Flaps]:
    window = timedelta(minutes=limits.flapping_min)
    match event, device:
        case DeviceStatusChanged(at=at), Device():
            times = (*(t for t in state.times if at - t < window), at)[-limits.flapping :]
            often = len(times) >= limits.flapping
            after = Flaps(device=device.id, times=times, raised=state.raised or often)
            if not often or state.raised:
                return after, []
            detail = {"times": len(times), "within_min": limits.flapping_min}
            return after, [RaiseAlert(code="device_flapping", at=at, detail=detail, device=device.id)]
        case Ticked(at=at), _ if (due := _flaps_deadline(state, limits)) and at >= due:
            return Flaps(), [ClearAlert(code="device_flapping", at=at, device=state.device)] if state.raised else []
    return state, []


FLAPPING = Policy(
    name="flapping",
    initial=Flaps(),
    hears=(DeviceStatusChanged,),
    scope=_flaps_scope,
    decide=_flaps,
    deadline=_flaps_deadline,
)

# -- a whole circuit of street lights dark at night --------------------------------------------------------------------


class Circuit(Struct, frozen=True, kw_only=True):
    """The lamps of one circuit and since when each is dark (None: lit). `carrier`: whose alert it is."""

    lamps: dict[str, datetime | None] = {}
    carrier: str = ""


def _circuit_scope(event: Event, device: Device) -> str:
    street = isinstance(event, LampMeasured) and device.uplink and device.param("stair", 0) == 0
    return f"{device.community}/{device.uplink}" if street else ""


def _dark(event: LampMeasured) -> bool | None:
    if event.active_power_w is not None:
        return event.active_power_w < 1
    return None if event.level_pct is None else event.level_pct == 0


def _night(at: datetime, device: Device) -> bool:
    """Well after sunset and before sunrise at the lamp's place."""
    lat, lon = device.param("lat", 31.23), device.param("lon", 121.47)
    rise, down = daylight(solar_day(at, lon), lat, lon)
    margin = timedelta(minutes=45)
    return not rise - margin <= at <= down + margin


def _circuit(state: Circuit, event: Event, device: Device | None, limits: Policies) -> Step[Circuit]:
    if not isinstance(event, LampMeasured) or device is None or (dark := _dark(event)) is None:
        return state, []
    since = (state.lamps.get(device.id) or event.at) if dark and _night(event.at, device) else None
    state = replace(state, lamps={**state.lamps, device.id: since})
    out = sum(1 for lamp in state.lamps.values() if lamp is not None)
    many = out >= max(limits.group_dark, limits.group_dark_share * len(state.lamps))
    if many and not state.carrier:
        detail = {"dark": out, "lamps": len(state.lamps)}
        told = RaiseAlert(code="lamp_group_dark", at=event.at, detail=detail, device=device.id)
        return replace(state, carrier=device.id), [told]
    if not many and state.carrier:
        over: list[Effect] = [ClearAlert(code="lamp_group_dark", at=event.at, device=state.carrier)]
        return replace(state, carrier=""), over
    return state, []


GROUP_DARK = Policy(
    name="group_dark", initial=Circuit(), hears=(LampMeasured,), scope=_circuit_scope, decide=_circuit, deadline=never
)

# -- stair lights that say nothing themselves, seen by the meter of their circuit --------------------------------------


class Stairs(Struct, frozen=True, kw_only=True):
    """How many lamps the last readings missed, and how often in a row; `raised`: the alert stands."""

    missing: int = 0
    readings: int = 0
    raised: bool = False


def _stairs_scope(event: Event, device: Device) -> str:
    metered = isinstance(event, LampMeasured) and device.param("lamps", 0) >= 1 and device.param("lamp_w", 0) > 0
    return device.id if metered else ""


def _stairs(state: Stairs, event: Event, device: Device | None, limits: Policies) -> Step[Stairs]:
    """With everything switched on, the circuit takes one lamp's power less for each that is out: rounded, so that an
    ageing driver is no lamp, and only after some readings in a row.
    """
    if not isinstance(event, LampMeasured) or device is None or event.active_power_w is None or not event.level_pct:
        return state, []
    expected = device.param("lamps", 0) * device.param("lamp_w", 0) * event.level_pct / 100
    missing = max(0, round((expected - event.active_power_w) / (device.param("lamp_w", 0) * event.level_pct / 100)))
    same = missing == state.missing
    state = replace(state, missing=missing, readings=state.readings + 1 if same else 1)
    if state.readings < limits.stair_readings or (missing > 0) == state.raised:
        return state, []
    if missing:
        detail = {"missing": missing, "lamps": device.param("lamps", 0)}
        told = RaiseAlert(code="stair_light_out", at=event.at, detail=detail, device=device.id)
        return replace(state, raised=True), [told]
    return replace(state, raised=False), [ClearAlert(code="stair_light_out", at=event.at, device=device.id)]


STAIR_CIRCUIT = Policy(
    name="stair_circuit", initial=Stairs(), hears=(LampMeasured,), scope=_stairs_scope, decide=_stairs, deadline=never
)
