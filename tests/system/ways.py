"""The ways out that a hostile program tries from within a strict unit."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from tests.system.escapes import Way, do, each, syscall
from tests.system.fleethost import STATE, STORE, UNITS, FleetHost

VICTIM, IDLE = 11502, 11503
"""The ports of a sibling with a loaded model, and of one that is stopped."""
OTHERS = ("10.99.1.2:80", "[::ffff:10.99.1.2]:80", "[fd00:99:1::2]:80", "10.99.1.1:22")
HOMES = "/var/lib/private/ollamactl-instances"
FOREIGN_CARD = {
    "/dev/nvidia0": (195, 0),
    "/srv/node0": (195, 0),
    "/dev/dri/renderD128": (226, 128),
    "/dev/kfd": (511, 0),
}
NEW = {
    "mount": 0x20000, "cgroup": 0x2000000, "UTS": 0x4000000, "IPC": 0x8000000, "user": 0x10000000,
    "PID": 0x20000000, "network": 0x40000000, "time": 0x80,
}  # fmt: skip


def ways(fleet: FleetHost) -> list[Way]:
    """All of them, for a fleet that is up."""
    return [*_siblings(fleet), *_files(fleet), *_devices(), *_network(), *_sockets(), *_privileges(), *_kernel(fleet)]


def _siblings(fleet: FleetHost) -> Iterator[Way]:
    pid = fleet.pid("victim")
    runner = int(fleet.machine.run(["pgrep", "-P", str(pid)]).stdout)
    command = fleet.machine.run(["tr", "\\0", " "], input=fleet.machine.read(f"/proc/{runner}/cmdline")).stdout.split()
    port = command[command.index("--port") + 1]
    proc = f"/proc/{pid}"
    home = f"{HOMES}/victim"
    yield Way("a sibling's files", "list, read and write its home", (
        *each("list", "path", home, "/var/lib/ollamactl-instances/victim"),
        do("read", path=f"{home}/.ollama/id_ed25519"), do("write", path=f"{home}/x", data="x"),
    ))  # fmt: skip
    secrets = each("read", "path", f"{STATE}/secrets/victim.env", f"{STATE}/secrets/hostile.env")
    yield Way("a sibling's secrets", "its file, the folder, its environment", (
        *secrets, do("list", path=f"{STATE}/secrets"), do("read", path=f"{proc}/environ"),
        do("list", path=f"{STATE}/generations"), do("read", path=f"{STATE}/compiled.json"),
    ))  # fmt: skip
    looks = ("maps", "cmdline", "root/etc/hostname", "cwd", "fd", "mem", "stack", "syscall", "ns/net")
    yield Way("a sibling's process", "/proc/PID", each("read", "path", *(f"{proc}/{name}" for name in looks)))
    vector = "x:" + struct.pack("PN", 0, 8).hex()
    yield Way("a sibling's memory", "process_vm_readv, process_vm_writev, ptrace, kcmp", (
        syscall("process_vm_readv", pid, vector, 1, vector, 1, 0),
        syscall("process_vm_writev", pid, vector, 1, vector, 1, 0),
        do("ptrace", pid=pid), syscall("kcmp", pid, pid, 0, 0, 0),
    ))  # fmt: skip
    yield Way("a sibling's life", "signals 0, STOP, TERM and KILL, to the server and its runner", (
        *each("kill", "signal", 0, 19, 15, 9, pid=pid), *each("kill", "signal", 0, 9, pid=runner),
    ))  # fmt: skip
    limits = "x:" + struct.pack("QQ", 0, 0).hex()
    yield Way("a sibling's share of the machine", "its priority, limits, CPUs, memory nodes", (
        syscall("setpriority", 0, pid, 5), syscall("prlimit64", pid, 7, limits, 0),
        syscall("sched_setaffinity", pid, 8, "x:0100000000000000"), syscall("ioprio_set", 1, pid, 0x6000),
        syscall("sched_setscheduler", pid, 3, "z:4"), syscall("migrate_pages", pid, 64, "z:8", "z:8"),
    ))  # fmt: skip
    cgroup = "/sys/fs/cgroup/system.slice/system-ollama.slice/ollama@victim.service"
    yield Way("a sibling's cgroup", "freeze it, kill it, move into it, and take its limits away", tuple(
        do("write", path=f"{cgroup}/{name}", data=data)
        for name, data in (("cgroup.freeze", "1"), ("cgroup.kill", "1"), ("cgroup.procs", "0"), ("memory.max", "max"))
    ))  # fmt: skip
    yield Way("a sibling's configuration", "its drop-in, its unit, its view, systemd's folders", (
        do("write", path=f"{UNITS}/ollama@victim.service.d/10-ollamactl.conf", data="x"),
        do("write", path=f"{UNITS}/ollama@victim.service.d/x.conf", data="x"),
        do("write", path="/run/systemd/system/x.conf", data="x"), do("mkdir", path="/run/systemd/system/x.d"),
        do("write", path=f"{STATE}/views/victim/README", data="x"), do("mkdir", path=f"{STATE}/views/victim/x"),
    ))  # fmt: skip
    yield Way("a sibling's port", "connect to it over loopback", (do("connect", address=f"127.0.0.1:{VICTIM}"),), True)
    yield Way(
        "a sibling's runner", "connect to its port on loopback", (do("connect", address=f"127.0.0.1:{port}"),), True
    )
    yield Way("the port of a stopped sibling", "listen there first", (do("listen", address=f"127.0.0.1:{IDLE}"),), True)


def _files(fleet: FleetHost) -> Iterator[Way]:
    manifests = f"{STORE}/manifests/registry.ollama.ai/library"
    blob = json.loads(fleet.machine.read(f"{manifests}/mistral/latest"))["layers"][0]["digest"].replace(":", "-")
    yield Way("the store", "write, delete and link blobs and manifests", (
        do("write", path=f"{STORE}/blobs/sha256-{'0' * 64}", data="x"), do("write",
        path=f"{manifests}/llama3/latest", data="x"),
        do("remove", path=f"{manifests}/llama3/latest"), do("link", path=f"{STORE}/blobs/x", data="/etc/shadow"),
        do("mkdir", path=f"{STORE}/x"), do("write", path=f"{STATE}/views/hostile/README", data="x"),
    ))  # fmt: skip
    yield Way("models that are not its own", "their manifests, by every path", (
        *each("read", "path", f"{manifests}/mistral/latest",
        f"{STATE}/views/victim/registry.ollama.ai/library/mistral/latest"),
        do("read", path=f"/proc/1/root{manifests}/mistral/latest"), do("list", path=f"{STATE}/views/victim"),
    ))  # fmt: skip
    yield Way(
        "the weights of other models",
        "the store's blobs, which all share",
        (do("read", path=f"{STORE}/blobs/{blob}"),),
        True,
    )
    yield Way("the users' files", "/home, /root and /run/user", each(
        "list", "path", "/home", "/root", "/run/user", "/home/ada", "/proc/1/root/home"
    ))  # fmt: skip
    yield Way("root's files", "keys, passwords, the journal", (
        *each("read", "path", "/etc/shadow", "/etc/ssl/private/key.pem", "/proc/1/environ", "/proc/1/maps"),
        *each("list", "path", "/run/log/journal", "/etc/ssl/private"),
    ))  # fmt: skip
    yield Way("the system's files", "write to /etc, /usr, /boot, /var, /run, /opt and /srv", each(
        "write", "path",
        *(f"{folder}/x" for folder in ("/etc", "/usr/local/bin", "/boot", "/var/lib", "/var/log", "/run", "/opt",
        "/srv", "/")),
        data="x",
    ))  # fmt: skip
    yield Way("places that everybody may write to", "/run/lock and the host's /tmp and /var/tmp", (
        do("write", path="/run/lock/x", data="x"), do("read", path="/tmp/of-the-host"), do("read",
        path="/var/tmp/of-the-host"),
    ))  # fmt: skip
    yield Way("ollamactl's lock", "open it, to hold up every apply", (
        *each("open", "mode", "r", "w", path="/run/lock/ollamactl.lock"), do("remove",
        path="/run/lock/ollamactl.lock"),
    ))  # fmt: skip
    yield Way("shared memory", "files in the host's /dev/shm, read and written", (
        do("read", path="/dev/shm/of-the-host"), do("list", path="/dev/shm/folder-of-the-host"),
    ))  # fmt: skip
    yield Way("what every local user may read", "/etc/passwd, programs, who listens and is connected", each(
        "read", "path", "/etc/passwd", "/usr/bin/env", "/proc/net/tcp", "/proc/net/unix", "/proc/meminfo"
    ), True)  # fmt: skip


def _devices() -> Iterator[Way]:
    opens = [do("open", path=path, mode="rw") for path in FOREIGN_CARD]
    nodes = [do("mknod", path="/tmp/card", major=major, minor=minor) for major, minor in FOREIGN_CARD.values()]
    yield Way(
        "another instance's card", "its nodes, copies of them elsewhere, and nodes of its own making", (*opens, *nodes)
    )
    memory = ("mem", "kmem", "port", "kmsg", "nvram", "kcore")
    yield Way("memory and log of the kernel", "/dev/mem, /dev/port, /dev/kmsg", each(
        "open", "path", *(f"/dev/{name}" for name in memory), mode="rw"
    ))  # fmt: skip
    yield Way("other devices", "/dev/kvm, disks, tun, fuse, loop, input, vfio, the host's terminals", each(
        "open", "path", *(f"/srv/dev/{name}" for name in DEVICES), mode="rw"
    ))  # fmt: skip


DEVICES = {
    "kvm": "c 10 232", "disk": "b 8 0", "loop0": "b 7 0", "tun": "c 10 200", "fuse": "c 10 229",
    "loop-control": "c 10 237",
    "input": "c 13 64", "vfio": "c 10 196", "tty1": "c 4 1", "console": "c 5 1", "uinput": "c 10 223",
    "hpet": "c 10 228",
}  # fmt: skip
"""Nodes that the lab makes, as a driver or an udev rule could, open to everybody."""


def _network() -> Iterator[Way]:
    connects = each("connect", "address", *OTHERS, timeout_ms=300)
    yield Way(
        "other machines and the host's own addresses",
        "TCP over IPv4, over IPv6, and over one in the clothes of the other",
        connects,
    )
    yield Way("other machines", "UDP over IPv4", (do("datagram", address="10.99.1.2:53"),))
    yield Way("names", "the resolver at 127.0.0.53, TCP and UDP", (
        do("connect", address="127.0.0.53:53", timeout_ms=300), do("datagram", address="127.0.0.53:53"),
    ))  # fmt: skip
    families = {"netlink": (16, 3, 0), "packets": (17, 3, 0), "VSOCK": (40, 1, 0), "ALG": (38, 5, 0), "KEY": (15, 3,
    2),
                "Bluetooth": (31, 3, 1), "CAN": (29, 3, 1), "XDP": (44, 3, 0), "TIPC": (30, 2, 0)}  # fmt: skip
    yield Way(
        "other families of sockets",
        ", ".join(families),
        tuple(syscall("socket", *numbers) for numbers in families.values()),
    )
    yield Way("raw IP", "SOCK_RAW over IPv4 and IPv6, and ping sockets that reach out", (
        syscall("socket", 2, 3, 1), syscall("socket", 10, 3, 58), do("ping", address="10.99.1.2"),
    ))  # fmt: skip
    yield Way("local services", "connect to what listens on loopback", (do("connect", address="127.0.0.1:8080"),), True)


def _sockets() -> Iterator[Way]:
    yield Way("the system bus (D-Bus)", "connect, and through it to systemd and the resolver", each(
        "converse", "path", "/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"
    ))  # fmt: skip
    line = do("converse", path="/run/systemd/journal/socket", kind="unixgram", data="41")
    yield Way("the journal", "write lines of its own", (line,), True)
    yield Way("systemd", "its private socket, and to notify it", (
        do("converse", path="/run/systemd/private"), do("converse", path="/run/systemd/notify", kind="unixgram",
        data="41"),
    ))  # fmt: skip
    yield Way("systemd's services", "Varlink: users, host name, udev, the resolver", each(
        "converse", "path", "/run/systemd/userdb/io.systemd.DynamicUser", "/run/systemd/io.systemd.Hostname",
        "/run/systemd/resolve/io.systemd.Resolve", "/run/udev/control",
        "/run/systemd/userdb/io.systemd.NameServiceSwitch",
    ))  # fmt: skip
    yield Way(
        "daemons that only their group may reach",
        "a socket 0660, as Docker's",
        (do("converse", path="/run/group.sock"),),
    )
    public = "daemons that every local user may reach"
    yield Way(public, "a socket 0666 in /run", (do("converse", path="/run/public.sock"),))
    yield Way(public, "a socket 0666 in another place", (do("converse", path="/srv/public.sock"),), True)
    yield Way("abstract sockets of the host", "connect to @name", (do("converse", path="@of-the-host"),), True)


def _privileges() -> Iterator[Way]:
    yield Way("root", "setuid, setresuid, setgroups, and capabilities", (
        do("setuid", uid=0), syscall("setresuid", 0, 0, 0), syscall("setgroups", 1, "z:8"),
        syscall("capset", "x:" + struct.pack("II", 0x20080522, 0).hex(), "x:" + "ffffffff" * 6),
        syscall("prctl", 47, 2, 21, 0, 0),
    ))  # fmt: skip
    home = "/var/lib/ollamactl-instances/hostile"
    yield Way("setuid programs", "to make one, with mode bits or file capabilities", (
        syscall("fchmodat", -100, f"{home}/.ollama/id_ed25519", 0o4755),
        syscall("setxattr", f"{home}/.ollama/id_ed25519", "security.capability", "x:" + "01000002" + "ff" * 16, 20,
        0),
    ))  # fmt: skip
    yield Way(
        "setuid programs",
        "to run root's",
        (do("run", path="/usr/bin/su", arg=["-c", "id"]), do("run", path="/srv/setuid-cat", arg=["/etc/shadow"])),
    )
    yield Way("new namespaces", ", ".join(NEW), each("unshare", "flags", *NEW.values()))
    yield Way("namespaces of others", "setns into systemd's by /proc and by pidfd", (
        do("open", path="/proc/1/ns/mnt"), syscall("setns", 3, 0),
    ))  # fmt: skip
    yield Way("keyrings", "the session's, to add a key, to look for one", (
        syscall("keyctl", 0, -3, 1), syscall("add_key", "user", "x", "x", 1, -4), syscall("request_key", "user",
        "x", 0, 0),
    ))  # fmt: skip
    yield Way("memory that is written, then run", "mmap and mprotect", (
        do("mmap"), syscall("mprotect", 0, 4096, 7),
    ))  # fmt: skip
    yield Way("real time", "a scheduler that starves the machine", (
        syscall("sched_setscheduler", 0, 1, "x:01000000"), syscall("sched_setscheduler", 0, 2, "x:01000000"),
    ))  # fmt: skip
    yield Way("objects of System V and POSIX queues of the host", "the same keys and names", (
        syscall("shmget", 0x6C6162, 0, 0), syscall("msgget", 0x6C6162, 0), syscall("semget", 0x6C6162, 0, 0),
        syscall("mq_open", "of-the-host", 0, 0, 0),
    ))  # fmt: skip


def _kernel(fleet: FleetHost) -> Iterator[Way]:
    yield Way("mounts", "mount, umount, pivot_root, chroot, fsopen, open_tree, mount_setattr", (
        syscall("mount", "tmpfs", "/tmp", "tmpfs", 0, 0), syscall("mount", "none", "/", 0, 0x1020, 0),
        syscall("umount2", STORE, 2),
        syscall("pivot_root", "/tmp", "/tmp"), syscall("chroot", "/tmp"), syscall("fsopen", "tmpfs", 0),
        syscall("open_tree", -100, "/", 1), syscall("mount_setattr", -100, STORE, 0, "z:32", 32),
    ))  # fmt: skip
    yield Way("modules and another kernel", "init_module, finit_module, delete_module, kexec_load, reboot", (
        syscall("init_module", "z:8", 8, ""), syscall("finit_module", 0, "", 0), syscall("delete_module", "x", 0),
        syscall("kexec_load", 0, 0, 0, 0), syscall("reboot", 0xFEE1DEAD, 672274793, 0),
    ))  # fmt: skip
    yield Way("programs in the kernel", "bpf, perf_event_open, userfaultfd, io_uring", (
        syscall("bpf", 0, "x:" + struct.pack("IIII", 2, 4, 4, 1).hex() + "00" * 56, 72), syscall("bpf", 5, "z:128",
        128),
        syscall("perf_event_open", "x:" + struct.pack("IIQ", 1, 112, 0).hex() + "00" * 96, 0, -1, -1, 0),
        syscall("userfaultfd", 0), syscall("io_uring_setup", 1, "z:120"),
    ))  # fmt: skip
    yield Way("the clock and the name of the machine", "settimeofday, clock_settime, adjtimex, sethostname", (
        syscall("settimeofday", "x:" + struct.pack("qq", 1, 0).hex(), 0), syscall("clock_settime", 0, "z:16"),
        syscall("adjtimex", "x:" + struct.pack("I", 2).hex() + "00" * 256), do("sethostname", name="x"),
        syscall("setdomainname", "x", 1),
    ))  # fmt: skip
    yield Way(
        "the kernel's log", "syslog, /proc/kmsg", (syscall("syslog", 3, "z:64", 64), do("open", path="/proc/kmsg"))
    )
    yield Way("settings of the kernel", "/proc/sys, /proc/sysrq-trigger, /sys, debugfs, tracefs, bpffs", (
        *(do("write", path=path, data="1") for path in (
            "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward",
            "/proc/sysrq-trigger",
            "/sys/power/state", "/sys/kernel/uevent_helper", "/sys/kernel/mm/ksm/run", "/sys/fs/cgroup/cgroup.procs",
            "/proc/sys/vm/drop_caches", "/proc/self/loginuid",
        )),
        *each("list", "path", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/fs/bpf"),
    ))  # fmt: skip
    yield Way("the kernel's memory", "/proc/kcore, /proc/PID/pagemap of others", each(
        "open", "path", "/proc/kcore", f"/proc/{fleet.pid('victim')}/pagemap"
    ))  # fmt: skip
    yield Way("its own fences", "cgroup, OOM score, limits, seccomp, personality, foreign system calls", (
        do("write", path="/sys/fs/cgroup/system.slice/system-ollama.slice/ollama@hostile.service/memory.max",
        data="max"),
        do("write", path="/proc/self/oom_score_adj", data="-1000"),
        syscall("prlimit64", 0, 7, "x:" + struct.pack("QQ", 1 << 30, 1 << 30).hex(), 0), syscall("personality",
        0x0040000),
    ))  # fmt: skip
    yield Way("files by handle, quotas, accounting, swap",
    "open_by_handle_at, fanotify_init, quotactl, acct, swapon", (
        syscall("open_by_handle_at", -100, "z:128", 0), syscall("fanotify_init", 0, 0), syscall("quotactl",
        0x80000700, 0, 0, 0),
        syscall("acct", "/tmp/x"), syscall("swapon", "/tmp/x", 0), syscall("vhangup"),
    ))  # fmt: skip
