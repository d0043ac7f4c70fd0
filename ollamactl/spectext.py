"""Bytes to text: what is no UTF-8 text, or too much of it, is refused with the place and the way out. Pure."""

import re

from ollamactl.errors import Location, Problem, SpecError

MAX_BYTES = 1 << 20
# What YAML 1.2 allows in a text (5.1, c-printable), as libyaml does.
_ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def decode(data: bytes, name: str) -> str:
    """The text of a spec without its byte order mark. Raises SpecError where it is none."""

    def fail(message: str, hint: str = "", location: Location | None = None) -> SpecError:
        return SpecError([Problem(message=message, hint=hint, path="" if location else name, location=location)])

    if len(data) > MAX_BYTES:
        raise fail(f"is too big for a spec: {len(data)} bytes, at most {MAX_BYTES} are read")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise fail("is UTF-16", f"convert it: iconv -f UTF-16 -t UTF-8 {name}")
    if (at := data.find(b"\0")) >= 0:
        raise fail(f"is no text: byte {at + 1} is NUL", "a spec is UTF-8 text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts from behind a byte order mark.
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, start) + 1
        raise fail(
            f"is not UTF-8: byte 0x{data[start]:02x} in line {line} (byte {start + 1} of the file)",
            f"if it is Latin-1, convert it: iconv -f ISO-8859-1 -t UTF-8 {name}",
        ) from error
    if bad := _ILLEGAL.search(text):
        before = text[: bad.start()].splitlines(keepends=True) or [""]
        if before[-1].splitlines() != [before[-1]] and before[-1]:
            before.append("")
        location = Location(file=name, line=len(before), column=len(before[-1]) + 1)
        raise fail(f"holds the character U+{ord(bad[0]):04X}, which no YAML text may hold", location=location)
    return text
