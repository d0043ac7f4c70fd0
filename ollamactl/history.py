"""Generations on disk: a folder each in `generations/` of the state folder, for root alone: files hold secrets."""

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ollamactl import generation
from ollamactl.errors import HostError, UsageError
from ollamactl.facts import Layout
from ollamactl.files import File
from ollamactl.generation import Generation
from ollamactl.host import atomic
from ollamactl.host.oserrors import translate

_ABOUT, _FILES, _SPEC = "generation.json", "files.json", "spec.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A generation that cannot be read."""

    number: int
    why: str


class History:
    """The generations of one host. Every method raises NotPermitted or HostError where the disk does not let it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.folder = Path(layout.generations)

    def all(self) -> tuple[Generation | Damaged, ...]:
        """Every generation, the oldest first."""
        return tuple(self._look(number) for number in self._numbers())

    def sound(self) -> tuple[Generation, ...]:
        """Those that can be read, the oldest first."""
        return tuple(each for each in self.all() if isinstance(each, Generation))

    def read(self, number: int) -> Generation:
        """One generation. Raises UsageError where it is not there, HostError where it is damaged."""
        if number not in (numbers := self._numbers()):
            known = f"there are {numbers[0]} to {numbers[-1]}" if numbers else "there is none yet"
            raise UsageError(f"there is no generation {number}", hint=f"{known}: ollamactl history")
        found = self._look(number)
        if isinstance(found, Damaged):
            raise HostError(
                f"generation {number} is damaged: {found.why}", hint="choose another one: ollamactl history"
            )
        return found

    def files(self, wanted: Generation) -> tuple[File, ...]:
        """Every file as the generation left it. Raises HostError where they are damaged."""
        text = self._read(self.path(wanted.number) / _FILES)
        try:
            if generation.digest(text) != wanted.digest:
                raise ValueError("its files are not those that were written")
            return generation.files_from(text, self._layout)
        except ValueError as error:
            hint = "choose another one: ollamactl history"
            raise HostError(f"generation {wanted.number} is damaged: {error}", hint=hint) from error

    def spec(self, number: int) -> bytes:
        """The spec's text; empty where a generation had none, as of `destroy`."""
        return self._read(self.path(number) / _SPEC).encode("utf-8", "surrogateescape")

    def path(self, number: int) -> Path:
        """The folder of one."""
        return self.folder / str(number)

    def begin(self, started: Generation, spec: bytes, files: Iterable[File]) -> Generation:
        """Writes a new generation, durably, before anything else is changed; returns it with its number."""
        number = max(self._numbers(), default=0) + 1
        text = generation.files_text(files)
        numbered = replace(started, number=number, digest=generation.digest(text))
        folder = self.path(number)
        self._make(folder)
        try:
            atomic.write(
                [
                    atomic.Write(f"{folder}/{_SPEC}", spec, 0o600),
                    atomic.Write(f"{folder}/{_FILES}", text.encode(), 0o600),
                    self._about(numbered),
                ]
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return numbered

    def finish(self, ended: Generation) -> None:
        """Writes down how it ended."""
        atomic.write([self._about(replace(ended, ended=now()))])

    def trim(self, keep: int) -> None:
        """Removes old generations, so that `keep` stay, and the damaged ones that are older."""
        rows = self.all()
        gone = set(generation.expendable([each for each in rows if isinstance(each, Generation)], keep))
        oldest = min(
            (each.number for each in rows if each.number not in gone and isinstance(each, Generation)), default=0
        )
        gone |= {each.number for each in rows if isinstance(each, Damaged) and each.number < oldest}
        for number in gone:
            with suppress(OSError):  # an old one more is no reason to fail
                shutil.rmtree(self.path(number))

    def _about(self, what: Generation) -> atomic.Write:
        return atomic.Write(f"{self.path(what.number)}/{_ABOUT}", generation.to_json(what).encode(), 0o600)

    def _make(self, folder: Path) -> None:
        try:
            atomic.make_folders(f"{self.folder.parent}")
            self.folder.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise translate(error, "make", str(folder)) from error

    def _numbers(self) -> tuple[int, ...]:
        try:
            return tuple(sorted(int(each.name) for each in self.folder.iterdir() if each.name.isdecimal()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise translate(error, "list", str(self.folder)) from error

    def _look(self, number: int) -> Generation | Damaged:
        try:
            found = generation.from_json(self._read(self.path(number) / _ABOUT))
        except (HostError, ValueError) as error:
            return Damaged(number=number, why=str(error))
        return replace(found, number=number)

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise translate(error, "read", str(path)) from error


def now() -> str:
    """The time as a generation writes it: `2026-11-24T16:55:14+00:00`."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime())


def who() -> str:
    """The person behind this process: who called sudo, else who logged in, else the user."""
    import pwd

    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        uid = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        uid = 2**32 - 1
    try:
        return pwd.getpwuid(os.geteuid() if uid == 2**32 - 1 else uid).pw_name
    except KeyError:
        return str(os.geteuid())
