"""Bytes to text: what is no UTF-8 text, or too much of it, is refused with the place and the way out. Pure."""

import re

from ollamactl.errors import Location, Problem, SpecError
from ollamactl.spec import suggest

MAX_BYTES = 1 << 20
_MAX_LINE = 2000
# What YAML 1.2 allows in a text (5.1, c-printable), as libyaml does.
_ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Spot = tuple[int, int]
"""Line and column counted from 0, as libyaml counts them."""


class Text:
    """The text of a spec; turns a spot in it into the location that a message shows."""

    def __init__(self, name: str, text: str, hidden: str = "") -> None:
        self.name, self.text, self._key = name, text, hidden
        # After the check for control characters these are just the line ends that libyaml counts.
        self._lines = text.splitlines()
        self._hidden: set[int] = set()

    def hide(self, first: int, last: int) -> None:
        """Show no text of these lines: they hold a secret."""
        self._hidden.update(range(first, last + 1))

    def hides(self, key: str) -> bool:
        """Whether what stands below a key is a secret, or was meant to be one."""
        return bool(self._key) and suggest.resembles(key, self._key)

    def may_quote(self, spot: Spot) -> bool:
        """Whether a message may quote this line though nobody knows yet which lines hold secrets.

        Where a text cannot be read to its end, everything from the first mention of a secret on may be one.
        """
        if not self._key:
            return True
        words = re.compile(r"\w+")
        lines = range(min(spot[0] + 1, len(self._lines)))
        return not any(self.hides(word) for at in lines for word in words.findall(self._lines[at]))

    def location(self, spot: Spot) -> Location:
        """The location of a spot, with the line's text unless it is hidden or no line at all for a terminal."""
        line, column = spot
        source = self._lines[line] if line < len(self._lines) and line not in self._hidden else ""
        # A tab would move the line away from its caret.
        source = source.replace("\t", " ") if len(source) <= _MAX_LINE else ""
        return Location(file=self.name, line=line + 1, column=column + 1, source=source)

    def line(self, number: int) -> str:
        """A line's text; empty where there is none."""
        return self._lines[number] if 0 <= number < len(self._lines) else ""

    def at(self, spot: Spot) -> str:
        """The character at a spot; empty at the end of a line."""
        return self.line(spot[0])[spot[1] : spot[1] + 1]

    def ends_at(self, spot: Spot) -> bool:
        """Whether nothing comes after a spot."""
        return not self.at(spot) and not any(line.strip() for line in self._lines[spot[0] + 1 :])

    def last_before(self, number: int) -> int:
        """The last line before one that says something; -1 where there is none."""
        says = (at for at in range(number - 1, -1, -1) if self.line(at).split("#")[0].strip())
        return next(says, -1)

    def error(self, message: str, spot: Spot | None = None, hint: str = "") -> SpecError:
        """What ends the reading at once, and so before all secrets are known."""
        if spot and not self.may_quote(spot):
            self.hide(spot[0], spot[0])
        location = self.location(spot) if spot else None
        path = "" if spot else self.name
        return SpecError([Problem(message=message, hint=hint, path=path, location=location)])


def decode(data: bytes, name: str, hidden: str = "") -> Text:
    """The text of a spec, `name` to messages, without its byte order mark. Raises SpecError where it is none.

    What stands below a key called `hidden` shows in no message.
    """
    nothing = Text(name, "")
    if len(data) > MAX_BYTES:
        raise nothing.error(f"is too big for a spec: it has {len(data)} bytes, and {MAX_BYTES} are allowed")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise nothing.error("is UTF-16, not UTF-8", hint=f"convert it: iconv -f UTF-16 -t UTF-8 {name}")
    if (at := data.find(b"\0")) >= 0:
        raise nothing.error(f"is not a text file: byte {at + 1} is NUL", hint="a spec is UTF-8 text")
    mark = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    try:
        text = Text(name, data[mark:].decode("utf-8"), hidden)
    except UnicodeDecodeError as error:
        start = error.start + mark
        line = data.count(b"\n", 0, start) + 1
        raise nothing.error(
            f"is not UTF-8: byte 0x{data[start]:02x} on line {line} (byte {start + 1} of the file)",
            hint=f"if it is Latin-1, convert it: iconv -f ISO-8859-1 -t UTF-8 {name}",
        ) from None
    if bad := _ILLEGAL.search(text.text):
        before = f"{text.text[: bad.start()]}.".splitlines()
        spot = (len(before) - 1, len(before[-1]) - 1)
        raise nothing.error(f"contains the character U+{ord(bad[0]):04X}, which YAML does not allow", spot)
    return text
