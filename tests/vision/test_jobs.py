from hypothesis import given
from hypothesis import strategies as st

from vision.jobs import LANES, PATIENCE, Queue, Ticket
from vision.types import Job, Kind, NoFace, NoPlate

kinds = st.lists(st.sampled_from(["face", "plate", "enrol"]), max_size=150)


def test_scenes_are_looked_at_when_nobody_waits() -> None:
    queue = Queue(100)
    tickets = [ticket(kind) for kind in ("scene", "plate", "scene", "face", "plate")]
    assert all(queue.put(t) for t in tickets)
    assert [t.job.kind for t in drain(queue)] == ["face", "plate", "plate", "scene", "scene"]


def ticket(kind: Kind) -> Ticket:
    return Ticket(Job(kind, b""), due=0.0)


def drain(queue: Queue) -> list[Ticket]:
    return [taken for _ in range(len(queue)) if (taken := queue.take())]


@given(kinds)
def test_gates_go_first_enrolment_last_and_nobody_waits_for_good(wanted: list[Kind]) -> None:
    queue = Queue(1000)
    tickets = [ticket(kind) for kind in wanted]
    assert all(queue.put(t) for t in tickets)
    out = drain(queue)
    for kind in LANES:
        assert [t for t in out if t.job.kind == kind] == [t for t in tickets if t.job.kind == kind]
    for i, taken in enumerate(out):
        kind = taken.job.kind
        before = LANES[: LANES.index(kind)]
        if any(t.job.kind in before for t in out[i:]):
            passed = [t.job.kind for t in out[max(0, i - PATIENCE[kind]) : i]]
            assert len(passed) == PATIENCE[kind], f"{kind} before its turn"
            assert kind not in passed
        for lane, most in PATIENCE.items():
            waited = [t.job.kind for t in out[i : i + most + 2]]
            last_left = any(t.job.kind == lane for t in out[i:])
            assert not last_left or lane in waited or len(waited) < most + 2, f"{lane} passed over too often"


def test_a_face_at_a_gate_goes_before_a_hundred_photographs_to_enrol() -> None:
    queue = Queue(100)
    taken = [queue.put(ticket("enrol")) for _ in range(100)]
    assert (taken.count(True), taken.index(False)) == (25, 25), "and they leave room"
    at_the_gate = ticket("face")
    queue.put(at_the_gate)
    assert queue.take() is at_the_gate


def test_a_full_queue_refuses_and_takes_again_when_there_is_room() -> None:
    queue = Queue(2)
    first = ticket("face")
    assert [queue.put(t) for t in (first, ticket("plate"), ticket("face"))] == [True, True, False]
    queue.discard(first)
    assert queue.put(ticket("face"))


def test_a_job_put_back_is_the_next_and_is_marked_as_tried() -> None:
    queue = Queue(1)
    queue.put(ticket("face"))
    again = ticket("face")
    assert queue.put_back(again)
    assert queue.take() is again
    assert again.tried


def test_a_closed_queue_hands_over_what_waits_and_wakes_who_waits() -> None:
    queue = Queue(2)
    waiting = ticket("plate")
    queue.put(waiting)
    assert queue.close() == [waiting]
    assert queue.take() is None
    assert not queue.put(ticket("face"))
    assert not queue.put_back(waiting)


def test_a_ticket_is_answered_once_and_lets_go_of_its_image() -> None:
    asked = Ticket(Job("face", b"image"), due=0.0)
    assert asked.answer(NoFace())
    assert not asked.answer(NoPlate())
    assert asked.future.result() == NoFace()
    assert asked.job.image == b""
