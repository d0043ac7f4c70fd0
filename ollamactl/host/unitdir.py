"""The files and enablement links that are ollamactl's, on this host or below another root: read, written, removed.

A file is ours by its marker line, or by lying in our own state folder. Nothing else is ever overwritten or removed.
"""

# ruff: noqa: PTH115, PTH116, PTH120
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ollamactl import clearing
from ollamactl.errors import HostError
from ollamactl.facts import Layout
from ollamactl.files import MARKER, File, FileKind, ObservedFile
from ollamactl.host import atomic, unitlinks
from ollamactl.host.oserrors import translate
from ollamactl.model import GATE_UNITS, HEAL_SERVICE, HEAL_TIMER, TARGET, TEMPLATE, instance_name, socket_instance

DROP_IN = "10-ollamactl.conf"

_MARKER = MARKER.encode()


class UnitDir:
    """The places of ollamactl's files. Paths in and out are those of the running host, without the root.

    Every method raises NotPermitted or HostError, and leaves no file half-written.
    """

    def __init__(self, root: Path = Path("/"), layout: Layout | None = None) -> None:
        self._root = "" if root == Path("/") else os.path.realpath(root)
        self._layout = layout or Layout()

    def read(self, path: str) -> bytes | None:
        """The file's bytes, None where there is none."""
        real = self._real(path)
        try:
            return _bytes(real)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise translate(error, "read", real) from error

    def mode(self, path: str) -> int | None:
        """The file's permission bits, None where there is none."""
        real = self._real(path)
        try:
            return stat.S_IMODE(os.stat(real).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise translate(error, "read", real) from error

    def write(self, file: File) -> None:
        """Writes one file atomically; see write_all."""
        self.write_all([file])

    def write_all(self, files: Sequence[File]) -> None:
        """Writes the files atomically and durably, with their modes from the start; all are on disk before one counts.

        Refuses all of them where one would replace something that is not ollamactl's.
        """
        real = [(self._real(file.path), file) for file in files]
        for path, file in real:
            self._check_place(path, file)
        if any(file.kind is FileKind.SECRETS for file in files):
            self._close_secrets()
        atomic.write([atomic.Write(path, file.data, file.mode) for path, file in real])

    def _close_secrets(self) -> None:
        """Makes the folder of secrets, or makes one root's alone that is not: others shall not even see the names."""
        real = self._real(self._layout.secrets)
        try:
            atomic.make_folders(real)
            Path(real).chmod(0o700)
        except OSError as error:
            raise translate(error, "close", real) from error

    def remove(self, path: str) -> None:
        """Removes a file of ours, and its folder when that was ours and is empty now; no file is no error."""
        real = self._real(path)
        seen = self._observe(path, real)
        if seen and not (seen.ours or atomic.is_temporary(real)):
            raise _foreign(real, "removed")
        try:
            if seen:
                os.unlink(real)  # noqa: PTH108
            for folder in self._emptied(path):
                os.rmdir(f"{self._root}{folder}")  # noqa: PTH106
        except OSError as error:
            if seen and os.path.lexists(real):
                raise translate(error, "remove", real) from error

    def clear(self) -> None:
        """Removes the servers' homes, and our own folders where they are empty: the last thing of a fleet."""
        layout = self._layout
        folders = (*self._drop_in_folders(layout), f"{layout.unit_dir}/{TARGET}.wants")
        clearing.clear(layout, folders, self._real)

    def managed(self, layout: Layout | None = None) -> Mapping[str, ObservedFile]:
        """Whatever lies where ollamactl puts files, by path: ours, and what others put there.

        Of others' also a full unit of an instance's name, which takes the template's place (systemd.unit(5)).
        """
        layout = layout or self._layout
        found = {}
        if self._closed(layout.secrets):  # the folder stands for all that is in it
            found[layout.secrets] = ObservedFile(path=layout.secrets, data=b"", ours=True, unread=True)
        exposed = (self.mode(layout.secrets) or 0) & 0o077 != 0
        below = [path for folder in (layout.secrets, layout.views) for path in self._files_below(folder)]
        for path in (*self._paths(layout), *(path for path in below if not atomic.is_temporary(path))):
            if file := self._observe(path, self._real(path), layout):
                found[path] = replace(file, exposed=exposed and path.startswith(f"{layout.secrets}/"))
        for path in self._leftovers(layout, below):
            found[path] = ObservedFile(path=path, data=b"", ours=True, leftover=True)
        return found

    def wanted(self, layout: Layout | None = None) -> tuple[str, ...]:
        """The units of ours that the fleet's target pulls in."""
        folder = f"{(layout or self._layout).unit_dir}/{TARGET}.wants"
        names = (entry.name for entry in self._scan(folder))
        ours = (name for name in names if instance_name(name) or socket_instance(name) or name == HEAL_TIMER)
        return tuple(sorted(ours))

    def target_enabled(self, layout: Layout | None = None) -> bool:
        """Whether the fleet's target is pulled in at boot, or at login for the user's manager."""
        return os.path.lexists(self._real(self._link(TARGET, layout or self._layout)))

    def enable(self, unit: str) -> None:
        """Makes the link that `systemctl enable` would make, without a manager."""
        link = self._real(self._link(unit, self._layout))
        target = f"{self._layout.unit_dir}/{TEMPLATE if instance_name(unit) else unit}"
        try:
            atomic.make_folders(os.path.dirname(link))
            if not os.path.lexists(link):
                os.symlink(target, link)  # noqa: PTH211
        except OSError as error:
            raise translate(error, "enable", link) from error

    def disable(self, unit: str) -> None:
        """Removes that link; no link is no error, and what is not a link stays."""
        link = self._real(self._link(unit, self._layout))
        try:
            if os.path.islink(link):  # noqa: PTH114
                os.unlink(link)  # noqa: PTH108
        except OSError as error:
            raise translate(error, "disable", link) from error

    def unlink(self, links: Mapping[str, str]) -> None:
        """Takes away the links that start somebody else's service, where the spec says so (unitlinks)."""
        unitlinks.check(self._layout.unit_dir, links)
        unitlinks.remove(links)

    def relink(self, links: Mapping[str, str]) -> None:
        """Puts them back."""
        unitlinks.check(self._layout.unit_dir, links)
        unitlinks.restore(links)

    def _leftovers(self, layout: Layout, below: Iterable[str]) -> tuple[str, ...]:
        """Temporary files that a killed run left behind; `below` are those in the folders of secrets and views."""
        folders = [layout.unit_dir, layout.state_dir, *self._drop_in_folders(layout)]
        found = [f"{folder}/{entry.name}" for folder in folders for entry in self._scan(folder)]
        found += [*below, *self._files_below(layout.generations)]
        return tuple(sorted(path for path in found if atomic.is_temporary(path)))

    def _paths(self, layout: Layout) -> Iterator[str]:
        """Every path in the folder of units that may hold a file of ours, or something in its stead."""
        for name in (TEMPLATE, TARGET, HEAL_SERVICE, HEAL_TIMER, *GATE_UNITS):
            yield f"{layout.unit_dir}/{name}"
        for entry in self._scan(layout.unit_dir):
            if socket_instance(entry.name):
                yield f"{layout.unit_dir}/{entry.name}"
            if entry.name.startswith("ollama@"):
                path = f"{layout.unit_dir}/{entry.name}"
                if entry.name.endswith(".service.d"):
                    yield f"{path}/{DROP_IN}"
                elif instance_name(entry.name):
                    yield path

    def _drop_in_folders(self, layout: Layout) -> list[str]:
        names = (entry.name for entry in self._scan(layout.unit_dir))
        return [f"{layout.unit_dir}/{n}" for n in names if n.startswith("ollama@") and n.endswith(".service.d")]

    def _files_below(self, folder: str) -> Iterator[str]:
        for entry in self._scan(folder):
            path = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._files_below(path)
            else:
                yield path

    def _closed(self, folder: str) -> bool:
        """Whether it is there, but the caller may not look into it."""
        real = self._real(folder)
        return os.path.isdir(real) and not os.access(real, os.R_OK | os.X_OK, effective_ids=True)  # noqa: PTH112

    def _scan(self, folder: str) -> "list[os.DirEntry[str]]":
        real = self._real(folder)
        if folder in (self._layout.secrets, self._layout.generations) and self._closed(folder):
            return []
        try:
            with os.scandir(real) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise translate(error, "list", real) from error

    def _observe(self, path: str, real: str, layout: Layout | None = None) -> ObservedFile | None:
        """What lies at a path; a link or another thing than a file counts as somebody else's."""
        try:
            fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if os.path.islink(real):  # noqa: PTH114
                return ObservedFile(path=path, data=os.fsencode(os.readlink(real)), ours=False, mode=0o777)
            if isinstance(error, PermissionError) and path.startswith(f"{(layout or self._layout).secrets}/"):
                mode = stat.S_IMODE(os.lstat(real).st_mode)
                return ObservedFile(path=path, data=b"", ours=True, mode=mode, unread=True)
            raise translate(error, "read", real) from error
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                return ObservedFile(path=path, data=b"", ours=False, mode=stat.S_IMODE(about.st_mode))
            data = atomic.read(fd)
        finally:
            os.close(fd)
        ours = data.startswith(_MARKER) or path.startswith(f"{(layout or self._layout).state_dir}/")
        return ObservedFile(path=path, data=data, ours=ours, mode=stat.S_IMODE(about.st_mode))

    def _check_place(self, real: str, file: File) -> None:
        for folder in self._own_folders(file):
            if os.path.islink(folder):  # noqa: PTH114
                message = f"{folder} is a symbolic link to {os.readlink(folder)}, and ollamactl writes through none"
                raise HostError(message, hint=f"remove the link, or move what it is for: `ls -l {folder}`")
        seen = self._observe(file.path, real)
        if seen and not (seen.ours or (file.kind is FileKind.VIEW and stat.S_ISREG(os.lstat(real).st_mode))):
            raise _foreign(real, "overwritten")

    def _own_folders(self, file: File) -> Iterator[str]:
        """Folders above a file that ollamactl makes, and that are never links; those above them may be."""
        parent, layout = os.path.dirname(file.path), self._layout
        tops = {FileKind.DROP_IN: parent, FileKind.SECRETS: layout.secrets, FileKind.VIEW: layout.views}
        while f"{parent}/".startswith(f"{tops.get(file.kind)}/"):
            yield f"{self._root}{parent}"
            parent = os.path.dirname(parent)

    def _link(self, unit: str, layout: Layout) -> str:
        if unit != TARGET:
            return f"{layout.unit_dir}/{TARGET}.wants/{unit}"
        return f"{layout.unit_dir}/{'default' if layout.user else 'multi-user'}.target.wants/{TARGET}"

    def _emptied(self, path: str) -> Iterator[str]:
        """Folders of ours above a file, the innermost first, that go when they are empty."""
        folder = os.path.dirname(path)
        if folder.endswith(".service.d") or folder in (self._layout.secrets, self._layout.metrics):
            yield folder
        while folder.startswith(f"{self._layout.views}/"):
            yield folder
            folder = os.path.dirname(folder)

    def _real(self, path: str) -> str:
        """The path below the root; one that would lead out of it is refused."""
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise HostError(f"{path!r} is not a plain absolute path")
        if not self._root:
            return path
        parent, name = os.path.split(f"{self._root}{path}")
        real = os.path.realpath(parent)
        if real != self._root and not real.startswith(f"{self._root}/"):
            raise HostError(f"{parent} leads out of {self._root}, to {real}", hint="make that link a relative one")
        return f"{real}/{name}"


def _foreign(real: str, done: str) -> HostError:
    if os.path.islink(real):  # noqa: PTH114
        target = os.readlink(real)
        what = "is masked" if target == "/dev/null" else f"is a symbolic link to {target}"
        hint = f"`sudo systemctl unmask {os.path.basename(real)}`" if target == "/dev/null" else f"`sudo rm {real}`"  # noqa: PTH119
        return HostError(f"{real} {what}, so it is not {done}", hint=f"{hint}, then try again")
    message = f"{real} is not ollamactl's (no line `{MARKER}` at its start), so it is not {done}"
    return HostError(message, hint=f"look at it, and if it may go: `sudo mv {real} {real}.bak`")


def _bytes(real: str) -> bytes:
    fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return atomic.read(fd)
    finally:
        os.close(fd)
