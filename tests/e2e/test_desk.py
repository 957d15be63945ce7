"""The desk in a real browser, before a real gateway with its own broker, and a gate that speaks MQTT."""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import paho.mqtt.client as mqtt
import pytest
import uvicorn
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Page, expect, sync_playwright

from api.app import create_app
from api.tokens import ROLES, create_token
from devices.alert_types import ALERT_TYPES
from devices.events import (
    CameraFault,
    CameraHealthChanged,
    CommandResult,
    Direction,
    DoorAlarm,
    DoorAlarmed,
    DoorChanged,
    Event,
    VehiclePassed,
)
from gateway.broker import DEVICE_USER
from gateway.runtime import Gateway
from gateway.settings import Delays, Faces, Http, Mqtt, Policies, Settings
from simulators.gateway_process import free_port
from tests.vision import drawn

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "侧门 <img src=x onerror=alert(1)>"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not installed"),
]


class Gate:
    """A face gate or a camera on the wire, in the native dialect: it opens when told, and its contact says so."""

    def __init__(self, address: str, port: int, password: str) -> None:
        self.address = address
        self.opened = 0
        self._there = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=address)
        self._client.username_pw_set(DEVICE_USER, password)
        self._client.on_connect = lambda client, *_: client.subscribe(f"linli/v1/{address}/command", qos=1)
        self._client.on_subscribe = lambda *_: self._there.set()
        self._client.on_message = self._told
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._there.wait(10)
        self._say("status", {"online": True, "boot_id": uuid4().hex, "at": datetime.now(UTC)})

    def event(self, event: Event) -> None:
        self._say("event", {"id": uuid4().hex, "stored": False, "event": event})

    def face(self, image: bytes) -> None:
        seen = {"type": "face_captured", "at": datetime.now(UTC), "live": True}
        self._say("event", {"id": uuid4().hex, "event": seen, "image": base64.b64encode(image).decode()})

    def picture(self, image: bytes) -> None:
        seen = {"type": "frame_captured", "at": datetime.now(UTC)}
        self._say("event", {"id": uuid4().hex, "event": seen, "image": base64.b64encode(image).decode()})

    def leave(self) -> None:
        self._say("status", {"online": False, "reason": "goodbye", "at": datetime.now(UTC)})

    def close(self) -> None:
        self._client.loop_stop()
        self._client.disconnect()

    def _say(self, leaf: str, body: dict[str, Any]) -> None:
        self._client.publish(f"linli/v1/{self.address}/{leaf}", msgspec.json.encode(body), qos=1)

    def _told(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        now, command = datetime.now(UTC), msgspec.json.decode(message.payload)["id"]
        self.opened += 1
        self._say("answer", {"command_id": command, "result": CommandResult.ACCEPTED, "reason": "", "at": now})
        self.event(DoorChanged(at=now, open=True))


class Site:
    """A running gateway with its HTTP server on a port that stays the same over `web_stops` and `web_starts`."""

    def __init__(self, folder: Path) -> None:
        self.port, self.mqtt_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = Settings(
            data_dir=str(folder),
            mqtt=Mqtt(listen=f"127.0.0.1:{self.mqtt_port}", sync="interval"),
            http=Http(port=self.port),
            faces=Faces(workers=1),
            policies=Policies(nobody_passed_s=1, visit_h=1 / 3600),
            delays=Delays(on_s={"camera_moved": 0}),
        )
        self.gateway = Gateway(settings)
        self.gateway.start()
        self.token = self._token("夜班", ROLES["desk"])
        self.admin = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self._token('admin', ROLES['admin'])}"}
        )
        self._running: Any = None

    def _token(self, name: str, scopes: tuple[str, ...]) -> str:
        return create_token(self.gateway.store, name=name, scopes=scopes, now=datetime.now(UTC))[1]

    def web_starts(self) -> None:
        app = create_app(self.gateway)
        server = uvicorn.Server(uvicorn.Config(app, port=self.port, log_level="warning", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run)
        thread.start()
        self._running = (app, server, thread)
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:  # backs off while nobody listens yet
            client.get(f"{self.url}/health")

    def web_stops(self) -> None:
        app, server, thread = self._running
        app.state.feed.close()
        server.should_exit = True
        thread.join()

    def gate(self, address: str, name: str, *, kind: str = "face_gate", **params: float) -> Gate:
        device = {"kind": kind, "protocol": "native", "address": address, "name": name, "building": "3号楼"}
        device |= {"params": params}
        self.admin.put(f"/v1/devices/{address.lower()}", json=device).raise_for_status()
        assert self.gateway.broker is not None
        return Gate(address, self.mqtt_port, self.gateway.broker.passwords[DEVICE_USER])

    def rows(self, query: str) -> list[Any]:
        return [tuple(row) for row in self.gateway.store.reader.execute(query)]

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for the engine's next commits; the suite's own timeout ends a wait in vain."""
        changed = threading.Event()
        self.gateway.listeners.append(changed.set)
        while not true():
            changed.wait(0.2)
            changed.clear()
        self.gateway.listeners.remove(changed.set)

    def commands(self, device: str) -> list[dict[str, Any]]:
        return list(self.admin.get("/v1/commands", params={"device": device}).json()["items"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("desk"))
    site.web_starts()
    yield site
    site.web_stops()
    site.admin.close()
    site.gateway.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture
def page(site: Site, browser: Browser) -> Iterator[Page]:
    """A page that fails the test when a script fails or the content security policy was broken."""
    context = browser.new_context(base_url=site.url, viewport={"width": 1366, "height": 768}, locale="zh-CN")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if "Content Security Policy" in m.text else None)
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    yield page
    context.close()
    assert wrong == []


@contextmanager
def _gate(site: Site, address: str, name: str, *, kind: str = "face_gate", **params: float) -> Iterator[Gate]:
    with ExitStack() as stack:
        gate = site.gate(address, name, kind=kind, **params)
        stack.callback(gate.close)
        yield gate


def _enter(page: Page, site: Site) -> None:
    page.goto(f"/#token={site.token}")
    expect(page.locator("#state")).to_have_text("实时")


def test_an_alert_appears_by_itself_and_is_acknowledged_with_the_keyboard(site: Site, page: Page) -> None:
    with _gate(site, "GATE-A", "北门") as gate:
        _enter(page, site)
        gate.event(DoorAlarmed(at=datetime.now(UTC), state=DoorAlarm.FORCED))
        row = page.locator(".row", has_text="门被强行打开").filter(has_text="北门")
        expect(row).to_be_visible()
        expect(row).to_contain_text("P1 紧急")
        expect(row).to_have_class("row s1 alarming")
        expect(page.locator("#say-now")).to_contain_text("门被强行打开")
        row.get_by_role("button").click()
        expect(page.locator(".advice ol li")).to_have_text(list(ALERT_TYPES["door_forced"].steps_zh))
        page.keyboard.press("a")
        page.get_by_role("button", name="已派人到现场").click()
        page.keyboard.press("Enter")
        expect(page.locator(".settled")).to_contain_text("已派人到现场")
        expect(row).to_contain_text("已确认")
        expect(page.locator(".history")).to_contain_text("夜班")
        [alert] = site.admin.get("/v1/alerts", params={"device": "gate-a", "type": "door_forced"}).json()["items"]
        assert (alert["acknowledged"]["by"], alert["acknowledged"]["reason"]) == ("夜班", "已派人到现场")


@pytest.mark.models
def test_a_face_taken_for_the_wrong_person_is_never_taken_for_them_again(site: Site, page: Page) -> None:
    form = {"name": "王阿姨", "consent_scope": "estate", "consent_until": "2099-01-01T00:00:00Z"}
    photo = {"photos": ("a.jpg", drawn.jpeg(drawn.face(4)), "image/jpeg")}
    person = site.admin.post("/v1/residents", data=form, files=photo, timeout=60).raise_for_status().json()["id"]
    with _gate(site, "GATE-G", "车棚门", passage_sensor=1) as gate:
        _enter(page, site)
        gate.face(drawn.jpeg(drawn.face(4, turn=0.3)))
        row = page.locator(".row", has_text="车棚门")
        expect(row).to_contain_text("开门无人通过", timeout=30_000)
        row.get_by_role("button").click()
        page.get_by_role("button", name="不是此人").click()
        expect(page.locator(".ask-once")).to_contain_text("确定现场的人不是王阿姨")
        page.get_by_role("button", name="取消").click()
        [alert] = site.admin.get("/v1/alerts", params={"device": "gate-g"}).json()["items"]
        assert alert["identified"]["person"] == person
        assert site.rows("SELECT person FROM not_them") == []
        page.get_by_role("button", name="不是此人").click()
        page.get_by_role("button", name="确认不是此人").click()
        expect(page.locator(".ask-once")).to_contain_text("已记录：不是王阿姨")
        assert site.rows("SELECT person, recorded_by FROM not_them") == [(person, "夜班")]
        gate.face(drawn.jpeg(drawn.face(4, turn=0.31)))
        seen = "SELECT json_extract(CAST(body AS TEXT), '$.outcome') FROM events WHERE type = 'face_identified'"
        site.until(lambda: len(site.rows(seen)) == 2)
        assert site.rows(seen) == [("identified",), ("unsure",)]
        page.get_by_role("button", name="English").click()
        expect(page.locator("#not-them")).to_have_text("Not this person")


def test_a_view_is_accepted_only_after_a_question_and_with_a_reason(site: Site, page: Page) -> None:
    learnt = "SELECT length(memory) FROM scenes WHERE device = 'cam-v'"
    accepted = "SELECT device FROM events WHERE type = 'scene_accepted'"
    with _gate(site, "CAM-V", "小广场摄像机", kind="camera") as camera:
        camera.picture(drawn.jpeg(drawn.face(4)))
        site.until(lambda: bool(site.rows(learnt)))
        before = site.rows(learnt)
        _enter(page, site)
        camera.event(CameraHealthChanged(at=datetime.now(UTC), fault=CameraFault.MOVED, active=True))
        row = page.locator(".row", has_text="小广场摄像机")
        expect(row).to_contain_text("摄像机移位")
        row.get_by_role("button").click()
        page.get_by_role("button", name="画面正常").click()
        expect(page.locator(".ask-once")).to_contain_text("确定现在的画面就是应有的样子")
        page.get_by_role("button", name="取消", exact=True).click()
        page.get_by_role("button", name="画面正常").click()
        page.get_by_role("button", name="确认画面正常").click()
        expect(page.locator(".ask-once")).to_contain_text("请先选择或填写原因")
        assert site.rows(accepted) == []
        page.locator("#view-reason").fill("已按新角度固定")
        page.get_by_role("button", name="确认画面正常").click()
        expect(row).to_have_count(0)
        expect(page.locator(".history")).to_contain_text("夜班 · 已按新角度固定")
        assert site.rows(learnt) < before
        page.locator("[data-view=devices]").click()
        tile = page.locator("[data-device=cam-v]")
        tile.get_by_text("更多").click()
        tile.get_by_role("button", name="画面正常").click()
        expect(page.locator("#confirm")).to_contain_text("小广场摄像机")
        page.get_by_role("button", name="确认画面正常").click()
        expect(page.locator("#confirm")).to_contain_text("结束 0 条告警")
        assert site.rows(accepted) == [("cam-v",), ("cam-v",)]
        page.keyboard.press("Escape")
        page.get_by_role("button", name="English").click()
        expect(tile.locator("[data-command=accept_view]")).to_have_text("The view is right")


def test_a_closed_alert_leaves_the_open_list(site: Site, page: Page) -> None:
    with _gate(site, "GATE-B", "南门") as gate:
        _enter(page, site)
        gate.event(DoorAlarmed(at=datetime.now(UTC), state=DoorAlarm.FORCED))
        row = page.locator(".row", has_text="南门")
        row.get_by_role("button").click()
        page.get_by_text("误报", exact=True).click()
        page.get_by_placeholder("简单说明结论").fill("住户搬家具")
        page.get_by_role("button", name="关闭告警").click()
        expect(row).to_have_count(0)
        page.get_by_role("button", name="全部").click()
        expect(row).to_contain_text("已关闭")


def test_a_gate_is_opened_once_and_only_after_a_confirmation_that_names_it(site: Site, page: Page) -> None:
    with _gate(site, "GATE-C", "东门人行") as gate:
        _enter(page, site)
        page.locator("[data-view=devices]").click()
        tile = page.locator("[data-device=gate-c]")
        expect(tile).to_contain_text("在线")
        tile.get_by_role("button", name="开门").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("东门人行")
        page.keyboard.press("Escape")
        assert site.commands("gate-c") == []
        tile.get_by_role("button", name="开门").click()
        page.get_by_role("button", name="确认开门").click()
        expect(dialog).to_contain_text("门已打开")
        expect(tile).to_contain_text("门已打开")
        [command] = site.commands("gate-c")
        assert (command["status"], command["requested_by"], gate.opened) == ("done", "夜班", 1)


def test_a_car_on_the_round_is_marked_here_or_gone(site: Site, page: Page) -> None:
    with _gate(site, "LANE-R", "西门入口", kind="barrier") as lane:
        for plate in ("苏E36915", "皖C55555"):
            lane.event(VehiclePassed(at=datetime.now(UTC), plate=plate, direction=Direction.IN))
        inside = partial(site.admin.get, "/v1/vehicles/inside")
        site.until(lambda: sum(one["overdue_since"] is not None for one in inside().json()["items"]) == 2)
        _enter(page, site)
        page.locator("[data-view=round]").click()
        first, second = page.locator("[data-vehicle=苏E36915]"), page.locator("[data-vehicle=皖C55555]")
        expect(first).to_contain_text("陌生车辆 · 已停 0 小时")
        first.get_by_role("button", name="已离场").click()
        expect(first).to_have_count(0)
        expect(page.locator("#round-said")).to_contain_text("苏E36915：已记为离场")
        second.get_by_role("button", name="在场").click()
        expect(page.locator("#round-said")).to_contain_text("皖C55555：在场且超期")
        assert [(one["plate"], one["seen_at"] is None) for one in inside().json()["items"]] == [("皖C55555", False)]


def test_a_gate_that_has_gone_offline_cannot_be_opened(site: Site, page: Page) -> None:
    with _gate(site, "GATE-D", "西门") as gate:
        _enter(page, site)
        page.locator("[data-view=devices]").click()
        button = page.locator("[data-device=gate-d] [data-command=open_passage]")
        expect(button).to_be_enabled()
        gate.leave()
        expect(button).to_be_disabled()
        page.get_by_label("只看离线").check()
        expect(page.locator("[data-device=gate-d]")).to_contain_text("离线")


def test_a_terminal_shows_its_own_list_and_is_restarted_only_after_a_question(site: Site, page: Page) -> None:
    with _gate(site, "GATE-L", "五号门"):
        body = site.admin.get("/v1/devices/gate-l").json()
        kept = {name: body[name] for name in ("kind", "protocol", "address", "name", "building")}
        site.admin.put("/v1/devices/gate-l", json={**kept, "params": {"holds_list": 1}}).raise_for_status()
        _enter(page, site)
        page.locator("[data-view=devices]").click()
        tile = page.locator("[data-device=gate-l]")
        expect(tile).to_contain_text("本机名单 0")
        tile.get_by_text("更多").click()
        expect(tile.get_by_role("button", name="抓拍")).to_be_visible()
        tile.get_by_role("button", name="重启").click()
        expect(page.locator("#confirm")).to_contain_text("确定重启这台设备？")
        page.keyboard.press("Escape")
        assert site.commands("gate-l") == []


def test_a_hostile_device_name_stays_text(site: Site, page: Page) -> None:
    with _gate(site, "GATE-E", HOSTILE) as gate:
        _enter(page, site)
        gate.event(DoorAlarmed(at=datetime.now(UTC), state=DoorAlarm.FORCED))
        row = page.locator(".row", has_text="侧门")
        expect(row).to_contain_text(HOSTILE)
        row.get_by_role("button").click()
        expect(page.locator("#detail")).to_contain_text(HOSTILE)
        page.locator("[data-view=devices]").click()
        expect(page.locator("[data-device=gate-e]")).to_contain_text(HOSTILE)
        assert page.locator("img").count() == 0


def test_what_happened_while_the_connection_was_down_is_there_afterwards(site: Site, page: Page) -> None:
    with _gate(site, "GATE-F", "后门") as gate:
        _enter(page, site)
        site.web_stops()
        expect(page.locator("#state")).to_contain_text("重连中")
        expect(page.locator("#banner")).to_contain_text("连接中断")
        gate.event(DoorAlarmed(at=datetime.now(UTC), state=DoorAlarm.FORCED))
        site.web_starts()
        expect(page.locator("#state")).to_have_text("实时", timeout=30_000)
        expect(page.locator(".row", has_text="后门")).to_be_visible()


def test_a_wrong_token_is_refused_in_words_and_not_kept(page: Page) -> None:
    page.goto("/")
    page.get_by_label("访问令牌").fill("linli_wrong")
    page.get_by_label("在这台电脑上记住").check()
    page.get_by_role("button", name="进入值班台").click()
    expect(page.get_by_role("alert").filter(has_text="令牌无效")).to_be_visible()
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


@pytest.mark.parametrize("remember", [False, True])
def test_the_token_stays_on_this_machine_only_when_asked(site: Site, page: Page, remember: bool) -> None:
    page.goto("/")
    page.get_by_label("访问令牌").fill(site.token)
    page.get_by_label("在这台电脑上记住").set_checked(remember)
    page.get_by_role("button", name="进入值班台").click()
    expect(page.locator("#state")).to_have_text("实时")
    assert page.evaluate("localStorage.getItem('linli.token')") == (site.token if remember else None)


def test_a_token_in_the_link_leaves_the_address_bar(site: Site, page: Page) -> None:
    _enter(page, site)
    assert page.url == f"{site.url}/"


def test_the_chosen_language_is_kept(site: Site, page: Page) -> None:
    _enter(page, site)
    page.get_by_role("button", name="English").click()
    expect(page.locator("#state")).to_have_text("Live")
    page.reload()
    expect(page.locator("#state")).to_have_text("Live")
    assert page.evaluate("document.documentElement.lang") == "en"


def test_the_feed_is_read_the_same_however_it_is_cut(page: Page) -> None:
    page.goto("/")
    text = 'retry: 2000\n: beat\n\nid: 7\r\nevent: alert\r\ndata: {"a":\r\ndata: 1}\r\n\r\nevent: device\ndata: 门\n\n'
    read = page.evaluate(
        """async (text) => {
          const { sseParser } = await import("/js/stream.js");
          const outcomes = new Set();
          for (let cut = 0; cut <= text.length; cut += 1) {
            const events = [];
            const feed = sseParser((event) => events.push(event));
            feed(text.slice(0, cut));
            feed(text.slice(cut));
            outcomes.add(JSON.stringify(events));
          }
          return [...outcomes].map((each) => JSON.parse(each));
        }""",
        text,
    )
    assert read == [[{"event": "alert", "id": "7", "data": '{"a":\n1}'}, {"event": "device", "id": "", "data": "门"}]]
