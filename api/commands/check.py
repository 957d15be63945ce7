"""What `linli devices check` verifies, step by step, over the API."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from api.commands.client import Api, RefusedError, path_of

LOOK_EVERY_S = 0.5
CLOCK_RIGHT_S = 30.0
"""As the alert `clock_wrong`."""
COMMAND_WITHIN_S = 70.0
_CAUSE = {
    "face_gate": "hold a card or a face to the reader, or open the door",
    "barrier": "let a car drive up, or raise the arm by hand",
    "camera": "step into the picture",
    "light": "switch the lamp, or wait for its next reading",
    "cover": "lift the cover a little and put it back",
    "bay": "drive a car onto the bay, or hold metal over the sensor",
}


class Check(NamedTuple):
    """One step. `passed` None: there is nothing to check."""

    name: str
    passed: bool | None
    text: str

    @property
    def line(self) -> str:
        """For the installer."""
        mark = {True: "pass", False: "FAIL", None: "none"}[self.passed]
        return f"{mark}  {self.name}: {self.text}"


def check_device(api: Api, device: str, *, seconds: float, event: bool, say: Callable[[str], Any]) -> list[Check]:
    """Every step in order, each told as it ends.

    :raises RefusedError: there is no such device.
    """
    began = datetime.now(UTC)
    view = api.get(path_of("devices", device))
    after = api.get(path_of("devices", device, "events"))["next"]
    done: list[Check] = []

    def tell(check: Check) -> None:
        done.append(check)
        say(check.line)

    tell(_registered(view))
    say(f"...   waiting up to {seconds:g} s for the device to be heard")
    view = _until(lambda: api.get(path_of("devices", device)), lambda seen: _heard_since(seen, began), seconds)
    tell(_heartbeat(view, began))
    tell(_clock(view))
    if event:
        say(f"...   now {_CAUSE.get(view['kind'], 'make the device report something')}, within {seconds:g} s")
        tell(_event(api, device, after, seconds))
    tell(_command(api, view))
    return done


def _registered(view: dict[str, Any]) -> Check:
    warnings = view["warnings"]
    text = f"{view['kind']} that speaks {view['protocol']}, address {view['address']}"
    return Check("registered", not warnings, "; ".join([text, *warnings]))


def _heard_since(view: dict[str, Any], began: datetime) -> bool:
    seen = view["last_seen"]
    return bool(view["online"]) and seen is not None and datetime.fromisoformat(seen) >= began


def _heartbeat(view: dict[str, Any], began: datetime) -> Check:
    if _heard_since(view, began):
        return Check("heartbeat", passed=True, text="heard")
    how = "it was never heard" if view["last_seen"] is None else f"last heard at {view['last_seen']}"
    return Check(
        "heartbeat",
        passed=False,
        text=f"{how}; check its power, network, broker address, user and password, and that its address is "
        f"{view['address']}: `linli devices discover` shows who else speaks",
    )


def _clock(view: dict[str, Any]) -> Check:
    offset = view["clock_offset_s"]
    if offset is None:
        return Check("clock", None, "its heartbeat carries no time, so its clock cannot be measured")
    if abs(offset) <= CLOCK_RIGHT_S:
        return Check("clock", passed=True, text=f"{offset:+.1f} s")
    return Check("clock", passed=False, text=f"{offset:+.1f} s; set its time zone and its NTP server")


def _event(api: Api, device: str, after: int, seconds: float) -> Check:
    found = _until(
        lambda: api.get(path_of("devices", device, "events"), after=after)["items"],
        lambda items: any(item["type"] not in ("device_status_changed", "command_answered") for item in items),
        seconds,
    )
    types = sorted({item["type"] for item in found} - {"device_status_changed", "command_answered"})
    if types:
        return Check("event", passed=True, text=", ".join(types))
    return Check("event", passed=False, text="nothing came; is the sensor wired, and event upload switched on?")


def _command(api: Api, view: dict[str, Any]) -> Check:
    """The first harmless thing it can do: set its clock, send a picture, keep a light off that is off."""
    harmless: list[dict[str, Any]] = [{"type": "sync_time"}, {"type": "take_snapshot"}]
    if view["state"].get("lit") is False:
        harmless.append({"type": "set_lamp", "level_pct": 0})
    body = next((one for one in harmless if one["type"] in view["commands"]), None)
    if body is None:
        lamp = "; check it again while it is off" if "set_lamp" in view["commands"] else ""
        return Check("command", None, f"{view['protocol']} has none that changes nothing now{lamp}")
    try:
        sent = api.call("POST", path_of("devices", view["id"], "commands"), body, query={"wait": 10})
    except RefusedError as error:
        return Check("command", passed=False, text=f"{body['type']}: {error}")
    ended = _until(lambda: api.get(path_of("commands", sent["id"])), lambda one: one["final"], COMMAND_WITHIN_S)
    text = f"{body['type']}: {ended['status']}" + (f" ({ended['reason']})" if ended["reason"] else "")
    return Check("command", ended["status"] in ("done", "done_unverified"), text)


def _until(look: Callable[[], Any], enough: Callable[[Any], bool], seconds: float) -> Any:
    """Look until it is enough, or the time is over; the last that was seen."""
    until = time.monotonic() + seconds
    seen = look()
    while not enough(seen) and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
        seen = look()
    return seen
