"""Strikes a process at a chosen one of its file operations; Python imports this wherever its folder leads
PYTHONPATH. Processes of one role (the command, its workers) count together, in a file of one byte each.

``ARMED`` holds: role, number of the operation, what happens, folder that counts, counter file.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.utime", "os.truncate"}
ROLE, NUMBER, ACTION, FOLDER, COUNTER = os.environ["ARMED"].split("\n")
LOG = os.open(COUNTER, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
write = os.write


def strike():
    signals = {"kill": [9], "int": [signal.SIGINT], "int2": [signal.SIGINT] * 2, "term": [signal.SIGTERM]}
    for number in signals.get(ACTION, ()):
        os.kill(os.getpid(), number)
        time.sleep(0.01)  # so that the first is not taken for the second
    if ACTION == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
    elif ACTION in {"flip", "truncate"}:
        harm(max(Path(FOLDER, "store").glob("??/*.safetensors"), key=lambda one: one.stat().st_mtime_ns))


def harm(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(bytes(content[: None if ACTION == "flip" else len(content) // 2]))


def count():
    """Count an operation; return whether it is the chosen one."""
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] >= 0:
        return False  # struck: not even the counter has room
    write(LOG, b".")
    return os.lseek(LOG, 0, os.SEEK_END) == int(NUMBER)


def watch(event, arguments):
    if event in EVENTS and str(arguments[0]).startswith(FOLDER) and count():
        strike()


def write_half(descriptor, data):
    if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(FOLDER) and count():
        write(descriptor, memoryview(data)[: len(data) // 2])
        strike()
        data = memoryview(data)[len(data) // 2 :]
        return len(data) + write(descriptor, data)
    return write(descriptor, data)


# the process that workers are forked from counts as one of them; it uses no file of the folder
if any("multiprocessing" in word for word in sys.orig_argv) == (ROLE == "worker"):
    sys.addaudithook(watch)
    os.write = write_half
