"""The reference backend beside a real gateway that is set back to a backup: it says so, and loses no case."""

import shutil
from pathlib import Path

import pytest

from tests.e2e.running import NativeDevice, RunningGateway, eventually, running
from tests.e2e.test_backend import ReferenceBackend

pytestmark = pytest.mark.e2e


def forced(gateway: RunningGateway, device: str) -> str:
    door = NativeDevice(gateway.broker, device)
    door.event("door_alarmed", state="DoorForcedOpen")
    door.close()
    found = eventually(lambda: gateway.get("/v1/alerts", device=device, type="door_forced")["items"], what="the alert")
    return str(found[0]["id"])


def test_a_gateway_set_back_to_a_backup_is_found_out_and_no_case_is_lost(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        for device in ("side-door", "back-door", "roof-door"):
            gateway.put_device(device, "face_gate", building="7")
        folder = tmp_path / "backend"
        folder.mkdir()
        backend = ReferenceBackend(folder, gateway)
        gateway.stop()
        shutil.copytree(gateway.data, tmp_path / "backup")  # before the backend subscribed
        gateway.begin()
        backend.begin()
        try:
            lost = forced(gateway, "side-door")
            eventually(lambda: backend.case(lost).get("work") == "assigned")
            gateway.stop()
            shutil.rmtree(gateway.data)
            shutil.copytree(tmp_path / "backup", gateway.data)
            gateway.begin()
            here = forced(gateway, "back-door")
            eventually(lambda: backend.case(here).get("work") == "assigned", within=60)
            state = eventually(lambda: s if (s := backend.state())["anew"] else None, what="what the page says of it")
            assert (state["anew"]["code"], state["anew"]["unknown"]) == ("set_back", 1)
            assert (backend.case(lost)["open"], backend.case(lost)["unknown"]) == (True, True)
            eventually(lambda: gateway.get("/v1/staff")["items"], what="the roster, given again")
            eventually(lambda: gateway.get("/v1/subscriptions")["items"], what="the subscription, made again")
            known = backend.api.get("/received").json()["count"]
            forced(gateway, "roof-door")
            eventually(lambda: backend.api.get("/received").json()["count"] > known, what="a delivery")
            assert backend.state()["trouble"] is None
        finally:
            backend.stop()
            backend.api.close()
