"""The reference backend beside a real gateway: its page in a real browser, and the process killed and started again."""

import json
import subprocess
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


PEOPLE = ("w-1", "dispatcher", "verifier")
PASSWORD = "correct horse 42"


class ReferenceBackend(Child):
    """`linli backend` with books that stay the same over restarts."""

    def __init__(self, folder: Path, gateway: RunningGateway) -> None:
        self.port = free_port()
        roster = folder / "roster.json"
        roster.write_text(json.dumps(ROSTER), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "simulators.backend", "--store", str(folder / "backend.db")]
        self.folder = folder
        for name in (*PEOPLE, "api"):
            self.user("add", name)
        command += ["--port", str(self.port), "--roster", str(roster), "--testing"]
        command += ["--api", f"http://127.0.0.1:{gateway.http_port}", "--token", gateway.token("backend")]
        super().__init__(command, folder / "backend.log")
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def begin(self) -> None:
        self.start()
        self.await_ready()
        signed_in = self.api.post("/api/sign-in", json={"name": "api", "password": PASSWORD})
        signed_in.raise_for_status()
        self.api.cookies.update(signed_in.cookies)

    def user(self, verb: str, name: str) -> None:
        """`linli backend user`."""
        command = [sys.executable, "-P", "-m", "simulators.backend", "user", verb, name]
        command += ["--store", str(self.folder / "backend.db")]
        subprocess.run(command, input=f"{PASSWORD}\n", text=True, check=True, encoding="utf-8")

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


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """By the form, as somebody does."""
    page.get_by_label("用户名").fill(name)
    page.get_by_label("密码").fill(password)
    page.get_by_role("button", name="登录").click()


def change_places(page: Page, name: str) -> None:
    """The next one sits down at the same screen."""
    page.get_by_role("button", name="退出登录").click()
    sign_in(page, name)
    expect(page.locator("#me")).to_contain_text(f"当前人员：{name}")


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
        expect(page.locator("#work")).to_be_hidden()
        sign_in(page, "w-1", "wrong horse 42")
        expect(page.locator("#in-said")).to_have_text("用户名或密码不正确")
        sign_in(page, "w-1")
        expect(page.locator("#me")).to_have_text("当前人员：w-1 网格员甲")
        expect(page.locator("#state")).to_have_text("与网关连接正常")
        alert = forced(gateway, door)
        row = page.locator(f'[data-alert="{alert}"]')
        expect(row).to_contain_text("门被强行打开")
        expect(row).to_contain_text("已派单 · w-1")
        eventually(lambda: work_of(gateway, alert) == ("assigned", "w-1"))
        row.click()
        expect(page.locator(".steps li").first).not_to_be_empty()
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
        expect(page.locator("#barred")).to_contain_text("须由他人核验")
        expect(page.get_by_role("button", name="核验通过")).to_have_count(0)
        change_places(page, "verifier")
        row.click()
        page.locator("#reason").fill("已核对")
        page.get_by_role("button", name="核验通过").click()
        expect(page.locator("[data-field='field.work']")).to_have_text("已核验")
        assert work_of(gateway, alert) == ("verified", "w-1")
        history = [h for h in gateway.get(f"/v1/alerts/{alert}")["history"] if h["change"] == "work" and h["reason"]]
        assert [h["reason"] for h in history] == ["已复位", "已核对"]
        assert [h["actor"].rsplit(" / ")[-1] for h in history] == ["w-1", "verifier"]
        expect(page.locator("#account")).to_contain_text("无缺口")
        page.get_by_role("button", name="English").click()
        expect(page.locator("[data-field='field.work']")).to_have_text("verified")

    def test_who_dispatches_by_hand_cannot_verify_and_a_session_ends_with_the_operator(
        self, gateway: RunningGateway, backend: ReferenceBackend, door: NativeDevice, page: Page
    ) -> None:
        page.goto("/")
        sign_in(page, "dispatcher")
        alert = forced(gateway, door)
        row = page.locator(f'[data-alert="{alert}"]')
        expect(row).to_contain_text("已派单 · w-1")
        row.click()
        page.locator("#to").select_option("w-2")
        page.get_by_role("button", name="派单", exact=True).click()
        expect(page.locator("[data-field='field.assignee']")).to_contain_text("w-2")
        eventually(lambda: work_of(gateway, alert) == ("assigned", "w-2"))
        for work in ("claimed", "on_site", "resolved"):
            gateway.api.post(f"/v1/alerts/{alert}/work", json={"work": work, "assignee": "w-2"}).raise_for_status()
        expect(page.locator("[data-field='field.work']")).to_contain_text("已处置")
        expect(page.locator("#barred")).to_contain_text("须由他人核验")
        told = page.request.post(f"/api/cases/{alert}/steps", data={"work": "verified", "reason": "r"})
        assert (told.status, told.json()["refusal"]["code"]) == (409, "somebody_else")
        cookie = next(c for c in page.context.cookies() if c["name"] == "linli_backend")
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        backend.user("remove", "dispatcher")
        forced(gateway, door)
        expect(page.get_by_label("密码")).to_be_visible()
        backend.user("add", "dispatcher")

    def test_who_claims_second_is_told_on_the_page_that_the_desk_was_faster(
        self, gateway: RunningGateway, backend: ReferenceBackend, door: NativeDevice, page: Page
    ) -> None:
        page.goto("/")
        sign_in(page, "w-1")
        desk = {"Authorization": f"Bearer {gateway.token('desk')}"}
        alert = forced(gateway, door)
        row = page.locator(f'[data-alert="{alert}"]')
        expect(row).to_contain_text("已派单")
        row.click()
        # What the backend has not heard of yet: deliveries fail for a moment, and the click comes first.
        backend.api.post("/control", json={"status": 500}).raise_for_status()
        body = {"work": "claimed", "assignee": "值班台"}
        gateway.api.post(f"/v1/alerts/{alert}/work", json=body, headers=desk).raise_for_status()
        page.evaluate("document.querySelector('#do-claimed')?.click()")
        expect(page.locator(".told").first).to_contain_text("被他人抢先：值班台 已认领（claimed_already）")
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
    known = standing(backend)
    url = f"/api/cases/{known[0][0]}/steps" if known else "/api/cases/none/steps"
    step = {"work": "rejected"}
    assert backend.api.post(url, json=step, headers={"Origin": "http://evil.example"}).status_code == 403
    assert backend.api.post(url, content=json.dumps(step), headers={"Content-Type": "text/plain"}).status_code == 403
    assert backend.api.post(url, json={"work": "king", "person": "w-1"}).status_code == 422
    assert backend.api.post("/api/cases/nobody/steps", json=step).status_code == 404
    assert [backend.api.get(path).status_code for path in ("/../store.py", "/%2e%2e/store.py", "/js")] == [404] * 3
    assert httpx.get(f"http://127.0.0.1:{backend.port}/api/cases").status_code == 401
    assert standing(backend) == known


def standing(backend: ReferenceBackend) -> list[tuple[str, str, str]]:
    return [(case["alert"], case["work"], case["assignee"]) for case in backend.state()["cases"]]
