"""The guard of a rehearsal looks for cars on a round and for an alert, and says what truly is there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from devices.events import Direction, VehiclePassed
from devices.model import Device
from gateway.rehearsal import Changed, Line, Parked, Rehearsal, Rounded, Setup, Told
from gateway.settings import Policies, Settings

START = datetime(2026, 6, 1, 16, tzinfo=UTC)
LANE = Device(id="in-1", kind="barrier", protocol="native", address="I1", community="score", direction="in")
PLATE = "苏E36915"


def rehearsed(folder: Path, *, here: bool, still_there: float) -> list[Line]:
    """A stranger comes in; three days later."""
    end = START + timedelta(days=9) if here else START + timedelta(hours=2)
    setup = Setup(
        now=START,
        devices=(LANE,),
        settings=Settings(community="score", policies=Policies(still_there=still_there)),
        parked=(Parked(plate=PLATE, start=START, end=end),),
    )
    run = Rehearsal(msgspec.json.decode(msgspec.json.encode(setup), type=Setup), folder)
    event = VehiclePassed(at=START, plate=PLATE, direction=Direction.IN)
    said = list(run.tell(Told(at=START, device="in-1", record="r1", event=event)))
    said += run.until(START + timedelta(days=3))
    run.close()
    return said


@pytest.mark.parametrize(
    ("here", "still_there", "looks", "raised", "ends"),
    [
        (True, 0.99, [(34, True, False)], 1, False),
        (False, 0.99, [(34, False, False)], 0, False),
        (True, 0.5, [(24.5, True, True)], 1, False),
        (False, 0.5, [(24.5, False, True)], 1, True),
    ],
)
def test_the_guard_looks_once_and_says_what_is_there(
    tmp_path: Path, *, here: bool, still_there: float, looks: list[tuple[float, bool, bool]], raised: int, ends: bool
) -> None:
    said = rehearsed(tmp_path, here=here, still_there=still_there)
    rounds = [one for one in said if isinstance(one, Rounded)]
    assert [((one.at - START) / timedelta(hours=1), one.here, one.alert) for one in rounds] == looks
    changes = [one for one in said if isinstance(one, Changed) and one.type == "unknown_stays"]
    assert sum(one.change == "raised" for one in changes) == raised
    assert any(one.change == "cleared" for one in changes) is ends
