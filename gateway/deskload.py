"""What a desk was asked to look at, measured from the record of alerts after ISA-18.2 (2016), clause 16."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from gateway.settings import Budget
from gateway.store import Store, us

STALE = timedelta(hours=24)
"""Active for longer is stale: nobody acts on it."""
TOP = 10

_ASKED = """SELECT alert_changes.at AS at, alerts.key AS key, alerts.type AS type, alerts.severity AS severity
  FROM alert_changes JOIN alerts ON alerts.id = alert_changes.alert
  WHERE alert_changes.at >= ?1 AND alert_changes.at < ?2 AND change IN ('raised', 'reopened')
  AND json_extract(alert_changes.body, '$.suppressed_by') = '' AND (?3 IS NULL OR alerts.community = ?3)
  ORDER BY alert_changes.at"""
_STALE = """SELECT count(*) AS n FROM alerts WHERE open = 1 AND condition = 'active' AND raised_at < ?1
  AND (?2 IS NULL OR community = ?2)"""


def measure(store: Store, start: datetime, end: datetime, *, community: str | None, limits: Budget) -> dict[str, Any]:
    """The figures of [start, end): alerts asked, an hour, and in the fullest window; the share of windows in flood;
    stale ones now; the keys that came most often; the split by severity (ISA-18.2 wants about 5, 15 and 80 percent).
    """
    rows = store.reader.execute(_ASKED, (us(start), us(end), community)).fetchall()
    window = int(limits.window_s * 1_000_000)
    hours = (end - start).total_seconds() / 3600
    windows = Counter((row["at"] - us(start)) // window for row in rows)
    split = Counter(int(row["severity"]) for row in rows)
    (stale,) = store.reader.execute(_STALE, (us(end - STALE), community)).fetchone()
    often = Counter(row["key"] for row in rows).most_common(TOP)
    floods = sum(1 for n in windows.values() if limits.flood and n > limits.flood)
    return {
        "start": start,
        "end": end,
        "asked": len(rows),
        "per_hour": len(rows) / hours,
        "fullest_window": max(windows.values(), default=0),
        "window_s": limits.window_s,
        "flood_share": floods / max(1, -(-(us(end) - us(start)) // window)),
        "stale": stale,
        "most_frequent": [{"key": key, "asked": n} for key, n in often if n > 1],
        "severity_share": {str(s): split[s] / len(rows) if rows else 0.0 for s in (1, 2, 3)},
    }
