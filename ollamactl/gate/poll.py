"""A request that only asks how things are: its answer is kept, and given again while the server sleeps."""

from ollamactl.gate.message import AnswerHead, RequestHead
from ollamactl.gate.server import Server


class Poll:
    """One of them."""

    __slots__ = ("_body", "_head", "_server")

    def __init__(self, server: Server, head: RequestHead, body: bytes) -> None:
        self._server = server
        self._head = head
        self._body = body

    def known(self, date: str, *, close: bool) -> bytes:
        """The answer as the server gave it last, with today's date; nothing where it never did."""
        found = self._server.recorded(self._head, self._body)
        return found.answer(self._head, date, close=close) if found else b""

    def wanted(self, now: float) -> bool:
        """Whether its answer is to be kept, which was not done at this reading of the clock."""
        return self._server.records.wanted(self._head, self._body, now)

    def keep(self, answer: AnswerHead, content: bytes) -> None:
        """The server has answered it."""
        self._server.keep(self._head, self._body, answer, content)
