"""What the service manager refused, or why it does not answer, as an error that tells the operator what to do."""

import errno
import os

from ollamactl.errors import HostError, NotPermitted

_LOOK = "look with: journalctl -b -u init.scope -n 20"
_SILENT = (
    "the running servers go on; see how it is: systemctl status init.scope, and journalctl -b -p err -n 20; "
    "where PID 1 is frozen, only a restart of the host helps"
)
_HINTS = {
    "DiskFull": "make room on /run (`df -h /run` shows it), then the same command again; the running servers go on",
}


def unreachable(reason: str) -> HostError:
    """Nothing answers where the system's manager should."""
    if not os.path.isdir("/run/systemd/system"):  # noqa: PTH112 -- sd_booted(3)
        return HostError(
            f"this host does not run systemd (there is no /run/systemd/system): {reason}",
            hint="ollamactl needs it as PID 1; to prepare an image offline, use --root DIR",
        )
    return HostError(
        f"cannot reach systemd, neither at /run/systemd/private nor over the bus: {reason}",
        hint="root needs no bus: type it with sudo; see how the bus is: systemctl status dbus.socket dbus.service",
    )


def silent(seconds: float) -> HostError:
    """It is there and says nothing."""
    return HostError(f"systemd hangs: it did not answer within {seconds:.0f} s", hint=_SILENT)


def translated(what: str, number: int, name: str, message: str) -> HostError | NotPermitted:
    """A call that failed; `name` is the error's on the bus."""
    text = f"{name} {message}".strip()
    number = abs(number)
    if number in (errno.EPERM, errno.EACCES) or "AccessDenied" in text or "InteractiveAuthorization" in text:
        return NotPermitted(f"systemd refuses {what} to this user", hint="run the same command with sudo")
    if number == errno.ETIMEDOUT or name.endswith((".NoReply", ".Timeout", ".TimedOut")):
        return HostError(f"systemd hangs: it did not answer {what} in time ({message})", hint=_SILENT)
    return HostError(f"systemd: {what}: {text}", hint=_HINTS.get(name.rpartition(".")[2], _LOOK))
