"""What a desk was asked to look at, measured from the record of alerts after ISA-18.2 (2016), clause 16."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from devices.alerts import CHATTER_CYCLES
from devices.escalation import Level
from gateway.roster import Roster
from gateway.settings import Budget
from gateway.store import Store, us

STALE = timedelta(hours=24)
"""Active for longer is stale: nobody acts on it."""
TOP = 10
HOUR = timedelta(hours=1)
LOOKS_AT_MOST = 2000
"""So often the roster is asked who sat there, for a span of any length."""

_DESKS = "SELECT DISTINCT community FROM alerts"
_ASKED = """SELECT alert_changes.at AS at, alerts.key AS key, alerts.type AS type, alerts.severity AS severity
  FROM alert_changes JOIN alerts ON alerts.id = alert_changes.alert
  WHERE alert_changes.at >= ?1 AND alert_changes.at < ?2 AND change IN ('raised', 'reopened')
  AND json_extract(alert_changes.body, '$.suppressed_by') = '' AND (?3 IS NULL OR alerts.community = ?3)
  ORDER BY alert_changes.at"""
_STALE = """SELECT count(*) AS n FROM alerts WHERE open = 1 AND condition = 'active' AND raised_at < ?1 AND hidden = 0
  AND json_extract(body, '$.shelved_until') IS NULL AND (?2 IS NULL OR community = ?2)"""
_CHATTER = """SELECT alerts.key AS key, max(json_extract(alert_changes.body, '$.cycles')) AS cycles
  FROM alert_changes JOIN alerts ON alerts.id = alert_changes.alert
  WHERE alert_changes.at >= ?1 AND alert_changes.at < ?2 AND (?3 IS NULL OR alerts.community = ?3)
  GROUP BY alerts.key HAVING cycles >= ?4 ORDER BY cycles DESC, alerts.key LIMIT ?5"""


def operator_hours(roster: Roster, communities: Iterable[str], start: datetime, end: datetime) -> float:
    """How many hours somebody sat at these communities' desks; a desk nobody is registered for has one operator."""
    total, at = 0.0, start
    step = max(HOUR, (end - start) / LOOKS_AT_MOST)
    while at < end:
        until = min(end, at + step)
        sitting = sum(len(roster.serving(Level.DESK, (community,), at)) for community in communities)
        total += sitting * ((until - at) / HOUR)
        at = until
    return total


def measure(
    store: Store, roster: Roster, start: datetime, end: datetime, *, community: str | None, limits: Budget
) -> dict[str, Any]:
    """The figures of [start, end): alerts asked, an hour and operator hour, and in the fullest window; the share and
    the seconds of windows in flood; stale ones now; the keys that came most often and those that chattered; the split
    by severity (ISA-18.2 wants about 5, 15 and 80 percent).
    """
    rows = store.reader.execute(_ASKED, (us(start), us(end), community)).fetchall()
    window = int(limits.window_s * 1_000_000)
    hours = (end - start).total_seconds() / 3600
    windows = Counter((row["at"] - us(start)) // window for row in rows)
    split = Counter(int(row["severity"]) for row in rows)
    (stale,) = store.reader.execute(_STALE, (us(end - STALE), community)).fetchone()
    often = Counter(row["key"] for row in rows).most_common(TOP)
    desks = [community] if community else [row[0] for row in store.reader.execute(_DESKS)]
    operators = operator_hours(roster, desks, start, end)
    chatter = store.reader.execute(_CHATTER, (us(start), us(end), community, CHATTER_CYCLES, TOP)).fetchall()
    floods = sum(1 for n in windows.values() if limits.flood and n > limits.flood)
    return {
        "start": start,
        "end": end,
        "asked": len(rows),
        "per_hour": len(rows) / hours,
        "operator_hours": operators,
        "per_operator_hour": len(rows) / operators if operators else None,
        "fullest_window": max(windows.values(), default=0),
        "window_s": limits.window_s,
        "flood_share": floods / max(1, -(-(us(end) - us(start)) // window)),
        "flood_s": floods * limits.window_s,
        "stale": stale,
        "most_frequent": [{"key": key, "asked": n} for key, n in often if n > 1],
        "chattering": [{"key": row["key"], "cycles": row["cycles"]} for row in chatter],
        "severity_share": {str(s): split[s] / len(rows) if rows else 0.0 for s in (1, 2, 3)},
    }
