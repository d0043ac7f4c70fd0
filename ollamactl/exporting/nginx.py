"""A site of nginx that passes each server on below a path of its own (ngx_http_proxy_module)."""

from collections.abc import Sequence

from ollamactl.exporting.server import Server, head

_SITE = """\
server {
    listen 127.0.0.1:11400;  # open it to others only with TLS and auth_basic or the like: Ollama knows no passwords
    server_name localhost 127.0.0.1 [::1];

    client_max_body_size 0;       # pictures, and blobs of ollama create
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host localhost;  # else Ollama answers 403, against DNS rebinding; nginx checks instead
    proxy_buffering off;          # tokens as they come
    proxy_request_buffering off;
    proxy_read_timeout 1h;        # a model that loads says nothing for minutes
"""
_OTHERS = """\
}
server {
    listen 127.0.0.1:11400 default_server;  # any other Host: the guard against DNS rebinding
    server_name _;
    return 421;
}
"""


def text(servers: Sequence[Server]) -> str:
    """The whole file: http://localhost:11400/NAME/api/chat is NAME's /api/chat."""
    lines = [head("nginx", "/etc/nginx/conf.d/ollama.conf")]
    lines += [f"upstream ollama_{each.name} {{ server {each.address}; keepalive 16; }}\n" for each in servers]
    places = [f"    location /{each.name}/ {{ proxy_pass http://ollama_{each.name}/; }}\n" for each in servers]
    return "".join([*lines, _SITE, "\n", *places, _OTHERS])
