"""How third parties add to our tables: kinds, protocols and codecs, each under an entry-point group of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from devices.errors import RegistryError

P = TypeVar("P")


def with_plugins(group: str, ours: Mapping[str, P]) -> dict[str, P]:
    """`ours`, and what installed plug-ins offer in this entry-point group, by name.

    :raises RegistryError: two claim one name.
    """
    found = dict(ours)
    for entry in entry_points(group=group):
        plugin = entry.load()
        if plugin.name in found:
            raise RegistryError(f"{entry.value} claims the name {plugin.name!r} in {group}, which is taken")
        found[plugin.name] = plugin
    return found
