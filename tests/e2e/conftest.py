"""Fixtures of the outermost ring: real processes, a real broker, real HTTP."""

from collections.abc import Iterator

import pytest

from tests.e2e.running import RunningGateway, running


@pytest.fixture(scope="module")
def running_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One gateway for a whole module: `linli run` on free ports with its embedded broker, without vision."""
    with running(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway
