"""The configuration of the application, validated where it enters.

It stands in `serve_config.yaml` under `args`. Unknown keys are errors. Each deployment receives only its own
section.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

MIB = 1024 * 1024


class Section(BaseModel):
    """A section of the configuration: immutable; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReplicaArgs(Section):
    """How many replicas (processes) a deployment has, and the resources of each."""

    replicas: PositiveInt = 1
    num_cpus: Annotated[float, Field(ge=0)] = 0.1
    """CPUs that Ray reserves for each replica."""
    max_ongoing_requests: PositiveInt = 1024
    """Requests that a replica handles at the same time."""
    max_replicas_per_node: PositiveInt | None = None
    """None: no limit. Set 1 for decoders that keep resident state in an external server on their node."""


class ManagedServer(Section):
    """Model servers that a decoder starts on its own node, supervises, and stops when it ends."""

    base_path: Path
    """The directory with the model's version directories; relative to the directory where Ray was started."""
    replicas: PositiveInt = 1
    """Model servers per decoder replica."""
    binary: str | None = None
    """Path of a `tensorflow_model_server`; None: the one on the PATH, else the embedded server."""
    flags: tuple[str, ...] = ()
    """Further flags of the server, such as `--tensorflow_intra_op_parallelism=2`."""
    start_timeout_s: PositiveFloat = 300.0
    """Seconds within which a started server must have loaded the model."""


class ExternalServer(Section):
    """Model servers that are started and supervised by someone else."""

    addresses: tuple[str, ...] = Field(min_length=1)
    """gRPC targets, such as `10.0.0.7:8500`, `unix:/run/serving.sock` or `dns:///serving:8500`; a DNS name
    stands for every address it resolves to."""
    model_name: str | None = None
    """The model's name on these servers; None: the same name as in this configuration."""
    model_version: PositiveInt | None = None
    """The version to serve; None: the latest version that is loaded when the decoder starts."""


class DraftArgs(Section):
    """A small model that drafts tokens for speculative decoding, with the same tokenizer."""

    managed: ManagedServer | None = None
    external: ExternalServer | None = None
    state_bytes: PositiveInt = 256 * MIB
    """Bytes for its state of all sequences of one decoder replica."""
    step_timeout_s: PositiveFloat = 5.0
    """Deadline of one call, in seconds; then drafts are left out until its server answers again."""

    @model_validator(mode="after")
    def _one_kind_of_server(self) -> Self:
        _require_one("a draft model", self.managed, self.external)
        return self


def _require_one(owner: str, managed: ManagedServer | None, external: ExternalServer | None) -> None:
    if (managed is None) == (external is None):
        raise ValueError(f"{owner} needs either `managed` or `external`, and not both")


class DecoderArgs(ReplicaArgs):
    """The limits of one decoder replica's decode loop."""

    num_cpus: Annotated[float, Field(ge=0)] = 0.2
    max_batch_size: PositiveInt = 32
    """Batch rows in one call of a model server."""
    max_running: PositiveInt = 64
    """Sequences that hold state at the same time."""
    max_waiting: Annotated[int, Field(ge=0)] = 256
    """Sequences that wait for admission; one more gets HTTP status 429."""
    prefill_token_budget: PositiveInt = 512
    """Prompt tokens that one step may process; with explicit state, padding included."""
    state_bytes: PositiveInt = 1024 * MIB
    """Bytes for the state of all sequences of one decoder replica."""
    prefix_cache: bool = True
    """With resident state: whether a prompt reuses the state of an earlier sequence with the same prefix."""
    draft_tokens: Annotated[int, Field(ge=0)] = 15
    """With resident state: the longest draft of speculative decoding, in tokens; 0 turns it off. Drafts
    come from the sequence's own token ids (prompt lookup) and are used where that is faster; the output stays
    the same."""
    stream_interval_s: PositiveFloat = 0.1
    """The least time, in seconds, between two chunks of a stream, after the first. Also how long one call may
    decode several steps while no sequence waits, and, with resident state, how long one prefill call may
    delay the others."""
    step_timeout_s: PositiveFloat = 60.0
    """Deadline of one call of a model server, in seconds."""
    recovery_timeout_s: PositiveFloat = 60.0
    """Seconds that sequences wait for a lost model server before they fail with HTTP status 503."""


class ModelArgs(Section):
    """One model of the application: its model servers and the limits of its decoder."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """The name that requests give in `model`."""
    managed: ManagedServer | None = None
    external: ExternalServer | None = None
    draft: DraftArgs | None = None
    """With resident state: a model whose drafts are used where that is faster; the output stays the same."""
    decoder: DecoderArgs = DecoderArgs()

    @model_validator(mode="after")
    def _one_kind_of_server(self) -> Self:
        _require_one(f"model {self.name!r}", self.managed, self.external)
        return self

    @property
    def server(self) -> ManagedServer | ExternalServer:
        """The section of the model's servers, of either kind."""
        server = self.managed or self.external
        assert server is not None
        return server

    @property
    def draft_model(self) -> "ModelArgs | None":
        """The draft model as a model of its own, named after this one."""
        if self.draft is None:
            return None
        decoder = self.decoder.model_copy(
            update={"state_bytes": self.draft.state_bytes, "step_timeout_s": self.draft.step_timeout_s}
        )
        return ModelArgs(
            name=f"{self.name}-draft",
            managed=self.draft.managed,
            external=self.draft.external,
            decoder=decoder,
        )


class AppArgs(Section):
    """The whole configuration: the models, and the other deployments' replicas."""

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
