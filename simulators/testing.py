"""Pytest fixtures for the CI of systems that live with the gateway: `pytest_plugins = ["simulators.testing"]`.

`estate`: a seeded estate. `receiving_backend`: a running backend that checks signatures. `simulated_devices`: plays an
estate against a broker and stops it when the test ends.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from simulators.backend import Backend
from simulators.estate import Estate
from simulators.faults import Faults
from simulators.run import Run

SECRET = "whsec_" + base64.b64encode(Random(1).randbytes(32)).decode()
"""The secret `receiving_backend` trusts; another can be given through POST /control."""

StartDevices = Callable[..., Run]


@pytest.fixture
def estate() -> Estate:
    """The estate of seed 1."""
    return Estate(1)


@pytest.fixture
def receiving_backend(tmp_path: Path) -> Iterator[Backend]:
    """A backend on a free port of this machine; deliveries go to its `url`, signed with `SECRET`."""
    backend = Backend(secret=SECRET, store=tmp_path / "backend.db", testing=True)
    backend.start()
    yield backend
    backend.stop()


@pytest.fixture
def simulated_devices(estate: Estate) -> Iterator[StartDevices]:
    """`simulated_devices(broker_url, seconds=, rate=, speed=, faults=)` gives a started `Run` of `estate`."""
    with ExitStack() as runs:

        def start(
            broker_url: str,
            *,
            seconds: float = 30.0,
            rate: float = 2.0,
            speed: float = 1.0,
            faults: Faults | None = None,
        ) -> Run:
            run = Run(estate, broker=broker_url, seconds=seconds, rate=rate, speed=speed, faults=faults)
            return runs.enter_context(run)

        yield start
