"""Why a text is not YAML, in words for who wrote it: the parser says what it expected, this what to mend. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ollamactl.errors import SpecError
from ollamactl.spec.spectext import Spot, Text

_CLOSES = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What libyaml says: what it was reading and where that began, what is wrong and where it noticed."""

    problem: str
    spot: Spot
    context: str = ""
    context_spot: Spot | None = None


def explain(text: Text, complaint: Complaint, opened: Sequence[Spot]) -> SpecError:
    """The complaint as an error of the spec; `opened` are the lists and mappings that were not complete yet."""
    bracket = next((spot for spot in reversed(opened) if text.at(spot) in _CLOSES), None)
    found = _bracket(text, complaint, bracket) or _word(text, complaint) or _line(text, complaint)
    if not found:
        sentence = ", ".join(part for part in (complaint.context, complaint.problem) if part)
        found = (complaint.spot, sentence, "")
    spot, message, hint = found
    return text.error(f"is not valid YAML: {message}", spot, hint)


_Found = tuple[Spot, str, str] | None
"""Where to look, what is wrong there, what to do."""


def _bracket(text: Text, complaint: Complaint, opened: Spot | None) -> _Found:
    """Brackets that are not closed, closed by another, or closed without having been opened."""
    spot, here = complaint.spot, text.at(complaint.spot)
    unfinished = "expected ',' or '" in complaint.problem or "node content" in complaint.problem
    if opened is None:
        if here in ("}", "]"):
            return spot, f"this {here} closes nothing", "remove it, or open it before"
        return None
    if not unfinished:
        return None
    bracket = text.at(opened)
    closing = _CLOSES[bracket]
    if here in ("}", "]") and here != closing:
        return spot, f"this {here} does not close the {bracket} {_where(opened, spot)}", f"write {closing} before it"
    if here == ",":
        return spot, "there is nothing before this comma", "remove it, or write what is missing"
    if text.ends_at(spot):
        return opened, f"this {bracket} is never closed", f"close it with {closing}"
    if opened[0] != spot[0]:
        line = text.last_before(spot[0])
        hint = f"close it with {closing}, or end line {line + 1} with a comma where it goes on"
        if any(text.line(number).lstrip().startswith("//") for number in range(opened[0], spot[0] + 1)):
            hint = "a comment begins with #, not with //"
        return opened, f"this {bracket} is not closed before line {spot[0] + 1}", hint
    hint = f"put commas between the parts; a value that contains a colon and a space needs quotes{_typeset(text, spot)}"
    return spot, f"a comma or the {closing} is missing before this (the {bracket} is in column {opened[1] + 1})", hint


def _word(text: Text, complaint: Complaint) -> _Found:
    """Quotes, and characters that mean something to YAML."""
    begun, spot = complaint.context_spot or complaint.spot, complaint.spot
    if "cannot start any token" in complaint.problem:
        if text.at(spot) == "\t":
            return spot, "a tab cannot indent", "indent with spaces only"
        return spot, f"a value cannot begin with {text.at(spot)}", "put it in quotes"
    if "unknown escape" in complaint.problem:
        hint = "double the backslash, or use single quotes"
        return spot, "this backslash means nothing in double quotes", hint
    if "quoted scalar" in complaint.context:
        quote = text.at(begun)
        hint = f"close it; a {quote} within them is written " + ('\\"' if quote == '"' else "''")
        return begun, "this quote is never closed", hint
    if complaint.context in ("while scanning an alias", "while scanning an anchor"):
        return begun, f"{text.at(begun)} without a name", f'if it is the value, quote it: "{text.at(begun)}"'
    if "block scalar" in complaint.context:
        return spot, "nothing may follow | or > on its line", "begin the text on the next line"
    return None


def _line(text: Text, complaint: Complaint) -> _Found:
    """Keys, colons and indentation."""
    spot, begun = complaint.spot, complaint.context_spot or complaint.spot
    before = text.line(spot[0])[: spot[1]]
    if "mapping values are not allowed" in complaint.problem:
        above = text.last_before(spot[0])
        if ":" not in text.line(above) and before.lstrip() == before.strip() and ":" not in before and above >= 0:
            shown = text.line(above).strip()[:60] if text.may_quote((above, 0)) else "KEY"
            return (above, 0), "this line has no colon", f"write {shown}: if it is a key"
        hint = "put nested keys on lines of their own or into { }, and quote a value that contains a colon and a space"
        return spot, "a second key: value on one line", f"{hint}{_typeset(text, spot)}"
    if "block sequence entries" in complaint.problem:
        hint = "put it on the next line, or write [ONE, OTHER]"
        return spot, "a list with - cannot begin on the line of its key", hint
    if "could not find expected ':'" in complaint.problem:
        return begun, "a key without a colon", "write KEY: VALUE"
    if "expected key" in complaint.problem or "expected <block end>" in complaint.problem:
        if before.strip():
            return spot, "nothing may follow the value here", "quote the whole value, or put the rest on another line"
        if text.at(spot) == "-":
            return spot, "a list item (-) among keys", "indent it below the key that it belongs to"
        hint = "keys that belong together begin in the same column"
        return spot, "the indentation of this line matches none above it", hint
    return None


def _where(opened: Spot, spot: Spot) -> str:
    return f"in column {opened[1] + 1}" if opened[0] == spot[0] else f"of line {opened[0] + 1}, column {opened[1] + 1}"


def _typeset(text: Text, spot: Spot) -> str:
    """Quotes as word processors set them are letters to YAML."""
    return "; typographic quotes do not count" if re.search("[\u2018-\u201f]", text.line(spot[0])) else ""
