"""The models of LiteLLM's proxy (docs.litellm.ai: proxy config.yaml, provider ollama_chat)."""

import json
from collections.abc import Sequence

from ollamactl.exporting.server import Server, head


def text(servers: Sequence[Server]) -> str:
    """A config.yaml: a model that several servers have stands there for each, and LiteLLM spreads its requests."""
    rows = [
        f"  - model_name: {json.dumps(model.removesuffix(':latest'))}\n"
        f"    litellm_params: {{model: {json.dumps(f'ollama_chat/{model}')}, api_base: {json.dumps(each.url)}}}\n"
        f"    model_info: {{id: {json.dumps(f'{each.name}/{model}')}}}\n"
        for each in servers
        for model in each.models
    ]
    return head("litellm", "`litellm --config`") + ("model_list:\n" + "".join(rows) if rows else "model_list: []\n")
