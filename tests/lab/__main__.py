"""The lab's commands: prepare, shell, deb, selfcheck, clean."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.lab import cache
from tests.lab.roots import SUITES


def main() -> int:
    """Run one command; a problem of the lab is one line on standard error and status 1."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab", description="Containers with a real systemd.")
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="build what is missing in the cache (default: both suites)")
    prepare.add_argument("targets", nargs="*", metavar="bookworm|sid|package|big-model")
    shell = commands.add_parser("shell", help="boot a container and give a root shell in it")
    shell.add_argument("suite", choices=SUITES)
    commands.add_parser("deb", help="build the Debian package for each suite into dist/")
    commands.add_parser("selfcheck", help="boot both suites and prove that the kernel's fences really hold there")
    commands.add_parser("clean", help="delete the cache")
    arguments = parser.parse_args()
    try:
        return _run(arguments)
    except cache.LabError as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    # Imported late so that `clean` and `--help` work where nothing is installed yet.
    if arguments.command == "clean":
        cache.clean()
        return 0
    from tests.lab.prepare import TARGETS, prepare

    if arguments.command == "prepare":
        unknown = sorted(set(arguments.targets) - set(TARGETS))
        if unknown:
            raise cache.LabError(f"cannot prepare {', '.join(unknown)}; there are {', '.join(TARGETS)}")
        started = time.monotonic()
        prepare(arguments.targets or SUITES)
        cache.say(f"ready in {cache.cache_dir()} ({time.monotonic() - started:.1f} s)")
        return 0
    if arguments.command == "deb":
        from tests.lab import deb

        for suite in deb.SUITES:
            deb.build(suite, deb.DIST / suite)
        return 0
    prepare()
    if arguments.command == "shell":
        from tests.lab.container import Container

        with Container.boot(arguments.suite, store=True) as container:
            cache.say(f"{arguments.suite} booted in {container.boot_seconds:.1f} s; leave the shell to end it")
            return container.shell()
    from tests.lab.selfcheck import selfcheck

    return selfcheck()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, subprocess.TimeoutExpired) as interruption:
        print(f"lab: {interruption or 'interrupted'}", file=sys.stderr)
        sys.exit(1)
