"""How the processes of a run meet: what is wrong with a meeting is one line in every process."""

from __future__ import annotations

import itertools
import socket
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from idc_jax.errors import UserError
from idc_jax.hosts import (
    AUTO,
    Meeting,
    by_rows,
    count,
    fail,
    group,
    leads,
    meet,
    meeting,
    share,
    tell,
    told,
)
from idc_jax.hosts.lines import Line, packed, unpacked

ABOUT = {"budget": 10, "classes": ["a", "b"], "rate": 0.5}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def come_together(*abouts, processes=None, numbers=None, seconds=5.0):
    """What each process makes of the meeting: its lines, or the error's text."""
    address, found = f"localhost:{free_port()}", {}
    processes = processes or [len(abouts)] * len(abouts)
    numbers = numbers or range(len(abouts))

    def one(place, about):
        wanted = Meeting(address, processes[place], numbers[place], seconds)
        try:
            if numbers[place] == 0:
                server = meeting._server(wanted)
                found[place] = meeting._gather(wanted, server, about)
            else:
                found[place] = meeting._join(wanted, about)
        except UserError as error:
            found[place] = str(error)

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(abouts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def hang_up(*lines):
    for line in itertools.chain.from_iterable(one.values() for one in lines):
        line.close()


def test_all_come_together_and_hear_where_the_sums_are_made():
    found = come_together(ABOUT, ABOUT, ABOUT)
    assert sorted(found[0][0]) == [1, 2]
    assert list(found[1][0]) == [0]
    assert found[0][1] == found[1][1] == found[2][1]
    assert found[1][1]["address"].startswith("localhost:")
    # What is said along a line comes out at its other end.
    said = {"x": np.arange(3), "y": [None, 1.5, "z"]}
    found[0][0][2].send("value", said)
    kind, value = found[2][0][0].receive()
    assert kind == "value"
    assert value["y"] == said["y"]
    np.testing.assert_array_equal(value["x"], said["x"])
    hang_up(*(lines for lines, _ in found.values()))


def test_other_options_are_named_in_every_process():
    found = come_together(ABOUT, {**ABOUT, "budget": 20})
    assert found[0] == found[1]
    assert found[0].startswith("budget is 20 in process 1 on ")
    assert found[0].endswith(" and 10 in process 0; give all the same")


def test_another_number_of_processes_is_named():
    found = come_together(ABOUT, ABOUT, processes=[2, 3])
    assert found[0] == found[1]
    assert found[0].startswith("--processes is 3 in process 1")


def test_a_number_given_twice_is_named():
    found = come_together(ABOUT, ABOUT, ABOUT, numbers=[0, 1, 1])
    assert set(found.values()) == {"--process=1 was given to two processes; each needs its own"}


def test_who_does_not_come_is_named():
    found = come_together(ABOUT, ABOUT, processes=[4, 4], seconds=0.5)
    assert found[0] == found[1]
    assert found[0].startswith("2 of 4 processes did not come to")
    assert found[0].endswith("within 0 s: --process=2, 3")


def test_nobody_there_is_one_line():
    address = f"localhost:{free_port()}"
    with pytest.raises(UserError, match=f"{address} was not reached within 0 s .*refused"):
        meeting._join(Meeting(address, 2, 1, 0.3), ABOUT)


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("localhost", 0)) as taken:
        address = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=r"process 0 cannot wait there .*; use another port"):
            meeting._server(Meeting(address, 2, 0))


def test_strangers_are_not_waited_for():
    address = f"localhost:{free_port()}"
    wanted = Meeting(address, 2, 0, 10.0)
    server, found = meeting._server(wanted), {}
    thread = threading.Thread(target=lambda: found.update(x=meeting._gather(wanted, server, ABOUT)))
    thread.start()
    host, port = address.split(":")
    for rubbish in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 7 + b"\5hello", b"\xff" * 64):
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(rubbish)
    with socket.create_connection((host, int(port))) as stranger:
        Line(stranger, "").send("hello", {"process": "x", "host": 1})
    joined, _ = meeting._join(wanted._replace(process=1), ABOUT)
    thread.join(30)
    gathered, _ = found["x"]
    assert list(gathered) == [1]
    hang_up(joined, gathered)


@pytest.mark.parametrize(
    ("wanted", "told_"),
    [
        (Meeting("here", 2, 0), "--coordinator=here is not a HOST:PORT"),
        (Meeting("here:0", 2, 0), "is not a HOST:PORT"),
        (Meeting("here:x", 2, 0), "is not a HOST:PORT"),
        (Meeting("here:99999", 2, 0), "is not a HOST:PORT"),
        (Meeting("here:1234"), "needs --processes"),
        (Meeting("here:1234", 2), "--process is -1; it must be from 0 to 1, each once"),
        (Meeting("here:1234", 2, 2), "--process is 2; it must be from 0 to 1, each once"),
    ],
)
def test_a_meeting_that_cannot_be_is_one_line(wanted, told_):
    with pytest.raises(UserError, match=told_):
        meet(wanted, ABOUT)


def test_alone_there_is_nobody_to_tell(capsys):
    assert count() == 1
    assert leads()
    assert told(lambda: 3) == 3
    tell({"nobody": 1})
    assert fail("error: it", 2) == 2
    assert capsys.readouterr().err == "error: it\n"


def test_half_a_message_is_no_message():
    with pytest.raises(EOFError):
        unpacked(packed({"x": np.arange(9)})[:-3])


def test_what_was_heard_is_kept_by_nobody_else():
    """The listener waits for the next message, perhaps for an hour."""
    with socket.create_server(("localhost", 0)) as server:
        there = socket.create_connection(server.getsockname())
        here, _ = server.accept()
    listening = group._Group(0, 2, {1: Line(here, "process 1")})
    said = Line(there, "process 0")
    said.send(group.VALUE, np.arange(9))
    heard = weakref.ref(value := listening.hear())
    del value
    until = time.monotonic() + 10
    while heard() is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert heard() is None
    said.send(group.END, None)


def test_auto_is_a_coordinator():
    assert Meeting(AUTO).coordinator == "auto"


@pytest.mark.parametrize(("total", "size"), [(10, 3), (2, 4), (0, 2), (7, 1)])
def test_every_row_is_looked_at_once(monkeypatch, total, size):
    seen = []
    for process in range(size):
        monkeypatch.setattr(group, "_GROUP", SimpleNamespace(process=process, size=size))
        seen += np.arange(total)[share(total)].tolist()
    assert seen == list(range(total))


def test_one_process_looks_at_all_rows():
    np.testing.assert_array_equal(by_rows(lambda rows: np.arange(5)[rows], 5), np.arange(5))
