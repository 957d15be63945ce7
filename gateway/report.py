"""The quarterly report of each property company, from the rows of the ledger alone. Pure, and in whole numbers, so that
anybody who has the exported ledger gets the same report to the byte (`scripts/verify-ledger` does).

A case is an alert raised within the quarter, tests left out; what happened to it after the quarter is not counted. It
is unowned while nobody has acknowledged or claimed it, unless it rests: over, put aside by a person, or hidden behind
the alert that explains it. A percentile is the smallest value that
so many percent of the cases reached ("nearest rank"); shares are rounded half up to four places, and come with the
numbers they were made of. A device is there from its first report on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from gateway.store import us, when

STEPS = ("acknowledged", "claimed", "on_site", "resolved")
OWNED = ("claimed", "on_site", "resolved", "verified")
PERCENTILES = (50, 90, 99)
_QUARTER = re.compile(r"(\d{4})Q([1-4])", re.ASCII)


class Said(NamedTuple):
    """A row of the ledger, read. `at`: microseconds since 1970 UTC."""

    at: int
    kind: str
    body: dict[str, Any]


@dataclass(slots=True)
class Case:
    """One alert raised in the quarter, and when it first came to each step."""

    raised: int
    community: str
    six_zero: str
    steps: dict[str, int] = field(default_factory=dict)
    unowned_since: int | None = None
    unowned: int = 0
    open: bool = True
    reopened: bool = False
    disposition: str = ""


def quarter(name: str, zone: str) -> tuple[int, int]:
    """Its first instant and the first one after it, microseconds since 1970 UTC.

    :raises ValueError: it is not a quarter such as 2026Q4.
    """
    found = _QUARTER.fullmatch(name)
    if not found:
        raise ValueError(f"{name!r} is not a quarter; write it as 2026Q4")
    year, month = int(found[1]), 3 * int(found[2]) - 2
    after = (year, month + 3) if month < 10 else (year + 1, 1)
    first, end = (datetime(*ym, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC) for ym in ((year, month), after))
    return us(first), us(end)


def report(said: Iterable[Said], name: str) -> dict[str, Any]:
    """The report of the quarter `name` over all companies, ready for `as_json`.

    :raises ValueError: not a quarter, or the ledger does not say what its rows are to be read with.
    """
    rows = list(said)
    estates = [row for row in rows if row.kind == "estate"]
    if not estates:
        raise ValueError("the ledger does not name its time zone and companies; start the gateway once")
    zone = estates[-1].body["zone"]
    start, end = quarter(name, zone)
    companies = ([row for row in estates if row.at < end] or estates[:1])[-1].body["companies"]
    company_of = {community: company for company, all_of in companies.items() for community in all_of}
    until = max(start, min(end, max(row.at for row in rows)))
    within = [row for row in rows if row.at < end]
    cases = _cases(within, start, until)
    online = _online(within, start, until)
    acts = _acts(within, start)
    communities = {c.community for c in cases} | {community for community, *_ in online} | {c for c, *_ in acts}
    names = sorted({company_of.get(c, c) for c in communities} | companies.keys())
    return {
        "quarter": name,
        "zone": zone,
        "from": when(start).isoformat(),
        "until": when(until).isoformat(),
        "companies": [
            _company(
                company,
                [c for c in cases if company_of.get(c.community, c.community) == company],
                [(up, seen) for c, up, seen in online if company_of.get(c, c) == company],
                Counter(what for c, what in acts if company_of.get(c, c) == company),
            )
            for company in names
        ],
    }


def as_json(found: dict[str, Any]) -> str:
    """The report as it is compared: names sorted, two spaces, a line feed at the end."""
    return json.dumps(found, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _cases(rows: list[Said], start: int, until: int) -> list[Case]:
    cases: dict[str, Case] = {}
    for at, kind, body in rows:
        if kind != "alert" or body["test"]:
            continue
        if body["change"] == "raised" and at >= start:
            cases[body["alert"]] = Case(at, body["community"], body["six_zero"] or "none")
        case = cases.get(body["alert"])
        if case is not None:
            _follow(case, at, body)
    for case in cases.values():
        if case.unowned_since is not None:
            case.unowned += until - case.unowned_since
    return list(cases.values())


def _follow(case: Case, at: int, body: dict[str, Any]) -> None:
    """One more row of a case."""
    if body["acknowledged"]:
        case.steps.setdefault("acknowledged", at)
    if body["change"] == "work" and body["work"] in STEPS:
        case.steps.setdefault(body["work"], at)
    unowned = not body["rests"] and not body["acknowledged"] and body["work"] not in OWNED
    if case.unowned_since is not None and not unowned:
        case.unowned += at - case.unowned_since
        case.unowned_since = None
    elif case.unowned_since is None and unowned:
        case.unowned_since = at
    case.reopened = case.reopened or body["change"] == "reopened"
    case.open, case.disposition = body["open"], body["disposition"]


def _online(rows: list[Said], start: int, until: int) -> list[tuple[str, int, int]]:
    """Of each device: its community, how long it was online and how long it was watched, microseconds."""
    told: dict[str, list[tuple[int, bool]]] = {}
    community: dict[str, str] = {}
    for at, kind, body in rows:
        if kind == "device" and not body.get("late") and at <= until:
            told.setdefault(body["device"], []).append((at, body["online"]))
            community[body["device"]] = body["community"]
    found = []
    for device in sorted(told):
        history = sorted(told[device], key=lambda change: change[0])
        ends = [at for at, _ in history[1:]] + [until]
        up = sum(max(0, end - max(at, start)) for (at, there), end in zip(history, ends, strict=True) if there)
        found.append((community[device], up, until - max(start, history[0][0])))
    return found


def _acts(rows: list[Said], start: int) -> list[tuple[str, str]]:
    """Of each command its last state, of each access decision what it was; with their communities."""
    commands: dict[str, tuple[str, str]] = {}
    decisions = []
    for at, kind, body in rows:
        if at < start:
            continue
        if kind == "command":
            commands[body["command"]] = (body["community"], f"command_{body['status']}")
        elif kind == "access":
            decisions.append((body["community"], f"access_{body['decision']}"))
    return list(commands.values()) + decisions


def _company(name: str, cases: list[Case], online: list[tuple[int, int]], acts: Counter[str]) -> dict[str, Any]:
    devices = len(online)
    up, watched = sum(u for u, _ in online), sum(w for _, w in online)
    return {
        "company": name,
        "devices": devices,
        "availability": _share(up // 1_000_000, watched // 1_000_000),
        "acts": dict(acts),
        "all": _figures(cases, devices),
        "six_zero": {
            tag: _figures([c for c in cases if c.six_zero == tag], devices)
            for tag in sorted({c.six_zero for c in cases})
        },
    }


def _figures(cases: list[Case], devices: int) -> dict[str, Any]:
    disposed = [case for case in cases if case.disposition]
    return {
        "alerts": len(cases),
        "alerts_per_device": _share(len(cases), devices),
        "response": {
            step: _percentiles([c.steps[step] - c.raised for c in cases if step in c.steps]) for step in STEPS
        },
        "unowned_minutes": sum(case.unowned for case in cases) // 60_000_000,
        "unowned_minutes_per_device": _share(sum(case.unowned for case in cases) // 60_000_000, devices),
        "closed": _share(sum(not case.open for case in cases), len(cases)),
        "reopened": _share(sum(case.reopened for case in cases), len(cases)),
        "false_alarms": _share(sum(case.disposition == "false" for case in disposed), len(disposed)),
    }


def _percentiles(times: list[int]) -> dict[str, Any]:
    """Milliseconds, and of how many."""
    ranked = sorted(times)
    figures: dict[str, Any] = {"of": len(ranked)}
    for percent in PERCENTILES:
        rank = -(-percent * len(ranked) // 100)
        figures[f"p{percent}_ms"] = ranked[rank - 1] // 1000 if ranked else None
    return figures


def _share(part: int, whole: int) -> dict[str, Any]:
    """A fraction with its parts; `share` is text, as no float is the same everywhere."""
    rounded = (20_000 * part + whole) // (2 * whole) if whole else None
    share = None if rounded is None else f"{rounded // 10_000}.{rounded % 10_000:04d}"
    return {"count": part, "of": whole, "share": share}
