"""Which class plays which device: the table of kinds and protocols that can be simulated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from devices.model import Device
from simulators import barrier, bay, camera, cover, face_gate
from simulators.das import DasDevice
from simulators.device import NativeDevice, Simulated, World, unable
from simulators.light import Light
from simulators.oem_face import OemFaceTerminal
from simulators.vf import VfTerminal
from simulators.vzenith import VzenithCamera

Make = Callable[[Device, World, timedelta], Simulated]


def _face_gate(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=face_gate.tell, obey=face_gate.obey, willed=True)


def _barrier(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=barrier.tell, obey=barrier.obey, willed=True)


def _camera(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=camera.tell, obey=unable, willed=False)


def _light(device: Device, world: World, clock: timedelta) -> Simulated:
    light = Light()
    return NativeDevice(device, world, clock, tell=light.tell, obey=light.obey, willed=False)


def _cover(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=cover.tell, obey=unable, willed=False)


def _bay(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=bay.tell, obey=unable, willed=False)


MAKERS: dict[tuple[str, str], Make] = {
    ("face_gate", "native"): _face_gate,
    ("face_gate", "oem_face"): OemFaceTerminal,
    ("face_gate", "vf"): VfTerminal,
    ("face_gate", "das"): DasDevice,
    ("barrier", "native"): _barrier,
    ("barrier", "vzenith"): VzenithCamera,
    ("camera", "native"): _camera,
    ("light", "native"): _light,
    ("cover", "native"): _cover,
    ("bay", "native"): _bay,
}
"""(kind, protocol) -> what plays it."""


def simulated(device: Device, world: World, clock: timedelta = timedelta()) -> Simulated:
    """The simulation of this device; `clock` is how wrong its clock is.

    :raises KeyError: nobody plays this kind with this protocol.
    """
    return MAKERS[device.kind, device.protocol](device, world, clock)
