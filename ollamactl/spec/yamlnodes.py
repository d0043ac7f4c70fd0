"""YAML text to nodes, within limits that no text can pass to exhaust stack, memory or patience.

The only importer of yaml, and only of its events (libyaml's, where PyYAML has it): its composer recurses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

from ollamactl.spec import yamlerrors
from ollamactl.spec.spectext import Spot, Text
from ollamactl.spec.yamlerrors import Complaint

MAX_VALUES = 100_000
MAX_DEPTH = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR = "tag:yaml.org,2002:str"


@dataclass(slots=True)
class Node:
    """A scalar's text, a list's items, or a mapping's pairs of key and value."""

    spot: Spot
    text: str | None = None
    plain: bool = False
    """Written without quotes, so that it may be a number, a boolean or nothing."""
    items: "list[Node] | None" = None
    pairs: "list[tuple[Node, Node]] | None" = None
    complete: bool = True
    last: int = 0
    """The line in which a scalar ends."""


def compose(text: Text) -> Node | None:
    """The nodes of the one document in a text; None where it is empty. Raises SpecError."""
    stack: list[Node] = []
    try:
        root = _compose(text, stack)
    except yaml.MarkedYAMLError as error:
        marks = [(mark.line, mark.column) if mark else None for mark in (error.problem_mark, error.context_mark)]
        complaint = Complaint(
            problem=str(error.problem),
            spot=marks[0] or marks[1] or (0, 0),
            context=str(error.context or ""),
            context_spot=marks[1],
        )
        raise yamlerrors.explain(text, complaint, [node.spot for node in stack]) from None
    except yaml.YAMLError as error:
        raise text.error(f"is not valid YAML: {error}") from None
    return None if root and root.plain and root.text == "" else root


def too_many(text: Text) -> Exception:
    """What stops a text that holds too much, or aliases that explode."""
    return text.error(f"contains more than {MAX_VALUES} values, counting those of an alias each time")


def too_deep(text: Text, spot: Spot) -> Exception:
    """What stops a text that is nested too deep."""
    return text.error(f"is nested deeper than {MAX_DEPTH} levels", spot)


def _compose(text: Text, stack: list[Node]) -> Node | None:
    """As `compose`; `stack` holds the lists and mappings that are not complete, for who catches an error."""
    root: Node | None = None
    keys: list[Node | None] = []  # for each node on the stack: the key whose value comes next
    anchors: dict[str, Node] = {}
    left = MAX_VALUES
    for event in _events(text):
        kind = type(event)
        opens = kind is yaml.SequenceStartEvent or kind is yaml.MappingStartEvent
        if kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
            stack.pop().complete = True
            keys.pop()
            continue
        if opens or kind is yaml.ScalarEvent:
            node = _node(text, event, kind)
            if event.anchor:
                anchors[event.anchor] = node
        elif kind is yaml.AliasEvent:
            node = _anchored(text, event, anchors)
        elif kind is yaml.DocumentStartEvent and root is not None:
            spot = (event.start_mark.line, event.start_mark.column)
            raise text.error("a second document begins here; a spec is a single one", spot, "remove this ---")
        else:
            continue
        left -= 1
        if left < 0:
            raise too_many(text)
        if not stack:
            root = node
        elif (items := stack[-1].items) is not None:
            items.append(node)
        elif (key := keys[-1]) is None:
            keys[-1] = node
        elif (pairs := stack[-1].pairs) is not None:
            pairs.append((key, node))
            keys[-1] = None
        if opens:
            stack.append(node)
            keys.append(None)
            if len(stack) > MAX_DEPTH:
                raise too_deep(text, node.spot)
    return root


def _events(text: Text) -> Iterator[Any]:
    events: Iterator[Any] = yaml.parse(text.text, Loader=_LOADER)
    return events


def _node(text: Text, event: Any, kind: type) -> Node:
    spot = (event.start_mark.line, event.start_mark.column)
    tag = event.tag
    if kind is yaml.ScalarEvent:
        end = event.end_mark
        last = end.line - (end.column == 0 and end.line > spot[0])
        if tag is None:
            return Node(spot, event.value, event.implicit[0], last=last)
        if tag in ("!", _STR):
            return Node(spot, event.value, last=last)
    elif tag is None:
        return Node(
            spot,
            items=[] if kind is yaml.SequenceStartEvent else None,
            pairs=[] if kind is yaml.MappingStartEvent else None,
            complete=False,
        )
    shown = f"the tag {tag.replace('tag:yaml.org,2002:', '!!', 1)[:60]}" if text.may_quote(spot) else "a tag"
    raise text.error(f"{shown} is not allowed", spot, "remove the tag, or quote a value that begins with !")


def _anchored(text: Text, event: Any, anchors: dict[str, Node]) -> Node:
    spot = (event.start_mark.line, event.start_mark.column)
    node = anchors.get(event.anchor)
    if node and node.complete:
        return node
    name = event.anchor[:60] if text.may_quote(spot) else "..."
    if node is None:
        raise text.error(f"*{name} has no anchor &{name} before it", spot, "quote a value that begins with *")
    raise text.error(f"*{name} is inside its own anchor", spot)
