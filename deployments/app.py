"""The application that `serve_config.yaml` names: its deployments, and which of them call which.

ingress -> tokenizer, detokenizer -> one decoder per model.
"""

from typing import Any, TypeAlias, cast

from ray.serve import Application

from deployments.config import AppArgs, ReplicaArgs
from deployments.decoder.deployment import Decoder
from deployments.detokenizer.deployment import Detokenizer
from deployments.ingress.deployment import Ingress
from deployments.tokenizer.deployment import Tokenizer

Deployment: TypeAlias = Any
"""A class decorated with `@serve.deployment`; type checkers see the class itself."""


def build_app(args: AppArgs) -> Application:
    """Builds the application. Serve calls it with the `args` of `serve_config.yaml`, validated as AppArgs."""
    return bind(args, Decoder)


def bind(args: AppArgs, decoder: Deployment) -> Application:
    """Binds the deployments to one another, with one deployment of `decoder` for each model."""
    decoders = {
        model.name: sized(decoder, model.decoder, name=f"decoder-{model.name}").bind(model)
        for model in args.models
    }
    tokenizer = sized(Tokenizer, args.tokenizer).bind(decoders)
    detokenizer = sized(Detokenizer, args.detokenizer).bind(decoders)
    return cast(Application, sized(Ingress, args.ingress).bind(tokenizer, detokenizer, decoders))


def sized(deployment: Deployment, args: ReplicaArgs, **options: Any) -> Deployment:
    """Returns `deployment` with the number of replicas and the resources that `args` give."""
    return deployment.options(
        num_replicas=args.replicas,
        ray_actor_options={"num_cpus": args.num_cpus},
        max_ongoing_requests=args.max_ongoing_requests,
        # Serve's schema rejects None for this option.
        **({"max_replicas_per_node": most} if (most := args.max_replicas_per_node) else {}),
        **options,
    )
