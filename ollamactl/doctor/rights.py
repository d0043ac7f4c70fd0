"""Whether a server's user may use a file, by mode and groups (path_resolution(7)). Pure."""

from ollamactl.doctor.server import Node, Place, Server

READ, WRITE, PASS = 4, 2, 1


def may(node: Node, server: Server, rights: int) -> bool:
    """Whether the server's user has all the rights; True where that can't be told."""
    if node.acl or server.uid == 0:
        return True
    if node.uid == server.uid:
        return node.mode >> 6 & rights == rights
    if node.gid in server.gids:
        return node.mode >> 3 & rights == rights
    return node.mode & rights == rights


def obstacle(place: Place, server: Server, needs: int = READ) -> Node | None:
    """What keeps it from a folder that is there, or from making one that is not; None where nothing does."""
    if server.uid is None or not place.way:
        return None
    *above, last = place.way
    for node in above:
        if not may(node, server, PASS):
            return node
    return None if may(last, server, (needs if place.there else WRITE) | PASS) else last


def words(node: Node) -> str:
    """`/dev/kfd belongs to uid 0 and group render, mode 0660`."""
    return f"{node.path} belongs to uid {node.uid} and group {node.group or node.gid}, mode {node.mode:04o}"
