"""Which class plays which device: the table of kinds and protocols that can be simulated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from devices.model import Device
from simulators import barrier, bay, camera, cover, face_gate, spoken_lamps, spoken_sensors
from simulators.das import DasDevice
from simulators.device import NativeDevice, Simulated, Voice, World, unable
from simulators.generic_lamps import HomeAssistantLamp, HomieLamp, SparkplugLamp, SubGatewayLamp
from simulators.light import Light
from simulators.oem_face import OemFaceTerminal
from simulators.routine import Routine
from simulators.spoken import Spoken, Words
from simulators.vf import VfTerminal
from simulators.vzenith import VzenithCamera

Make = Callable[[Device, World, timedelta], Simulated]


def _sees_people(voice: Voice) -> Routine:
    world = voice.world
    return Routine(voice, list_="persons", look=lambda: world.pictures.face(world.estate.residents()[0].id, 0))


def _sees_cars(voice: Voice) -> Routine:
    world = voice.world
    return Routine(voice, list_="plates", look=lambda: world.pictures.car(world.estate.vehicles()[0].plate, 0))


def _looks_on(voice: Voice) -> Routine:
    world = voice.world
    return Routine(voice, look=lambda: world.pictures.view(voice.device.id))


def _face_gate(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(
        device, world, clock, tell=face_gate.tell, obey=face_gate.obey, willed=True, routine=_sees_people
    )


def _barrier(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=barrier.tell, obey=barrier.obey, willed=True, routine=_sees_cars)


def _camera(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=camera.tell, obey=unable, willed=False, routine=_looks_on)


def _light(device: Device, world: World, clock: timedelta) -> Simulated:
    light = Light()
    return NativeDevice(device, world, clock, tell=light.tell, obey=light.obey, willed=False, routine=Routine)


def _cover(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=cover.tell, obey=unable, willed=False, routine=Routine)


def _bay(device: Device, world: World, clock: timedelta) -> Simulated:
    return NativeDevice(device, world, clock, tell=bay.tell, obey=unable, willed=False, routine=Routine)


def _spoken(words: Words) -> Make:
    return lambda device, world, clock: Spoken(device, world, clock, words)


MAKERS: dict[tuple[str, str], Make] = {
    ("face_gate", "native"): _face_gate,
    ("face_gate", "oem_face"): OemFaceTerminal,
    ("face_gate", "vf"): VfTerminal,
    ("face_gate", "das"): DasDevice,
    ("barrier", "native"): _barrier,
    ("barrier", "vzenith"): VzenithCamera,
    ("camera", "native"): _camera,
    ("light", "native"): _light,
    ("light", "home_assistant"): HomeAssistantLamp,
    ("light", "homie"): HomieLamp,
    ("light", "sparkplug"): SparkplugLamp,
    ("light", "tb_gateway"): SubGatewayLamp,
    ("cover", "native"): _cover,
    ("bay", "native"): _bay,
    ("light", "chirpstack"): _spoken(spoken_lamps.CHIRPSTACK_NAS),
    ("light", "zigbee2mqtt"): _spoken(spoken_lamps.ZIGBEE2MQTT),
    ("light", "tasmota"): _spoken(spoken_lamps.TASMOTA),
    ("light", "shelly"): _spoken(spoken_lamps.SHELLY),
    ("sensor", "ttn"): _spoken(spoken_sensors.TTN_LEAK),
    ("camera", "frigate"): _spoken(spoken_sensors.FRIGATE),
    ("camera", "onvif"): _spoken(spoken_sensors.ONVIF),
    ("cover", "nbiot_cover"): _spoken(spoken_sensors.NBIOT_COVER),
}
"""(kind, protocol) -> what plays it."""


def simulated(device: Device, world: World, clock: timedelta = timedelta()) -> Simulated:
    """The simulation of this device; `clock` is how wrong its clock is.

    :raises KeyError: nobody plays this kind with this protocol.
    """
    return MAKERS[device.kind, device.protocol](device, world, clock)
