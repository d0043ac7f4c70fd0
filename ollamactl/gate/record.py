"""What a server said of itself while it was awake, to be said in its place while it sleeps. Pure.

An answer holds for a fingerprint: of the server's settings, of its models' versions, and of its program.
"""

import base64
import json
import re
from typing import Any, NamedTuple

from ollamactl.gate import forward
from ollamactl.gate.message import AnswerHead, RequestHead

MOST_ANSWERS = 64
MOST_BYTES = 256 * 1024
"""Of one answer, and of one question."""
_LASTING = frozenset((200, 204, 301, 307, 404))
"""Statuses of what stays so until the settings change: a model that is not there, too, wakes nobody twice."""
_VARY = (b"origin", b"access-control-request-method", b"access-control-request-headers")
"""What an answer depends on besides method and target (gin-contrib/cors)."""
_DATED = re.compile(rb"(?im)^date:[^\r\n]*\r\n")
_NOTHING = b'{"models":[]}'

Key = tuple[bytes, ...]


class Recorded(NamedTuple):
    """One answer."""

    status: int
    reason: bytes
    lines: bytes
    """Its fields, but for its date."""
    length: int
    """What Content-Length says; to HEAD, more than there is."""
    body: bytes

    def answer(self, to: RequestHead, date: str, *, close: bool) -> bytes:
        """As it would be given now."""
        lines = self.lines + f"Date: {date}\r\n".encode()
        head = AnswerHead(self.status, self.reason, lines, self.length, False, True)
        return forward.answer(head, to, close=close)[0] + (b"" if to.method == b"HEAD" else self.body)


NOTHING_LOADED = Recorded(200, b"OK", b"Content-Type: application/json; charset=utf-8\r\n", len(_NOTHING), _NOTHING)
"""/api/ps of a server that sleeps."""


def key(head: RequestHead, body: bytes) -> Key:
    """What an answer is kept by."""
    return (head.method, head.target, *(b",".join(head.values(name)) for name in _VARY), body)


class Records:
    """One server's answers, the oldest of too many forgotten."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.changed = False
        """There is something that was not written down yet."""
        self._answers: dict[Key, Recorded] = {}
        self._lately: set[Key] = set()
        self._moment = 0.0

    def wanted(self, head: RequestHead, body: bytes, moment: float) -> bool:
        """Whether an answer to that is to be put here: once a moment is enough, for it costs as much as passing it."""
        if moment != self._moment:
            self._moment = moment
            self._lately.clear()
        question = (head.method, head.target, head.lines, body)
        if question in self._lately:
            return False
        if len(self._lately) < MOST_ANSWERS:
            self._lately.add(question)
        return True

    def get(self, question: Key) -> Recorded | None:
        """What the server said last."""
        return self._answers.get(question)

    def put(self, question: Key, head: AnswerHead, body: bytes, *, to_head: bool) -> None:
        """Keeps a whole answer; what is long, or an error that may pass, is not kept."""
        if head.status not in _LASTING or len(body) > MOST_BYTES or len(question[-1]) > MOST_BYTES:
            return
        length = head.length if to_head and head.length is not None else len(body)
        found = Recorded(head.status, head.reason, _DATED.sub(b"", head.lines), length, body)
        if self._answers.get(question) == found:
            return
        self._answers.pop(question, None)
        self._answers[question] = found
        while len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]
        self.changed = True

    def clear(self) -> None:
        """Nothing holds any longer."""
        self.changed = bool(self._answers)
        self._answers.clear()
        self._lately.clear()

    def dump(self) -> bytes:
        """All of them, to be read again."""
        rows = [[*map(_text, question), answer.status, *map(_text, answer[1:3]), answer.length, _text(answer.body)]
                for question, answer in self._answers.items()]  # fmt: skip
        return json.dumps({"fingerprint": self.fingerprint, "answers": rows}).encode()

    def load(self, data: bytes) -> None:
        """Those that still hold; nothing of what is no such text."""
        try:
            told = json.loads(data)
            if told["fingerprint"] == self.fingerprint:
                self._answers = dict(map(_row, told["answers"][:MOST_ANSWERS]))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._answers = {}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _row(row: list[Any]) -> tuple[Key, Recorded]:
    *question, status, reason, lines, length, body = row
    answer = Recorded(int(status), _bytes(reason), _bytes(lines), int(length), _bytes(body))
    return tuple(map(_bytes, question)), answer


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
