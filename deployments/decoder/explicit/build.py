"""Builds the decode loop of a servable with explicit state."""

from deployments.config import DecoderArgs
from deployments.decoder.explicit.admission import ReservedAdmission
from deployments.decoder.explicit.engine import ExplicitEngine
from deployments.decoder.explicit.state_store import StateStore
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.servers.connect import ConnectedServers


def build_loop(connected: ConnectedServers, args: DecoderArgs) -> DecodeLoop:
    """Builds a loop that holds the state of all sequences in this process, in `args.state_bytes` at most."""
    manifest = connected.servable.manifest
    engine = ExplicitEngine(StateStore(manifest), connected.servers, args.stream_interval_s)
    limits = Limits(args.max_batch_size, args.max_running, args.max_waiting, args.prefill_token_budget)
    admission = ReservedAdmission(args.state_bytes, manifest.state_bytes)
    return DecodeLoop(Scheduler(limits, admission), engine, args.stream_interval_s)
