"""`bench gates`: ten gates send a face each second, in all, while the ingest path runs beside them.

From the publish of a snapshot to the gateway's decision on whose face it is: broker, journal, worker process, gallery.
Every second person is enrolled, the others are strangers; no picture is sent twice. The limit is the same pictures
through the same worker process with nothing else going on.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import ground, latency
from devices.events import evidence_key
from devices.model import Device
from gateway.directory import Directory
from gateway.evidence import Evidence
from gateway.residents import Enrolment, Face
from gateway.settings import load
from gateway.store import Store
from gateway.vault import Vault
from simulators.estate import Estate
from simulators.image import alive
from simulators.pictures import Pictures
from vision.faces import ENROL, FaceEngine
from vision.gallery import Gallery
from vision.pool import Pool
from vision.types import FaceFound

GATES = 10
PEOPLE = 20
ANSWER_WITHIN_S = 20.0
Figures = dict[str, Any]
Shot = tuple[str, bytes]
"""A gate's address and the picture it sends."""


def run(seconds: float, rate: float, beside: int, folder: Path | None) -> Figures:
    """`beside`: other messages a second; `folder`: JPEG photographs of one face each in place of drawings."""
    people = portraits(folder)
    shots = [
        (f"GATE-{n % GATES}", alive(people[n % len(people)], n)) for n in range(int(rate * seconds))
    ]  # drawn beforehand: it takes longer than looking at them
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name, ground.broker(Path(name) / "broker") as port:
        config = ground.settings_file(Path(name), port, faces={"workers": 1})
        ground.register(config, [*gates(), *latency.devices()])
        enrolled = enrol(config, people[::2])
        gateway = ground.GatewayProcess(config)
        try:
            ground.say(f"{rate:g} faces a second for {seconds:g} s, {beside} other messages a second beside them")
            sent, others = publish(port, shots, rate, beside)
            answers = answered(config, len(sent))
            stored = ground.count(config)
        finally:
            gateway.stop()
    took = [(answers[key][0] - at).total_seconds() * 1000 for key, at in sent.items() if key in answers]
    alone = by_itself([image for _, image in shots[:40]])
    figures = latency.spread(took)
    return {
        "name": "gates",
        "sent": len(sent),
        "answered": len(took),
        "lost": len(sent) - len(took),
        "p50_ms": figures["p50"],
        "p99_ms": figures["p99"],
        "max_ms": figures["max"],
        "outcomes": dict(Counter(outcome for _, outcome in answers.values())),
        "enrolled": enrolled,
        "others_sent": others,
        "events_stored": stored,
        "alone_ms": alone,
        "ratio": round(figures["p50"] / alone["p50"], 2),
    }


def portraits(folder: Path | None) -> list[bytes]:
    """One picture of each person."""
    if folder is not None:
        return [path.read_bytes() for path in sorted(folder.glob("*.jp*g"))]
    estate = Estate(1)
    pictures = Pictures(estate)
    return [pictures.portrait(person, 0) for person in itertools.islice(estate.people, PEOPLE)]


def gates() -> list[Device]:
    names = [f"GATE-{n}" for n in range(GATES)]
    return [Device(id=name, kind="face_gate", protocol="native", address=name, community="bench") for name in names]


def enrol(config: Path, people: list[bytes]) -> int:
    """Those whose picture is good enough, straight into the register."""
    settings = load(config)
    vault, store = Vault.at(settings.data / "keys"), Store(settings.database)
    directory = Directory(store, vault, Gallery(), zone=settings.zone, community=settings.community)
    directory.load()
    eyes, now = FaceEngine(ENROL), datetime.now(UTC)
    done = 0
    for n, image in enumerate(people):
        look = eyes.look(image)
        if isinstance(look, FaceFound):
            resident = Enrolment(
                name=f"Resident {n}",
                building="1",
                scope="estate",
                until=now + timedelta(days=1),
                recorded_by="bench",
                faces=(Face(image=image, embedding=look.embedding),),
            )
            directory.enrol(resident, Evidence(settings.data / "evidence", vault), now)
            done += 1
    store.close()
    return done


def publish(port: int, shots: list[Shot], rate: float, beside: int) -> tuple[dict[str, datetime], int]:
    """When each picture was sent, by its key; and how many other messages were."""
    seconds = len(shots) / rate
    command = [sys.executable, "-m", "benchmarks.paced", str(port), str(beside), str(seconds), "cards"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as crowd:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-gates", protocol=paho.MQTTv311)
        client.on_socket_open = ground.at_once
        connected = threading.Event()
        client.on_connect = lambda *_: connected.set()
        client.connect("127.0.0.1", port)
        client.loop_start()
        connected.wait(10)
        sent: dict[str, datetime] = {}
        begin = time.monotonic()
        for n, (address, image) in enumerate(shots):
            time.sleep(max(0.0, begin + n / rate - time.monotonic()))
            now = datetime.now(UTC)
            event = {"type": "face_captured", "at": now.isoformat().replace("+00:00", "Z")}
            body = {"id": f"g{n:08d}", "event": event, "image": base64.b64encode(image).decode()}
            sent[evidence_key(image)] = now
            last = client.publish(f"linli/v1/{address}/event", msgspec.json.encode(body), qos=1)
        last.wait_for_publish(30)
        client.disconnect()
        client.loop_stop()
        said, _ = crowd.communicate(timeout=60)
    return sent, len(said.splitlines())


def answered(config: Path, expected: int) -> dict[str, tuple[datetime, str]]:
    """When the gateway knew whose face a picture shows, and what it found, by the picture's key."""
    give_up = time.monotonic() + ANSWER_WITHIN_S
    found: dict[str, tuple[datetime, str]] = {}
    with contextlib.closing(sqlite3.connect(f"file:{load(config).database}?mode=ro", uri=True, timeout=10)) as db:
        while len(found) < expected and time.monotonic() < give_up:
            time.sleep(0.25)
            rows = db.execute("SELECT received_at, body FROM events WHERE type = 'face_identified'").fetchall()
            for received_at, body in rows:
                said = json.loads(body)
                found[said["evidence"]] = (datetime.fromtimestamp(received_at / 1e6, UTC), said["outcome"])
    return found


def by_itself(images: list[bytes]) -> Figures:
    """The same pictures through a worker process, one after another, with nothing else going on."""
    pool = Pool(1, warm=("face",))
    try:
        pool.submit("face", images[0], deadline_s=60).result(60)
        took = []
        for image in images:
            begin = time.monotonic()
            pool.submit("face", image, deadline_s=60).result(60)
            took.append((time.monotonic() - begin) * 1000)
    finally:
        pool.close()
    return latency.spread(took)
