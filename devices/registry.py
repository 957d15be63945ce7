"""Where kinds, protocols and codecs are found: our own tables, then the plug-ins of third parties.

A third party adds its own through the entry-point groups `linli.kinds`, `linli.protocols` and `linli.codecs`.
"""

from __future__ import annotations

from typing import Any

from devices.codecs import CODECS, Codec
from devices.kinds import KINDS
from devices.model import DeviceKind, Protocol
from devices.plugins import with_plugins
from devices.protocols import PROTOCOLS


def kinds() -> dict[str, DeviceKind[Any]]:
    """Every kind by name: ours, then those of installed plug-ins.

    :raises RegistryError: two claim one name.
    """
    return with_plugins("linli.kinds", KINDS)


def protocols() -> dict[str, Protocol]:
    """Every protocol by name: ours, then those of installed plug-ins.

    :raises RegistryError: two claim one name.
    """
    return with_plugins("linli.protocols", PROTOCOLS)


def codecs() -> dict[str, Codec]:
    """Every LoRaWAN codec by name: ours, then those of installed plug-ins.

    :raises RegistryError: two claim one name.
    """
    return with_plugins("linli.codecs", CODECS)
