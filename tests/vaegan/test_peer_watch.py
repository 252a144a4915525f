"""Processes whose main threads wait in vain, as under NCCL, end with a line once another one is lost."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from vaegan.peer_watch import accept_peers, connect_to_main, open_server

from ..forked.ports import find_free_port

GRACE_SECONDS = 1.0
LOST = "vaegan: another process of this launch has ended; go on with --resume\n"
ALONE = """
import sys, time
from vaegan import peer_watch
from vaegan.peer_watch import *
peer_watch.GRACE_SECONDS = {grace}
rank, world, port = map(int, sys.argv[1:4])
secret = bytes.fromhex(sys.argv[4])
if rank == 0:
    server, (port, secret) = open_server()
    print(port, secret.hex(), flush=True)
    connections = accept_peers(server, secret, world - 1)
else:
    connections = [connect_to_main("localhost", port, secret)]
line = "another process of this launch has ended; go on with --resume"
watch = PeerWatch(connections, lambda: end_process(line, rank))
print("ready", flush=True)
{work}
"""
"""What each process does that is given rank, number of processes, port and secret."""
IN_A_GROUP = """
import time, torch
from vaegan import distributed, peer_watch
peer_watch.GRACE_SECONDS = {grace}
torch.distributed.get_backend = lambda *group: "nccl"  # which the watch is for; gloo carries its first messages
distributed.init_process_group()
with distributed.report_lost_ranks("go on with --resume"):
    print("ready", flush=True)
    {work}
"""
"""The same in a process group."""
WAIT = "time.sleep(600)"
LEAVE = "time.sleep(0 if rank == 1 else 4 * peer_watch.GRACE_SECONDS); watch.leave()"
EXIT = "sys.exit() if rank == 1 else time.sleep(4 * peer_watch.GRACE_SECONDS)"
RAISE = "1 / 0 if rank == 1 else time.sleep(600)"
ABANDON = "watch.abandon() if rank == 1 else time.sleep(600)"


def open_process(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def start(work: str, world: int = 3) -> list[subprocess.Popen[str]]:
    """Start processes that watch each other and then do some work, and return them when all watch."""
    script = ALONE.format(grace=GRACE_SECONDS, work=work)
    processes = [open_process(script, "0", str(world), "0", "")]
    address = processes[0].stdout.readline().split()
    processes += [open_process(script, str(rank), str(world), *address) for rank in range(1, world)]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.communicate()
    return processes


def check_others_end(processes: list[subprocess.Popen[str]], lost: int) -> None:
    """Check that all others end with the line, after the seconds in which they could have said something else."""
    begin = time.monotonic()
    for rank, process in enumerate(processes):
        if rank != lost:
            err = process.communicate(timeout=60)[1]
            assert (process.returncode, err) == (1, LOST if rank == 0 else f"[rank {rank}] {LOST}")
    assert GRACE_SECONDS / 2 <= time.monotonic() - begin < 30


@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_process_ends_those_that_wait_for_it(lost: int) -> None:
    processes = start(WAIT)
    processes[lost].send_signal(signal.SIGKILL)
    check_others_end(processes, lost)


@pytest.mark.parametrize("work", [RAISE, ABANDON])
def test_a_process_that_fails_alone_is_lost(work: str) -> None:
    processes = start(work)
    assert "ZeroDivisionError" in processes[1].communicate(timeout=60)[1] or work == ABANDON
    check_others_end(processes, 1)


@pytest.mark.parametrize("work", [LEAVE, EXIT])
def test_a_process_that_has_done_its_work_is_not_lost(work: str) -> None:
    for process in start(work):
        assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)


def test_strangers_are_sent_away() -> None:
    server, (port, secret) = open_server()
    strangers = [socket.create_connection(("localhost", port)) for _ in range(2)]
    strangers[0].sendall(bytes(len(secret)))
    strangers[1].close()
    with connect_to_main("localhost", port, secret) as friend:
        (accepted,) = accept_peers(server, secret, 1)
        assert accepted.getpeername()[:2][1] == friend.getsockname()[1]
        assert strangers[0].recv(1) == b""
        assert friend.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) and friend.gettimeout() is None
    for connection in (accepted, *strangers):
        connection.close()


@pytest.mark.long
def test_processes_of_a_group_watch_each_other() -> None:
    meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(find_free_port()), "WORLD_SIZE": "3"}
    script = IN_A_GROUP.format(grace=GRACE_SECONDS, work=WAIT)
    processes = [
        open_process(script, **meeting, RANK=str(rank), LOCAL_RANK=str(rank), ACCELERATE_USE_CPU="true")
        for rank in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.communicate()
    processes[1].send_signal(signal.SIGKILL)
    check_others_end(processes, 1)
