from hypothesis import given
from hypothesis import strategies as st

from vision.jobs import PLATE_EVERY, Queue, Ticket
from vision.types import Job, Kind, NoFace, NoPlate

kinds = st.lists(st.sampled_from(["face", "plate", "enrol"]), max_size=40)


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
def test_faces_go_first_and_no_plate_waits_for_more_than_three_of_them(wanted: list[Kind]) -> None:
    queue = Queue(100)
    tickets = [ticket(kind) for kind in wanted]
    assert all(queue.put(t) for t in tickets)
    out = drain(queue)
    for lane in (["face", "enrol"], ["plate"]):
        assert [t for t in out if t.job.kind in lane] == [t for t in tickets if t.job.kind in lane]
    plates = wanted.count("plate")
    for i, taken in enumerate(out):
        faces_left = any(t.job.kind != "plate" for t in out[i:])
        if taken.job.kind == "plate" and faces_left:
            assert i % PLATE_EVERY == PLATE_EVERY - 1
        if taken.job.kind != "plate" and i % PLATE_EVERY == PLATE_EVERY - 1:
            assert sum(t.job.kind == "plate" for t in out[:i]) == plates


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
