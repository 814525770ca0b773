"""Starts Ray, with or without its dashboard, and runs `serve run CONFIG` in it.

`serve run` has no option for the dashboard, but uses a Ray that its own process has started before. The
command is `python -m deployments.serve_run CONFIG [--dashboard]`.
"""

import argparse

import ray
from ray.serve.scripts import cli


def main() -> None:
    """Starts Ray, then runs the configuration until SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m deployments.serve_run", description=__doc__)
    parser.add_argument("config", help="a Serve config file")
    parser.add_argument("--dashboard", action="store_true", help="with Ray's dashboard")
    arguments = parser.parse_args()
    # The namespace that `serve run` would choose. A Ray that RAY_ADDRESS names ignores `include_dashboard`.
    ray.init(namespace="serve", include_dashboard=arguments.dashboard)
    cli(["run", arguments.config])


if __name__ == "__main__":
    main()
