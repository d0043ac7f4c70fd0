"""Which requests need a model, and which only ask how things are: who polls keeps no server awake. Pure."""

from ollamactl.gate.message import RequestHead

_ASKED = frozenset((b"GET", b"HEAD"))
_ABOUT = frozenset((b"/", b"/api/version", b"/api/tags", b"/api/ps", b"/v1/models"))
"""What a server says of itself (server/routes.go in Ollama)."""
_SHOW = b"/api/show"
_ONE_MODEL = b"/v1/models/"


def polls(head: RequestHead) -> bool:
    """Whether a request only asks what the server could say asleep, too: its lists, its version, CORS."""
    target, method = head.target, head.method
    if b"?" in target:
        target = target.partition(b"?")[0]
    if method in _ASKED:
        return target in _ABOUT or target.startswith(_ONE_MODEL)
    return method == b"OPTIONS" or (target == _SHOW and method == b"POST")


def asks_what_is_loaded(head: RequestHead) -> bool:
    """Whether the answer asleep is known without any record: nothing is."""
    return head.target.partition(b"?")[0] == b"/api/ps" and head.method in _ASKED
