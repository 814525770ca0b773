"""The application's one configuration, checked at the edge.

`serve_config.yaml` carries it under `args`. Unknown keys fail. Each deployment receives its own section
and nothing else.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

MIB = 1024 * 1024


class Section(BaseModel):
    """A part of the configuration: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReplicaArgs(Section):
    """How many processes a deployment runs, and what Ray reserves for each."""

    replicas: PositiveInt = 1
    num_cpus: Annotated[float, Field(ge=0)] = 0.1
    max_ongoing_requests: PositiveInt = 1024
    max_replicas_per_node: PositiveInt | None = None
    """1 for decoders that share a node's external model server and keep their state in it."""


class ManagedServer(Section):
    """Model servers that a decoder starts on its own node, supervises and ends with itself."""

    base_path: Path
    """The directory that holds the model's version directories; relative to where Ray was started."""
    replicas: PositiveInt = 1
    """Model servers per decoder replica."""
    binary: str | None = None
    """A `tensorflow_model_server`; None: the one on the PATH, else the embedded server."""
    flags: tuple[str, ...] = ()
    """Further flags of the server, such as `--tensorflow_intra_op_parallelism=2`."""
    start_timeout_s: PositiveFloat = 300.0


class ExternalServer(Section):
    """Model servers that run by themselves."""

    addresses: tuple[str, ...] = Field(min_length=1)
    """gRPC targets, such as `10.0.0.7:8500`, `unix:/run/serving.sock` or `dns:///serving:8500`; a DNS name
    stands for every address it resolves to."""
    model_name: str | None = None
    """The model's name there; None: as here."""
    model_version: PositiveInt | None = None
    """The version to serve; None: the latest that is loaded when the decoder starts."""


class DecoderArgs(ReplicaArgs):
    """The decode loop's limits."""

    num_cpus: Annotated[float, Field(ge=0)] = 0.2
    max_batch_size: PositiveInt = 32
    """Rows in one call of the model server."""
    max_running: PositiveInt = 64
    """Sequences that hold state at once."""
    max_waiting: Annotated[int, Field(ge=0)] = 256
    """Sequences that wait for a place; one more is answered with 429."""
    prefill_token_budget: PositiveInt = 512
    """Prompt tokens, padding included, that one step may process."""
    state_bytes: PositiveInt = 1024 * MIB
    """Memory for the state of all sequences of one decoder replica."""
    prefix_cache: bool = True
    """With resident state: whether prompts that begin like an earlier text start from its state."""
    draft_tokens: Annotated[int, Field(ge=0)] = 15
    """With resident state: how many tokens at most are guessed from a sequence's own text (prompt lookup) and
    checked in one call, where that is faster; the text stays the same. 0: none."""
    stream_interval_s: PositiveFloat = 0.05
    """How often a stream moves at most, after its first token; also how long one call may decode, in several
    steps, while nothing joins, and with resident state how long a part of a prompt may hold up others."""
    step_timeout_s: PositiveFloat = 60.0
    """Deadline of one call."""
    recovery_timeout_s: PositiveFloat = 60.0
    """How long sequences wait for a model server to come back before they fail with 503."""


class ModelArgs(Section):
    """One model of the application: where it is served, and how it is decoded."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """What a request says in `model`."""
    managed: ManagedServer | None = None
    external: ExternalServer | None = None
    decoder: DecoderArgs = DecoderArgs()

    @model_validator(mode="after")
    def _one_kind_of_server(self) -> Self:
        if (self.managed is None) == (self.external is None):
            raise ValueError(f"model {self.name!r} needs either `managed` or `external`, and not both")
        return self

    @property
    def server(self) -> ManagedServer | ExternalServer:
        server = self.managed or self.external
        assert server is not None
        return server


class AppArgs(Section):
    """All of it."""

    models: tuple[ModelArgs, ...] = Field(min_length=1)
    ingress: ReplicaArgs = ReplicaArgs()
    tokenizer: ReplicaArgs = ReplicaArgs()
    detokenizer: ReplicaArgs = ReplicaArgs()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        twice = [name for name, count in Counter(m.name for m in self.models).items() if count > 1]
        if twice:
            raise ValueError(f"models are named twice: {', '.join(twice)}")
        return self
