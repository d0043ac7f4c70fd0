#!/bin/sh
# Runs ollamactl from this checkout with Debian's own Python and libraries:
#   sudo apt install python3-click python3-httpx python3-jinja2 python3-jsonschema python3-pystemd python3-rich python3-yaml
here=$(dirname "$(readlink -f "$0")")
python=${OLLAMACTL_PYTHON:-/usr/bin/python3}
# pystemd is compiled for one Python: its absence is by far the likeliest reason why nothing works.
needs='click, httpx, jinja2, jsonschema, pystemd, yaml'
case ${1-} in gate | broker) needs= ;; esac  # a client waits until they have started
[ -z "$needs" ] || "$python" -c "import $needs" 2>/dev/null || {
    echo "ollamactl: Python libraries are missing. Type:" >&2
    echo "  sudo apt install python3-click python3-httpx python3-jinja2 python3-jsonschema python3-pystemd python3-rich python3-yaml" >&2
    exit 1
}
PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m ollamactl "$@"
