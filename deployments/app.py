"""The application that `serve_config.yaml` names: ingress -> tokenizer, detokenizer -> one decoder per model.

Binds and sizes deployments; does not know what they do.
"""

from typing import Any, TypeAlias, cast

from ray.serve import Application

from deployments.config import AppArgs, ReplicaArgs
from deployments.decoder.deployment import Decoder
from deployments.detokenizer.deployment import Detokenizer
from deployments.ingress.deployment import Ingress
from deployments.tokenizer.deployment import Tokenizer

Deployment: TypeAlias = Any
"""A class under `@serve.deployment`; to type checkers it is still the class."""


def build_app(args: AppArgs) -> Application:
    """Builds the application. Serve calls this with the checked `args` of `serve_config.yaml`."""
    return bind(args, Decoder)


def bind(args: AppArgs, decoder: Deployment) -> Application:
    """The application, with `decoder` bound once for each model."""
    decoders = {
        model.name: sized(decoder, model.decoder, name=f"decoder-{model.name}").bind(model)
        for model in args.models
    }
    tokenizer = sized(Tokenizer, args.tokenizer).bind(decoders)
    detokenizer = sized(Detokenizer, args.detokenizer).bind(decoders)
    return cast(Application, sized(Ingress, args.ingress).bind(tokenizer, detokenizer, decoders))


def sized(deployment: Deployment, args: ReplicaArgs, **options: Any) -> Deployment:
    """`deployment` with as many replicas, and as much room in each, as `args` say."""
    return deployment.options(
        num_replicas=args.replicas,
        ray_actor_options={"num_cpus": args.num_cpus},
        max_ongoing_requests=args.max_ongoing_requests,
        # Serve's schema takes no None here.
        **({"max_replicas_per_node": most} if (most := args.max_replicas_per_node) else {}),
        **options,
    )
