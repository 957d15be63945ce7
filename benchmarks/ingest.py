"""`bench ingest`: durable QoS 1 events a second of the whole path, against a bare paho subscriber on the same broker.

Both drain the same backlog of a persistent session while the publisher is idle, so that each is measured at its own
limit: the bare one counts messages, ours decodes, decides, commits with fsync and then acknowledges.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import ground
from benchmarks.publisher import DEVICES
from devices.model import Device


def run(messages: int, *, rounds: int, soak: int, peer: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        folder = Path(name)
        with ground.broker(folder / "broker") as port:
            config = ground.settings_file(folder, port)
            ground.register(config, [_gate(n) for n in range(DEVICES)])
            ground.GatewayProcess(config).stop()  # once, so that its session exists and gathers
            _bare(port, 0)
            ours, bare, cpu = [], [], []
            for n in range(rounds):
                ground.say(f"round {n + 1} of {rounds}: filling {messages} messages")
                publish(port, messages, n * messages)
                bare.append(_bare(port, messages)["rate"])
                rate, cpu_us = _drain(config, messages)
                ours.append(rate)
                cpu.append(cpu_us)
                ground.say(f"bare {bare[-1]}/s, ours {ours[-1]}/s")
            figures: dict[str, Any] = {
                "name": "ingest",
                "ours_per_s": sorted(ours)[rounds // 2],
                "bare_paho_per_s": sorted(bare)[rounds // 2],
                "cpu_us_per_message": sorted(cpu)[rounds // 2],
                "messages": messages,
                "rounds": rounds,
                "ratio": round(sorted(o / b for o, b in zip(ours, bare, strict=True))[rounds // 2], 3),
            }
            if soak:
                figures |= _soak(config, port, soak, rounds * messages)
    if peer:
        figures |= _against_peer(figures["ours_per_s"], figures["cpu_us_per_message"], rounds)
    return figures


def _against_peer(ours_per_s: int, cpu_us: float, rounds: int) -> dict[str, Any]:
    from benchmarks import peer  # noqa: PLC0415 - it stands on this module

    figures = peer.run(10_000, seconds=6, rounds=rounds)
    return figures | {
        "ratio_to_peer": round(ours_per_s / figures["peer_per_s"], 1),
        "cpu_ratio_to_peer": round(figures["peer_cpu_us_per_message"] / cpu_us, 1),
        "latency_ratio_to_peer": round(figures["ours_latency_ms"]["p99"] / figures["peer_latency_ms"]["p99"], 3),
    }


def _gate(n: int) -> Device:
    return Device(id=f"gate-{n:02d}", kind="face_gate", protocol="native", address=f"gate-{n:02d}", community="bench")


def publish(port: int, messages: int, first: int) -> None:
    command = [sys.executable, "-m", "benchmarks.publisher", str(port), str(messages), str(first)]
    subprocess.run(command, check=True)


def _bare(port: int, messages: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bare", str(port), str(messages)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout) if messages else {}
    return result


def _drain(config: Path, messages: int) -> tuple[int, float]:
    """Start the gateway on a backlog; its rate and its processor time a message (us) between first and last tenth."""
    before = ground.count(config)
    gateway = ground.GatewayProcess(config)
    samples: list[tuple[float, int, float]] = []
    give_up = time.monotonic() + 60 + messages / 500
    try:
        while time.monotonic() < give_up:
            samples.append((time.monotonic(), ground.count(config) - before, gateway.cpu_s()))
            if samples[-1][1] >= messages:
                break
            time.sleep(0.05)
    finally:
        gateway.stop()
    stored = samples[-1][1]
    if stored < messages:
        raise SystemExit(f"only {stored} of {messages} messages were stored")
    low = next(s for s in samples if s[1] >= messages * 0.1)
    high = next(s for s in samples if s[1] >= messages * 0.9)
    done = max(high[1] - low[1], 1)
    return round(done / max(high[0] - low[0], 1e-6)), round((high[2] - low[2]) / done * 1e6, 1)


def _soak(config: Path, port: int, messages: int, first: int) -> dict[str, Any]:
    """A million messages live: is memory flat? Compared: the second tenth with the last."""
    before = ground.count(config)
    gateway = ground.GatewayProcess(config)
    command = [sys.executable, "-m", "benchmarks.publisher", str(port), str(messages), str(first)]
    publisher = subprocess.Popen(command)
    memory: list[float] = []
    try:
        while (stored := ground.count(config) - before) < messages:
            memory.append(gateway.rss_mb())
            if len(memory) % 60 == 0:
                ground.say(f"{stored} of {messages}, {memory[-1]:.0f} MB")
            if publisher.poll() not in (None, 0):
                raise SystemExit("the publisher failed")
            time.sleep(0.5)
    finally:
        ground.end(publisher)
        gateway.stop()
    tenth = max(1, len(memory) // 10)
    early = sorted(memory[tenth : 2 * tenth])[tenth // 2]
    late = sorted(memory[-tenth:])[tenth // 2]
    return {
        "soak_messages": messages,
        "rss_early_mb": round(early, 1),
        "rss_late_mb": round(late, 1),
        "rss_change": round(late / early - 1, 4),
    }
