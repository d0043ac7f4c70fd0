"""`make docs`: what plan, apply and status print of a small fleet, on a real systemd with the real Ollama."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.lab.container import Container

DOCS = Path(__file__).parents[1] / "docs"
SPEC = """\
version: 1
defaults: {gpus: none, context_length: 4096}
instances:
  llama3: {port: 11434}
  small: {port: 11435, models: [qwen, "nomic-embed-text:v1.5"], keep_alive: 30m}
"""
ASKED = """curl -s http://localhost:11434/api/generate -d '{"model": "llama3", "prompt": "?", "stream": false}'"""
SHOTS = (
    ("plan", "ollamactl plan fleet.yaml", ""),
    ("apply", "sudo ollamactl apply fleet.yaml", ASKED),
    ("status", "ollamactl status", ""),
)
"""A picture's name, what is typed in it, and what happens unseen before the next one."""
_THEME = TerminalTheme((250, 250, 250), (40, 40, 40), [(40, 40, 40)] * 8)
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px; }}
.{unique_id}-title {{ font-family: "DejaVu Sans", Verdana, sans-serif; font-size: 16px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">
{matrix}
</g></g>
</svg>
"""


def main() -> None:
    """Write all of them."""
    with Container.boot("sid", store=True) as machine:
        for name, command, printed in shots(machine):
            (DOCS / f"{name}.svg").write_text(svg(name, command, printed))


def shots(machine: Container) -> Iterator[tuple[str, str, str]]:
    """Each picture's name, what is typed, and what the program says to that."""
    machine.write("/root/fleet.yaml", SPEC)
    for name, command, after in SHOTS:
        typed = command.removeprefix("sudo ")
        yield name, command, machine.run(f"exec 2>&1; {typed}", cwd="/root").stdout
        if after:
            machine.run(after)


def svg(name: str, command: str, printed: str) -> str:
    """A terminal that shows a command and its output, without a font from elsewhere."""
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    width = max(map(len, [f"$ {command}", *lines])) + 2
    console = Console(record=True, width=width, file=io.StringIO(), highlight=False, color_system="truecolor")
    console.print(Text(f"$ {command}", style="bold"))
    for line in lines:
        console.print(Text(line))
    text = console.export_svg(title="", theme=_THEME, code_format=_FORMAT, unique_id=name)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if line.strip())


def text(picture: str) -> list[str]:
    """The lines that a picture shows, the command first."""
    rows = re.findall(r"<text [^>]*>([^<]*)</text>", picture)
    return [html.unescape(row).replace("\xa0", " ").rstrip() for row in rows]


if __name__ == "__main__":
    main()
