"""Runs the application on a cluster of three Ray nodes, requests a completion and prints the result as JSON.

It is a program of its own, called as a module with a base path, since a process can be connected to one Ray
only.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import ray
from ray import serve
from ray.cluster_utils import Cluster

from deployments.app import build_app
from deployments.config import AppArgs

NODES = 3
# No two deployments of this size fit on a node of one CPU. Serve's controller and proxies reserve no CPU.
SIZED = {"num_cpus": 0.6}


def app_args(base_path: str) -> AppArgs:
    return AppArgs.model_validate(
        {
            "ingress": {"num_cpus": 0.3},
            "tokenizer": SIZED,
            "detokenizer": {"num_cpus": 0.3},
            "models": [{"name": "arithmetic", "managed": {"base_path": base_path}, "decoder": SIZED}],
        }
    )


def main(base_path: Path) -> dict[str, Any]:
    cluster = Cluster()
    for _ in range(NODES):
        cluster.add_node(num_cpus=1, include_dashboard=False)
    ray.init(address=cluster.address, log_to_driver=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        serve.run(build_app(app_args(str(base_path))), name="tensorloom")
        body = {"model": "arithmetic", "prompt": [1, 2], "max_tokens": 4, "temperature": 0}
        response = httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=60)
        return {"nodes": _nodes_of_replicas(), "status": response.status_code, "body": response.json()}
    finally:
        ray.shutdown()
        cluster.shutdown()


def _nodes_of_replicas() -> dict[str, str]:
    """Returns deployment -> node id, from the actors of Serve's replicas."""
    details = serve.status().applications["tensorloom"].deployments
    actors = ray.util.list_named_actors(all_namespaces=True)
    nodes: dict[str, str] = {}
    for deployment in details:
        name = next(
            a["name"] for a in actors if a["name"].startswith(f"SERVE_REPLICA::tensorloom#{deployment}#")
        )
        actor = ray.get_actor(name, namespace="serve")
        nodes[deployment] = _node_of(actor)
    return nodes


def _node_of(actor: Any) -> str:
    return str(ray._private.state.actors(actor._actor_id.hex())["Address"]["NodeID"])


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
