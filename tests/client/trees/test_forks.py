"""Work that processes share: each piece is done once, errors come home, and nobody stays behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from custody.errors import ContentError, RefusedError
from custody.trees.crew import Crew
from custody.trees.forks import forkable, processors, side_by_side
from custody.trees.tickets import MOST, Tickets

# Other threads of the process that runs the tests do nothing that the forks need.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_every_ticket_is_drawn_once_however_many_processes_draw() -> None:
    tickets = Tickets(MOST)
    drawn: list[int] = []

    def draw(_: int) -> list[int]:
        return list(iter(tickets.draw, None))

    def first(number: int) -> object:
        mine = draw(number)
        if number:
            return mine
        drawn.extend(mine)
        return None

    side_by_side(first, drawn.extend, 3)
    tickets.close()
    assert sorted(drawn) == list(range(MOST))


def test_no_ticket_is_left_once_they_are_void() -> None:
    tickets = Tickets(10)
    assert tickets.draw() == 0
    tickets.void()
    assert tickets.draw() is None
    tickets.close()


def test_more_jobs_than_tickets_are_all_done() -> None:
    done: list[int] = []
    jobs = [lambda tool, number=number: tool.append(number) for number in range(MOST * 2 + 7)]
    crew: Crew[list[int]] = Crew(lambda: done, lambda _: None, jobs)
    crew.work(3)
    crew.close()
    assert sorted(done) == list(range(MOST * 2 + 7))


def test_the_first_failure_ends_the_work() -> None:
    done: list[int] = []

    def fail(_: object) -> None:
        raise ContentError("no")

    jobs = [fail, *(lambda tool, number=number: tool.append(number) for number in range(50))]
    crew: Crew[list[int]] = Crew(lambda: done, lambda _: None, jobs)
    with pytest.raises(ContentError, match="no"):
        crew.work(1)
    crew.close()
    assert done == []


def test_an_error_of_a_fork_comes_home_whole() -> None:
    def fail(number: int) -> object:
        if number:
            raise RefusedError(403, "it is not yours", slug="forbidden", hint="ask")
        return None

    with pytest.raises(RefusedError, match="it is not yours") as caught:
        side_by_side(fail, lambda _: None, 2)
    assert (caught.value.code, caught.value.slug, caught.value.hint) == (403, "forbidden", "ask")


def test_an_error_that_cannot_travel_is_told() -> None:
    class OwnError(Exception):
        pass

    def fail(number: int) -> object:
        if number:
            raise OwnError("of its own kind")
        return None

    with pytest.raises(ContentError, match="of its own kind"):
        side_by_side(fail, lambda _: None, 2)


def test_a_fork_that_is_killed_is_an_error() -> None:
    def vanish(number: int) -> object:
        if number:
            os.kill(os.getpid(), 9)
        return None

    with pytest.raises(ContentError, match="killed"):
        side_by_side(vanish, lambda _: None, 2)


def test_no_fork_outlives_an_error_of_the_first_process() -> None:
    reader, writer = os.pipe()
    forks: list[int] = []

    def work(number: int) -> object:
        if number:
            os.write(writer, b"%9d" % os.getpid())
            threading.Event().wait()
        forks.extend(int(os.read(reader, 9)) for _ in range(2))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, lambda _: None, 3)
    os.close(writer)
    os.close(reader)
    assert len(set(forks)) == 2
    assert all(map(gone, forks))


def test_a_process_with_other_threads_is_not_forked() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        assert not forkable()
    finally:
        release.set()
        thread.join()
    assert processors() >= 1


def alone(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run what would disturb other tests of this process."""
    command = [sys.executable, "-c", script, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


_ORPHAN = """
import os, sys, threading
from custody.trees.forks import side_by_side
from custody.trees.tickets import Tickets
tickets = Tickets(1000)
ready, tell = os.pipe()
def work(number):
    if number == 0:
        os.read(ready, 1)
        os.kill(os.getpid(), 9)
    parent = os.getppid()
    tickets.draw()
    os.write(tell, b"x")
    while os.getppid() == parent:
        threading.Event().wait(0.01)
    print("left" if tickets.draw() is None else "went on", flush=True)
side_by_side(work, print, 2)
"""


@pytest.mark.slow
def test_a_fork_takes_no_more_work_once_its_parent_is_dead() -> None:
    done = alone(_ORPHAN)
    assert (done.returncode, done.stdout) == (-9, "left\n")


_INTERRUPTED_FORK = """
import os, signal
from custody.trees.forks import side_by_side
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    side_by_side(lambda number: number, print, 3)
except KeyboardInterrupt:
    print("interrupted")
try:
    print("left", os.waitpid(-1, 0))
except ChildProcessError:
    print("nobody is left", signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


@pytest.mark.slow
def test_an_interrupt_while_a_fork_is_made_leaves_nobody() -> None:
    done = alone(_INTERRUPTED_FORK)
    assert (done.stderr, done.stdout) == ("", "interrupted\nnobody is left set()\n")


_ENDS_TAKEN_AWAY = """
import os, signal, sys, threading
from custody.trees.forks import side_by_side
ignored = sys.argv[1] == "ignored"
if ignored:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
found = []
def absorb(number):
    found.append(number)
    if not ignored:
        os.waitpid(-1, 0)
side_by_side(lambda number: number, absorb, 3)
print(sorted(found), flush=True)
def fail(number):
    if number:
        threading.Event().wait()
    raise ValueError
try:
    side_by_side(fail, print, 3)
except ValueError:
    print("failed")
try:
    print("left", os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("nobody is left")
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ignored", "waited for"])
def test_forks_whose_end_somebody_takes_away_are_as_good_as_others(how: str) -> None:
    done = alone(_ENDS_TAKEN_AWAY, how)
    assert (done.stderr, done.stdout) == ("", "[1, 2]\nfailed\nnobody is left\n")


_MUCH_TO_SAY = """
import os, threading
from custody.trees.forks import side_by_side
parent = os.getpid()
def work(number):
    if number == 0:
        os.kill(parent, 9)
    while os.getppid() == parent:
        threading.Event().wait(0.01)
    os.write(1, b"%d\\n" % os.getpid())
    return bytes(1 << 20)
side_by_side(work, print, 3)
"""


@pytest.mark.slow
def test_a_fork_with_much_to_say_ends_though_its_parent_is_dead() -> None:
    command = [sys.executable, "-c", _MUCH_TO_SAY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        forks = [int(running.stdout.readline()) for _ in range(2)]
        try:
            # What it prints to is closed once nobody is left that has it open.
            assert select.select([running.stdout], [], [], 30)[0], "a fork never ended"
        finally:
            for pid in forks:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
