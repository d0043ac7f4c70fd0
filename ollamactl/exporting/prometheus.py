"""Whether each server answers, by way of the blackbox exporter: Ollama has no metrics of its own."""

import json
from collections.abc import Sequence

from ollamactl.exporting.server import Server, head

_JOB = """\
# It asks a blackbox_exporter beside it (prometheus-blackbox-exporter in Debian).  What `health` in the spec finds is in
# /var/lib/ollamactl/metrics/ollamactl.prom, for node_exporter's --collector.textfile.directory.
scrape_configs:
  - job_name: ollama
    metrics_path: /probe
    params: {module: [http_2xx]}
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {target_label: __address__, replacement: "127.0.0.1:9115"}
    static_configs:
"""


def text(servers: Sequence[Server]) -> str:
    """A file for `scrape_config_files`, or to be merged into prometheus.yml."""
    rows = [
        f"      - targets: [{json.dumps(f'{each.url}/api/version')}]\n"
        f"        labels: {{instance: {json.dumps(each.name)}, unit: {json.dumps(each.unit)}}}\n"
        for each in servers
    ]
    job = _JOB if rows else _JOB.replace("static_configs:", "static_configs: []")
    return head("prometheus", "`scrape_config_files` of Prometheus") + job + "".join(rows)
