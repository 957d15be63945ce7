"""Where kinds and protocols are found: our own tables, then the plug-ins of third parties.

A third party adds a kind or a protocol through the entry-point groups `linli.kinds` and `linli.protocols`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

from devices.errors import RegistryError
from devices.kinds import KINDS
from devices.model import DeviceKind, Protocol
from devices.protocols import PROTOCOLS


def kinds() -> dict[str, DeviceKind[Any]]:
    """Every kind by name: ours, then those of installed plug-ins.

    :raises RegistryError: two claim one name.
    """
    return _with_plugins("linli.kinds", KINDS)


def protocols() -> dict[str, Protocol]:
    """Every protocol by name: ours, then those of installed plug-ins.

    :raises RegistryError: two claim one name.
    """
    return _with_plugins("linli.protocols", PROTOCOLS)


P = TypeVar("P")


def _with_plugins(group: str, ours: Mapping[str, P]) -> dict[str, P]:
    found = dict(ours)
    for entry in entry_points(group=group):
        plugin = entry.load()
        if plugin.name in found:
            raise RegistryError(f"{entry.value} claims the name {plugin.name!r} in {group}, which is taken")
        found[plugin.name] = plugin
    return found
