"""A small governance backend, whole: the example a backend developer copies from (docs/backend.md).

It receives signed CloudEvents and keeps each once and for good, catches up by the feed after an absence, dispatches by
place, lets one claim, escalates, and tells the gateway every step. Read it in this order: `cases` (what a case is),
`store`, `work`, `server`.
"""

from simulators.backend.core import Backend, Mood
from simulators.backend.events import Cloud, Kept

__all__ = ["Backend", "Cloud", "Kept", "Mood"]
