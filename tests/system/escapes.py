"""How a hostile program in the place of a server tries something, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.system.fleethost import FleetHost
from tests.system.inside import attempt

HOSTILE = 11501
"""The port of the hostile server."""
_NUMBERS = {  # name: x86-64, AArch64
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "reboot": (169, 142), "swapon": (167, 224), "bpf": (321, 280), "perf_event_open": (298, 241), "acct": (163, 89),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "setdomainname": (171, 162), "personality": (135, 92), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "fsopen": (430, 430), "open_tree": (428, 428), "mount_setattr": (442, 442), "capset": (126, 91),
    "setresuid": (117, 147), "setgroups": (116, 159), "setpriority": (141, 140), "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "ioprio_set": (251, 30),
    "migrate_pages": (256, 238), "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "socket": (41, 198), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "fchmodat": (268, 53), "setxattr": (188, 5), "mknodat": (259, 33), "prctl": (157, 167),
    "mprotect": (10, 226), "memfd_create": (319, 279), "vhangup": (153, 58), "quotactl": (179, 60),
    "sched_setattr": (314, 274), "lookup_dcookie": (212, 18), "flock": (73, 32),
}  # fmt: skip
_MACHINE = 0 if os.uname().machine == "x86_64" else 1


@dataclass(frozen=True)
class Try:
    """One thing that the stand-in does; the parameters are those of tests/standin/try.go."""

    op: str
    given: dict[str, Any]

    def at(self, fleet: FleetHost, port: int = HOSTILE) -> str:
        """What came of it: the name of an error, or nothing where it was let; `port` is the hostile server's."""
        return attempt(fleet, port, self.op, **self.given).errno


@dataclass(frozen=True)
class Way:
    """A way out: what the program is after, and how it tries to get it."""

    after: str
    how: str
    tries: tuple[Try, ...]
    open: bool = False
    """It is known to be open."""


def do(op: str, **given: object) -> Try:
    return Try(op, given)


def syscall(name: str, *arguments: object) -> Try:
    """A system call; a text is a pointer to it, `z:SIZE` to zeros, a number itself."""
    texts = [each if isinstance(each, int) or str(each)[1:2] == ":" else f"s:{each}" for each in arguments]
    return Try("syscall", {"nr": _NUMBERS[name][_MACHINE], "arg": texts})


def each(op: str, key: str, *values: object, **fixed: object) -> tuple[Try, ...]:
    return tuple(do(op, **fixed, **{key: value}) for value in values)


def results(fleet: FleetHost, ways: Sequence[Way], port: int = HOSTILE) -> list[tuple[Way, list[str]]]:
    """What came of the tries of each way; an empty word is: it was let."""
    tries = [one for way in ways for one in way.tries]
    with ThreadPoolExecutor(8) as pool:
        found = iter(pool.map(lambda one: one.at(fleet, port), tries))
        return [(way, [next(found) for _ in way.tries]) for way in ways]
