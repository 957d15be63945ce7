"""Situations of an old estate, each a small policy of its own: what they watch, when they speak, when it is over.

docs/scenarios.md describes them for people. Their limits are in the settings under [policies].
"""

from __future__ import annotations

from gateway.policy import Policy
from gateway.scenarios.access import FEVER, OLD_CREDENTIAL, TAILGATING
from gateway.scenarios.equipment import FLAPPING, GROUP_DARK, STAIR_CIRCUIT
from gateway.scenarios.vehicles import PARKING_FULL

SCENARIOS: tuple[Policy, ...] = (
    TAILGATING,
    OLD_CREDENTIAL,
    FEVER,
    PARKING_FULL,
    FLAPPING,
    GROUP_DARK,
    STAIR_CIRCUIT,
)
