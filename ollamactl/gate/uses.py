"""Which requests need a model, and which only ask how things are: who polls keeps no server awake. Pure."""

from ollamactl.gate.message import RequestHead

_ASKED = frozenset((b"GET", b"HEAD"))
_SHOW = b"/api/show"
_BLOBS = b"/api/blobs/"
_CHANGES = (b"/api/pull", b"/api/create", b"/api/copy", b"/api/delete")


def polls(head: RequestHead) -> bool:
    """Whether a request only asks what the server could say asleep, too: its lists, its version, CORS.

    So does all that has no effect by its method, and be it a browser's for an icon: server/routes.go in Ollama has
    nothing there that needs a model. HEAD of a blob belongs to making one.
    """
    if head.method in _ASKED:
        return not head.target.startswith(_BLOBS)
    return head.method == b"OPTIONS" or (head.method == b"POST" and head.target.partition(b"?")[0] == _SHOW)


def changes_models(head: RequestHead) -> bool:
    """Whether the server may list others afterwards."""
    return head.target.startswith(_CHANGES)


def asks_what_is_loaded(head: RequestHead) -> bool:
    """Whether the answer asleep is known without any record: nothing is."""
    return head.target.partition(b"?")[0] == b"/api/ps" and head.method in _ASKED
