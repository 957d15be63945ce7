"""The reference backend beside a real gateway: its page in a real browser, and the process killed and started again."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from simulators.gateway_process import Child, free_port
from tests.e2e.running import NativeDevice, RunningGateway, eventually, running
from tests.e2e.test_desk import CHROMIUM, FLAGS

pytestmark = pytest.mark.e2e
browser_only = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not installed"),
]
ROSTER = {
    "places": [
        {"id": "yonghe", "kind": "community", "name": "永和社区"},
        {"id": "g-3", "kind": "grid", "name": "第三网格", "parent": "yonghe"},
        {"id": "7", "kind": "building", "name": "7号楼", "parent": "g-3"},
    ],
    "staff": [
        {"id": "w-1", "name": "网格员甲", "level": "grid_worker", "role": "grid_worker", "places": ["g-3"]},
        {"id": "w-2", "name": "网格员乙", "level": "grid_worker", "role": "grid_worker", "places": ["g-9"]},
    ],
}


class ReferenceBackend(Child):
    """`linli backend` with books that stay the same over restarts."""

    def __init__(self, folder: Path, gateway: RunningGateway) -> None:
        self.port = free_port()
        roster = folder / "roster.json"
        roster.write_text(json.dumps(ROSTER), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "simulators.backend", "--store", str(folder / "backend.db")]
        command += ["--port", str(self.port), "--roster", str(roster)]
        command += ["--api", f"http://127.0.0.1:{gateway.http_port}", "--token", gateway.token("backend")]
        super().__init__(command, folder / "backend.log")
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def begin(self) -> None:
        self.start()
        self.await_ready()

    def state(self) -> dict[str, Any]:
        """All cases, and the account of what was received."""
        found: dict[str, Any] = self.api.get("/api/cases", params={"all": "1"}).json()
        return found

    def case(self, alert: str) -> dict[str, Any]:
        return next((case for case in self.state()["cases"] if case["alert"] == alert), {})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("gateway")) as gateway:
        gateway.put_device("side-door", "face_gate", building="7", name="侧门")
        yield gateway


@pytest.fixture
def door(gateway: RunningGateway) -> Iterator[NativeDevice]:
    door = NativeDevice(gateway.broker, "side-door")
    yield door
    door.close()


@pytest.fixture(scope="module")
def backend(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceBackend]:
    backend = ReferenceBackend(tmp_path_factory.mktemp("backend"), gateway)
    backend.begin()
    yield backend
    backend.stop()
    backend.api.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture
def page(backend: ReferenceBackend, browser: Browser) -> Iterator[Page]:
    """A page that fails the test when a script fails or the content security policy was broken."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{backend.port}", locale="zh-CN")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if "Content Security Policy" in m.text else None)
    yield page
    context.close()
    assert wrong == []


def forced(gateway: RunningGateway, door: NativeDevice) -> str:
    """The door is forced; gives the new alert. One that is still open is closed first."""
    for old in gateway.get("/v1/alerts", device="side-door", type="door_forced", open="true")["items"]:
        body = {"disposition": "false", "reason": "next test"}
        gateway.api.post(f"/v1/alerts/{old['id']}/dispose", json=body).raise_for_status()
    door.event("door_alarmed", state="Normal")
    door.event("door_alarmed", state="DoorForcedOpen")
    found = eventually(
        lambda: gateway.get("/v1/alerts", device="side-door", type="door_forced", open="true")["items"],
        what="the alert",
    )
    alert: str = found[0]["id"]
    return alert


def work_of(gateway: RunningGateway, alert: str) -> tuple[str, str]:
    found = gateway.get(f"/v1/alerts/{alert}")
    return found["work"], found["assignee"]


@pytest.mark.usefixtures("page")
class TestPage:
    pytestmark = browser_only

    def test_an_alert_becomes_a_case_that_is_dispatched_claimed_resolved_and_verified(
        self, gateway: RunningGateway, backend: ReferenceBackend, door: NativeDevice, page: Page
    ) -> None:
        page.goto("/")
        expect(page.locator("#state")).to_have_text("与网关连接正常")
        alert = forced(gateway, door)
        row = page.locator(f'[data-alert="{alert}"]')
        expect(row).to_contain_text("门被强行打开")
        expect(row).to_contain_text("已派单 · w-1")
        eventually(lambda: work_of(gateway, alert) == ("assigned", "w-1"))
        page.locator("#me").select_option("w-1")
        row.click()
        page.get_by_role("button", name="认领").click()
        expect(page.locator("[data-field='field.work']")).to_have_text("已认领")
        eventually(lambda: work_of(gateway, alert) == ("claimed", "w-1"))
        page.get_by_role("button", name="到达现场").click()
        page.get_by_role("button", name="处置完成").click()
        expect(page.locator(".told")).to_have_text("请填写说明")
        page.locator("#reason").fill("已复位")
        page.keyboard.press("Tab")
        page.locator("#do-resolved").press("Enter")
        expect(page.locator("[data-field='field.work']")).to_have_text("已处置")
        assert work_of(gateway, alert) == ("resolved", "w-1")
        page.locator("#reason").fill("已核对")
        page.get_by_role("button", name="核验通过").click()
        expect(page.locator("[data-field='field.work']")).to_have_text("已核验")
        history = gateway.get(f"/v1/alerts/{alert}")["history"]
        assert [h["reason"] for h in history if h["change"] == "work" and h["reason"]] == ["已复位", "已核对"]
        expect(page.locator("#account")).to_contain_text("无缺口")
        page.get_by_role("button", name="English").click()
        expect(page.locator("[data-field='field.work']")).to_have_text("verified")

    def test_who_claims_second_is_told_on_the_page_that_the_desk_was_faster(
        self, gateway: RunningGateway, backend: ReferenceBackend, door: NativeDevice, page: Page
    ) -> None:
        page.goto("/")
        desk = {"Authorization": f"Bearer {gateway.token('desk')}"}
        alert = forced(gateway, door)
        row = page.locator(f'[data-alert="{alert}"]')
        expect(row).to_contain_text("已派单")
        page.locator("#me").select_option("w-1")
        row.click()
        # What the backend has not heard of yet: deliveries fail for a moment, and the click comes first.
        backend.api.post("/control", json={"status": 500}).raise_for_status()
        body = {"work": "claimed", "assignee": "值班台"}
        gateway.api.post(f"/v1/alerts/{alert}/work", json=body, headers=desk).raise_for_status()
        page.evaluate("document.querySelector('#do-claimed')?.click()")
        expect(page.locator(".told").first).to_contain_text("被他人抢先：值班台 has claimed it already")
        backend.api.post("/control", json={}).raise_for_status()
        expect(page.locator("[data-field='field.assignee']")).to_have_text("值班台")
        assert work_of(gateway, alert) == ("claimed", "值班台")
        expect(page.locator("#do-claimed")).to_have_count(0)


def test_both_climb_the_same_ladder_since_the_backend_gave_its_roster(
    gateway: RunningGateway, backend: ReferenceBackend
) -> None:
    eventually(lambda: gateway.get("/v1/staff")["items"], what="the staff")
    assert gateway.get("/v1/duty", place="7")["levels"]["grid_worker"] == ["w-1"]


def test_killed_and_started_again_it_catches_up_without_a_gap_and_keeps_its_cases(
    gateway: RunningGateway, backend: ReferenceBackend, door: NativeDevice
) -> None:
    first = forced(gateway, door)
    eventually(lambda: backend.case(first).get("work") == "assigned")
    backend.kill()
    second = forced(gateway, door)
    changes = gateway.get("/v1/alerts/changes", after=0, limit=500)["items"]
    backend.begin()
    eventually(lambda: backend.case(second).get("work") == "assigned", within=60)
    state = eventually(lambda: s if (s := backend.state())["account"]["last"] >= changes[-1]["seq"] else None)
    assert (state["account"]["first"], state["account"]["missing"]) == (changes[0]["seq"], [])
    assert state["account"]["have"] >= len(changes)
    closed = backend.api.get(f"/api/cases/{first}").json()
    assert closed["open"] is False
    assert "disposed" in [line["what"] for line in closed["history"]]
    eventually(lambda: work_of(gateway, second) == ("assigned", "w-1"))


def test_a_stranger_s_page_and_broken_bodies_change_nothing(backend: ReferenceBackend) -> None:
    known = backend.state()["cases"]
    url = f"/api/cases/{known[0]['alert']}/steps" if known else "/api/cases/none/steps"
    step = {"work": "rejected", "person": "w-1"}
    assert backend.api.post(url, json=step, headers={"Origin": "http://evil.example"}).status_code == 403
    assert backend.api.post(url, content=json.dumps(step), headers={"Content-Type": "text/plain"}).status_code == 403
    assert backend.api.post(url, json={"work": "king", "person": "w-1"}).status_code == 422
    assert backend.api.post("/api/cases/nobody/steps", json=step).status_code == 404
    assert [backend.api.get(path).status_code for path in ("/../store.py", "/%2e%2e/store.py", "/js")] == [404] * 3
    assert backend.state()["cases"] == known
