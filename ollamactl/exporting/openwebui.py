"""What Open WebUI reads from its environment (docs.openwebui.com: environment configuration)."""

from collections.abc import Sequence

from ollamactl.exporting.server import Server, head


def text(servers: Sequence[Server]) -> str:
    """Lines for `docker run --env-file`, which takes all after the `=` as it stands."""
    return (
        head("openwebui", "`docker run --network=host --env-file`")
        + "# It keeps them from its first start on: later in its admin settings, or ENABLE_PERSISTENT_CONFIG=False.\n"
        + "# Its Pull button does nothing here: servers of a fleet cannot pull; `sudo ollamactl pull MODEL` can.\n"
        + "ENABLE_OLLAMA_API=true\n"
        + f"OLLAMA_BASE_URLS={';'.join(each.url for each in servers)}\n"
    )
