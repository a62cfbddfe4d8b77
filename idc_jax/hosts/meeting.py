"""How the processes of a run find each other, and agree on what they are about."""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.experimental.compilation_cache import compilation_cache

from idc_jax.errors import UserError, printable
from idc_jax.hosts import group
from idc_jax.hosts.group import FAIL
from idc_jax.hosts.lines import Line, packed, unpacked
from idc_jax.hosts.service import apart

AUTO = "auto"
"""What --coordinator says where the cluster knows the processes."""
UNSAID = -1
"""Stands for a number that nobody gave."""
# A process that introduces itself says no more than this: a stranger's bytes are not waited for.
_LONGEST_HELLO = 1 << 24


class Meeting(NamedTuple):
    """Where processes meet.

    Attributes:
      coordinator: ``"HOST:PORT"``, where process 0 waits for the others; ``"auto"`` where SLURM,
        a TPU pod, Kubernetes or Open MPI started them.
      processes: how many; counted by the cluster for ``"auto"``.
      process: which of them this is, from 0.
      seconds: how long they wait for each other.
    """

    coordinator: str
    processes: int = UNSAID
    process: int = UNSAID
    seconds: float = 300.0


def meet(meeting: Meeting, about: Mapping[str, Any]) -> None:
    """Bring the processes together, before anything is computed.

    Args:
      meeting: where.
      about: what all processes have to agree on: plain values by name.

    Raises:
      UserError: a meeting that cannot be, an address that nobody can use or reach, a process that
        does not come, or one that is about something else.
    """
    by_hand = meeting.coordinator != AUTO
    if by_hand:
        _check(meeting)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if not by_hand:
        meeting, server = _meet_by_cluster(meeting)
    else:
        server = _server(meeting) if meeting.process == 0 else None
    if meeting.processes == 1:
        return
    if server is not None:
        lines, welcome = _gather(meeting, server, about)
    else:
        lines, welcome = _join(meeting, about)
    group.join(meeting.process, meeting.processes, lines)
    if by_hand:
        with apart():
            jax.distributed.initialize(
                welcome["address"],
                meeting.processes,
                meeting.process,
                cluster_detection_method="deactivate",
                coordinator_bind_address=welcome["address"] if _at_home(meeting) else None,
            )
    _compile_anew_on_cpus()
    # The devices' own lines are laid while all are here: later, one may keep the others waiting
    # for longer than the library's patience.
    multihost_utils.sync_global_devices("met")


def _compile_anew_on_cpus() -> None:
    """Have CPUs' programs compiled by each process that runs them.

    In what the compilation cache gives back, XLA has lost that a program's exchanges go one after
    the other: those that need nothing of each other come in any order, and another process takes
    one for the other.
    """
    if jax.default_backend() == "cpu":
        jax.config.update("jax_enable_compilation_cache", False)
        # JAX looks at it once.
        compilation_cache.reset_cache()


def _check(meeting: Meeting) -> None:
    told = f"--coordinator={meeting.coordinator}"
    host, colon, port = meeting.coordinator.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 2**16):
        raise UserError(f"{told} is not a HOST:PORT; give the address of process 0, or {AUTO}")
    if meeting.processes < 1:
        raise UserError(f"{told} needs --processes, how many there are: at least 1")
    if not 0 <= meeting.process < meeting.processes:
        last = meeting.processes - 1
        raise UserError(f"--process is {meeting.process}; it must be from 0 to {last}, each once")


def _split(meeting: Meeting) -> tuple[str, int]:
    host, _, port = meeting.coordinator.rpartition(":")
    return host.strip("[]"), int(port)


def _at_home(meeting: Meeting) -> bool:
    return _split(meeting)[0] in ("localhost", "127.0.0.1", "::1")


def _meet_by_cluster(meeting: Meeting) -> tuple[Meeting, socket.socket | None]:
    """Have JAX find the processes, and process 0 say where its lines begin."""
    try:
        with contextlib.redirect_stderr(io.StringIO()), apart():
            jax.distributed.initialize(initialization_timeout=int(meeting.seconds))
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        raise UserError(
            f"--coordinator={AUTO} finds no SLURM, TPU pod, Kubernetes or Open MPI ({error}); "
            "give --coordinator=HOST:PORT --processes=N --process=I"
        ) from error
    process = jax.process_index()
    server = _server(meeting._replace(coordinator="0.0.0.0:0")) if process == 0 else None
    waits_at = np.int32(0 if server is None else server.getsockname()[1])
    port = int(multihost_utils.broadcast_one_to_all(waits_at))
    # JAX says nowhere else where process 0 is.
    from jax._src.distributed import global_state

    host = (global_state.coordinator_address or "localhost:0").rpartition(":")[0]
    found = Meeting(f"{host}:{port}", jax.process_count(), process, meeting.seconds)
    return found, server


def _server(meeting: Meeting) -> socket.socket:
    host, port = _split(meeting)
    # Only a name of this machine's own is bound to: behind others there may be a translation.
    bound = host if _at_home(meeting) else ""
    try:
        return socket.create_server((bound, port), backlog=128)
    except OSError as error:
        raise UserError(
            f"--coordinator={meeting.coordinator}: process 0 cannot wait there "
            f"({error.strerror or error}); use another port"
        ) from error


def _gather(
    meeting: Meeting, server: socket.socket, about: Mapping[str, Any]
) -> tuple[dict[int, Line], dict[str, Any]]:
    """Wait for all others, and tell each that it is welcome."""
    until = time.monotonic() + meeting.seconds
    lines: dict[int, Line] = {}
    with server:
        while len(lines) < meeting.processes - 1:
            try:
                server.settimeout(max(until - time.monotonic(), 0.001))
                connection, _ = server.accept()
            except TimeoutError:
                raise _refused(lines, _missing(meeting, lines)) from None
            connection.settimeout(10)
            line = Line(connection, "somebody")
            try:
                _, hello = line.receive(_LONGEST_HELLO)
                process, host = int(hello["process"]), printable(str(hello["host"]))
            except (EOFError, ValueError, TypeError, KeyError):
                # No process of ours.
                line.close()
                continue
            line.name = f"process {process} on {host}"
            wrong = _disagreement(meeting, about, hello, line.name)
            if process in lines or process == 0:
                wrong = f"--process={process} was given to two processes; each needs its own"
            if wrong:
                raise _refused({**lines, UNSAID: line}, wrong)
            lines[process] = line
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    host = meeting.coordinator.rpartition(":")[0]
    welcome = {"address": f"{host}:{port}", "host": socket.gethostname()}
    for line in lines.values():
        line.send("welcome", welcome)
    return lines, welcome


def _missing(meeting: Meeting, lines: Mapping[int, Line]) -> str:
    absent = [str(n) for n in range(1, meeting.processes) if n not in lines]
    few = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
    return (
        f"{len(absent)} of {meeting.processes} processes did not come to "
        f"{meeting.coordinator} within {meeting.seconds:.0f} s: --process={few}"
    )


def _refused(lines: Mapping[int, Line], told: str) -> UserError:
    for line in lines.values():
        with contextlib.suppress(OSError):
            line.send(FAIL, [told, 2])
        line.close()
    return UserError(told)


def _disagreement(
    meeting: Meeting, about: Mapping[str, Any], hello: Mapping[str, Any], name: str
) -> str:
    """What another process is about that this one is not, in one line; empty for nothing."""
    ours = {**about, "--processes": meeting.processes}
    theirs = {**hello["about"], "--processes": hello["processes"]}
    # As MessagePack returns them.
    ours = unpacked(packed(ours))
    for option in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(option, "nothing"), theirs.get(option, "nothing")
        if here != there:
            return f"{option} is {there!r} in {name} and {here!r} in process 0; give all the same"
    return ""


def _join(meeting: Meeting, about: Mapping[str, Any]) -> tuple[dict[int, Line], dict[str, Any]]:
    """Come to process 0."""
    line = Line(_connection(meeting), f"process 0 at {meeting.coordinator}")
    hello = {
        "process": meeting.process,
        "processes": meeting.processes,
        "host": socket.gethostname(),
        "about": dict(about),
    }
    try:
        line.send("hello", hello)
        kind, value = line.receive()
    except (EOFError, OSError) as error:
        line.close()
        raise UserError(
            f"--coordinator={meeting.coordinator} hung up: process 0 was stopped, or something "
            "else answers there"
        ) from error
    if kind == FAIL:
        line.close()
        raise UserError(value[0])
    line.name = f"process 0 on {printable(str(value['host']))}"
    return {0: line}, value


def _connection(meeting: Meeting) -> socket.socket:
    until, reason = time.monotonic() + meeting.seconds, ""
    while (left := until - time.monotonic()) > 0:
        try:
            connection = socket.create_connection(_split(meeting), timeout=left)
        except OSError as error:
            # Process 0 may come later.
            reason = error.strerror or str(error)
            time.sleep(0.2)
            continue
        # It welcomes when the last has come.
        connection.settimeout(meeting.seconds + 30)
        return connection
    raise UserError(
        f"--coordinator={meeting.coordinator} was not reached within {meeting.seconds:.0f} s "
        f"({reason}); process 0 has to run there"
    )
