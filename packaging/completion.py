"""Writes the completion for bash, zsh and fish, click's own, each under the name that its shell looks for.

python3 packaging/completion.py DIRECTORY
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from click.shell_completion import get_completion_class

from ollamactl.cli import cli

FILES = {"bash": "ollamactl", "zsh": "_ollamactl", "fish": "ollamactl.fish"}


def main(directory: Path) -> None:
    """Write a file a shell."""
    for shell, name in FILES.items():
        kind = get_completion_class(shell)
        assert kind  # noqa: S101 - click has all three
        words = kind(cli, {}, "ollamactl", "_OLLAMACTL_COMPLETE")
        text = words.source_template % words.source_vars()  # `source()` wants the shell itself
        (directory / shell).mkdir(parents=True, exist_ok=True)
        (directory / shell / name).write_text(text.lstrip())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
