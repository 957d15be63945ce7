"""Every type of alert: how grave it is, what it is called, what the guard is to do, where it is filed. One table."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from msgspec import Struct


class Severity(IntEnum):
    """P1 life or intrusion, P2 access blocked or hazard, P3 maintenance."""

    P1 = 1
    P2 = 2
    P3 = 3


class AlertType(Struct, frozen=True, kw_only=True):
    """One row of the table of alert types. `latch`: stays active until a person has dealt with it.

    `six_zero`: which of the estate's "zero" goals it counts against (零污染 零事故 零发案 零违建); `service`: the code
    of the service list the backend files it under.
    """

    code: str
    severity: Severity
    title_en: str
    title_zh: str
    advice_zh: str
    advice_en: str
    latch: bool = False
    six_zero: str = ""
    service: str = ""


def _type(code: str, severity: Severity, en: str, zh: str, advice_en: str, advice_zh: str, **more: Any) -> AlertType:
    return AlertType(
        code=code, severity=severity, title_en=en, title_zh=zh, advice_en=advice_en, advice_zh=advice_zh, **more
    )


_P1, _P2, _P3 = Severity.P1, Severity.P2, Severity.P3
_CRIME, _ACCIDENT, _BUILD, _POLLUTION = "零发案", "零事故", "零违建", "零污染"

ALERT_TYPES: dict[str, AlertType] = {
    t.code: t
    for t in (
        _type(
            "door_forced",
            _P1,
            "Door forced open",
            "门被强行打开",
            "Look at the camera, send somebody to the door.",
            "查看监控，立即派人到门口。",
            latch=True,
            six_zero=_CRIME,
            service="security.door",
        ),
        _type(
            "duress",
            _P1,
            "Duress signal",
            "胁迫报警",
            "Do not call out at the gate. Inform the police post.",
            "不要在门口喊话，通知社区民警。",
            latch=True,
            six_zero=_CRIME,
            service="security.duress",
        ),
        _type(
            "cover_open",
            _P1,
            "Manhole cover open",
            "井盖打开",
            "Secure the place at once, then call maintenance.",
            "立即设置警示围挡，再通知维修。",
            latch=True,
            six_zero=_ACCIDENT,
            service="road.cover",
        ),
        _type(
            "blocklisted_plate",
            _P1,
            "Blocklisted vehicle at the barrier",
            "布控车辆到达道闸",
            "Compare the picture. Do not open by hand.",
            "核对照片，不要手动抬杆。",
            six_zero=_CRIME,
            service="vehicle.blocklist",
        ),
        _type(
            "blocked_person",
            _P1,
            "Blocked person at the gate",
            "黑名单人员到达门禁",
            "Compare the picture, keep the door closed.",
            "核对照片，保持门关闭。",
            six_zero=_CRIME,
            service="security.person",
        ),
        _type(
            "tamper",
            _P2,
            "Device tampered with",
            "设备被拆动",
            "Look at the device, check its housing.",
            "检查设备外壳。",
            latch=True,
            six_zero=_CRIME,
            service="device.tamper",
        ),
        _type(
            "door_held_open",
            _P2,
            "Door held open",
            "门长时间未关",
            "Ask somebody to close the door.",
            "请人关门，检查是否有物品顶住。",
            six_zero=_CRIME,
            service="security.door",
        ),
        _type(
            "door_open_nobody_passed",
            _P3,
            "Door opened, nobody passed",
            "开门无人通过",
            "Check whether the door was opened for somebody else.",
            "查看是否替他人开门。",
            six_zero=_CRIME,
            service="security.door",
        ),
        _type(
            "repeated_refusal",
            _P2,
            "Refused several times at one gate",
            "同一门禁多次拒绝",
            "Look at the pictures. A resident may need help, or somebody is trying.",
            "查看抓拍：可能是住户需要帮助，也可能有人试探。",
            six_zero=_CRIME,
            service="security.refusal",
        ),
        _type(
            "unknown_vehicle",
            _P3,
            "Unknown vehicle",
            "陌生车辆",
            "Ask for the reason of the visit.",
            "询问来访事由并登记。",
            service="vehicle.unknown",
        ),
        _type(
            "vehicle_overstay",
            _P3,
            "Vehicle has not moved for days (zombie-car candidate)",
            "疑似僵尸车",
            "Find the owner, then hand over to the community.",
            "联系车主，必要时移交社区处理。",
            six_zero=_BUILD,
            service="vehicle.zombie",
        ),
        _type(
            "plate_forged",
            _P2,
            "Forged plate suspected",
            "疑似套牌车",
            "Compare the plate with the vehicle.",
            "核对车牌与车辆。",
            six_zero=_CRIME,
            service="vehicle.plate",
        ),
        _type(
            "plate_unsure",
            _P2,
            "Plate in doubt at the barrier",
            "车牌存疑，待人工确认",
            "Compare the picture with the vehicles it may be, then open or turn it away.",
            "对照图片与可能的登记车辆，确认后放行或劝返。",
            service="vehicle.plate",
        ),
        _type(
            "plate_near_blocklist",
            _P2,
            "Plate resembles a blocklisted one",
            "车牌近似黑名单车辆",
            "Look at the vehicle yourself: the plate only resembles a listed one.",
            "仅为近似，请人工核对车辆，勿直接处置。",
            six_zero=_CRIME,
            service="vehicle.plate",
        ),
        _type(
            "barrier_arm_blocked",
            _P2,
            "Barrier arm blocked",
            "道闸受阻",
            "Free the arm.",
            "清除障碍。",
            six_zero=_ACCIDENT,
            service="device.barrier",
        ),
        _type(
            "barrier_stuck_open",
            _P2,
            "Barrier stuck open",
            "道闸常开",
            "Check the lock-open switch and the motor.",
            "检查常开锁定与电机。",
            service="device.barrier",
        ),
        _type(
            "barrier_not_closing",
            _P2,
            "Barrier does not close",
            "道闸不落杆",
            "Check the loop and the safety edge.",
            "检查地感与防砸。",
            service="device.barrier",
        ),
        _type(
            "barrier_obstruction",
            _P2,
            "Something under the barrier",
            "道闸下有障碍物",
            "Look before you lower the arm.",
            "落杆前先确认。",
            six_zero=_ACCIDENT,
            service="device.barrier",
        ),
        _type(
            "zone_intrusion",
            _P2,
            "Something stays in a protected zone",
            "区域内长时间停留",
            "Look at the picture, then send somebody.",
            "查看画面并派人确认。",
            six_zero=_BUILD,
            service="camera.zone",
        ),
        _type(
            "camera_occluded",
            _P2,
            "Camera covered",
            "摄像机被遮挡",
            "Clean or uncover the camera.",
            "清理遮挡。",
            service="device.camera",
        ),
        _type(
            "camera_moved",
            _P3,
            "Camera moved",
            "摄像机移位",
            "Point the camera again.",
            "重新校准角度。",
            service="device.camera",
        ),
        _type(
            "camera_defocused",
            _P3,
            "Camera out of focus",
            "摄像机失焦",
            "Focus or clean the lens.",
            "调焦或清洁镜头。",
            service="device.camera",
        ),
        _type(
            "camera_frozen",
            _P3,
            "Camera picture frozen",
            "画面冻结",
            "Restart the camera.",
            "重启摄像机。",
            service="device.camera",
        ),
        _type(
            "camera_too_dark",
            _P3,
            "Camera sees nothing: too dark",
            "画面过暗",
            "Check the light and the lens.",
            "检查照明与镜头。",
            service="device.camera",
        ),
        _type(
            "camera_blown_out",
            _P3,
            "Camera sees nothing: too bright",
            "画面过曝",
            "Shade the camera or set its exposure.",
            "遮光或调整曝光。",
            service="device.camera",
        ),
        _type(
            "zone_changed_build",
            _P3,
            "Possibly something built",
            "疑似新增搭建",
            "Compare with the earlier picture, then go and see.",
            "对比此前画面并现场核实。",
            six_zero=_BUILD,
            service="camera.zone",
        ),
        _type(
            "zone_changed_fire_lane",
            _P2,
            "Fire lane possibly blocked",
            "疑似占用消防通道",
            "Look at the picture, then have the lane cleared.",
            "查看画面，确认后清理消防通道。",
            six_zero=_ACCIDENT,
            service="camera.zone",
        ),
        _type(
            "zone_changed_parking",
            _P3,
            "A vehicle that possibly never moves",
            "疑似僵尸车",
            "Compare with the earlier picture, then go and see.",
            "对比此前画面并现场核实。",
            service="camera.zone",
        ),
        _type(
            "camera_signal_lost",
            _P2,
            "Camera without picture",
            "视频信号丢失",
            "Check power and cable.",
            "检查电源与网线。",
            service="device.camera",
        ),
        _type(
            "lamp_out",
            _P3,
            "Lamp out",
            "灯不亮",
            "Replace the lamp.",
            "更换灯具。",
            six_zero=_ACCIDENT,
            service="light.failure",
        ),
        _type(
            "lamp_on_by_day",
            _P3,
            "Lamp on by day",
            "白天亮灯",
            "Check the schedule and the photocell.",
            "检查时控与光控。",
            six_zero=_POLLUTION,
            service="light.day",
        ),
        _type(
            "lamp_dark_at_night",
            _P2,
            "Dark at night",
            "夜间不亮",
            "Check the supply and the schedule.",
            "检查供电与时控。",
            six_zero=_ACCIDENT,
            service="light.dark",
        ),
        _type(
            "lamp_flicker",
            _P3,
            "Lamp flickers",
            "灯闪烁",
            "Check the driver and the joints.",
            "检查驱动与接线。",
            service="light.flicker",
        ),
        _type(
            "lamp_power",
            _P3,
            "Lamp power out of range",
            "灯功率异常",
            "Check the lamp and its driver.",
            "检查灯具与驱动。",
            service="light.power",
        ),
        _type(
            "lamp_supply_loss",
            _P2,
            "Lighting circuit without supply",
            "照明回路断电",
            "Check the breaker of the circuit.",
            "检查回路空开。",
            six_zero=_ACCIDENT,
            service="light.supply",
        ),
        _type(
            "cover_tilted",
            _P2,
            "Manhole cover tilted",
            "井盖倾斜",
            "Look at the cover.",
            "现场查看井盖。",
            six_zero=_ACCIDENT,
            service="road.cover",
        ),
        _type(
            "water_high",
            _P2,
            "Water high in the shaft",
            "井下水位高",
            "Check the drain, expect flooding.",
            "检查排水，防范内涝。",
            six_zero=_ACCIDENT,
            service="road.water",
        ),
        _type(
            "battery_low",
            _P3,
            "Battery low",
            "电量低",
            "Change the battery on the next round.",
            "下次巡检更换电池。",
            service="device.battery",
        ),
        _type(
            "bay_overstay",
            _P3,
            "Parked too long in a bay",
            "车位超时停放",
            "Find the driver.",
            "联系车主。",
            service="vehicle.bay",
        ),
        _type(
            "bay_foreign_vehicle",
            _P3,
            "Foreign vehicle in a private bay",
            "私家车位被占",
            "Find the driver.",
            "联系车主移车。",
            service="vehicle.bay",
        ),
        _type(
            "device_offline",
            _P2,
            "Device offline",
            "设备离线",
            "Check power and network of the device.",
            "检查设备电源与网络。",
            service="device.offline",
        ),
        _type(
            "uplink_offline",
            _P2,
            "Many devices offline: uplink or power",
            "多台设备离线：上联或供电故障",
            "Check the switch or the breaker they share.",
            "检查共用的交换机或空开。",
            service="device.uplink",
        ),
        _type(
            "broker_offline",
            _P1,
            "The message broker is unreachable",
            "消息代理不可达",
            "No device can reach the gateway. Check the broker host.",
            "所有设备无法上报，检查消息代理主机。",
            service="gateway.broker",
        ),
        _type(
            "clock_wrong",
            _P3,
            "Device clock is wrong",
            "设备时钟错误",
            "Set the device's clock or its NTP server.",
            "校准设备时间或配置 NTP。",
            service="device.clock",
        ),
        _type(
            "device_flooding",
            _P3,
            "Device floods the gateway",
            "设备消息泛滥",
            "Restart the device; check its settings.",
            "重启设备并检查配置。",
            latch=True,
            service="device.flood",
        ),
    )
}
"""Every alert type by its code: the one reviewed table."""
