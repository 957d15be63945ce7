"""Where open alerts are, so that a cause finds what it explains without looking at all: by device, link, building."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain

from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert
from devices.incidents import Key, Stretch
from devices.suppression import ROOTS, Reach, place
from gateway.changes import AlertChange, Changes

Place = tuple[Reach, str]


def _place(alert: Alert, reach: Reach) -> Place:
    return reach, place(alert, reach)


class Places:
    """`incidents`: the latest of each community and cause, from what was raised before we began (`lately`) on."""

    def __init__(self, open_alerts: Iterable[Alert], lately: Iterable[AlertChange] = ()) -> None:
        self.incidents: dict[Key, Stretch] = {}
        self._causes: dict[Place, dict[str, None]] = {}
        """Alerts that can explain others, by the place they reach."""
        self._all: dict[Place, dict[str, None]] = {}
        for alert in open_alerts:
            self._add(alert)
        for change in lately:
            alert = change.alert
            if alert.incident and not alert.suppressed_by:
                self.incidents[alert.community, ALERT_TYPES[alert.type].cause] = Stretch(alert.incident, change.at)

    def roots_of(self, alert: Alert) -> Iterator[str]:
        """Ids of the alerts that reach this one's place."""
        return chain.from_iterable(list(self._causes.get(_place(alert, reach), ())) for reach in Reach)

    def reached_by(self, root: Alert) -> Iterator[str]:
        """Ids of the alerts at the place this one reaches."""
        return iter(list(self._all.get(_place(root, ROOTS[root.type].reach), ())))

    def clock_set(self, by: timedelta) -> None:
        """Our own clock was set by so much."""
        self.incidents = {key: Stretch(held.incident, held.last + by) for key, held in self.incidents.items()}

    def adopt(self, batch: Changes) -> None:
        """The batch is safe."""
        self.incidents.update(batch.incidents)
        for alert in batch.alerts.values():
            if alert.open:
                self._add(alert)
            else:
                self.forget(alert)

    def _add(self, alert: Alert) -> None:
        for reach in Reach:
            self._all.setdefault(_place(alert, reach), {})[alert.id] = None
        if alert.type in ROOTS:
            self._causes.setdefault(_place(alert, ROOTS[alert.type].reach), {})[alert.id] = None

    def forget(self, alert: Alert) -> None:
        """It is no longer open, or rests."""
        for held in (self._all, self._causes):
            for reach in Reach:
                here = held.get(_place(alert, reach), {})
                here.pop(alert.id, None)
                if not here:
                    held.pop(_place(alert, reach), None)
