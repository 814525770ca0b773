"""Builds the decode loop of a servable with resident state."""

from deployments.config import DecoderArgs
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.engine import ResidentEngine
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.servers.connect import ConnectedServers


def build_loop(connected: ConnectedServers, args: DecoderArgs) -> DecodeLoop:
    """Builds a loop over a pool in the model server, of at most `args.state_bytes` bytes.

    Raises ValueError if there is not exactly one model server, or if `args.state_bytes` is less than a block.
    """
    manifest = connected.servable.manifest
    pool = manifest.pool
    assert pool is not None, "a servable with resident state describes its pool"
    if len(connected.replicas) != 1:
        raise ValueError(
            f"{manifest.name} keeps its state in the model server, so a decoder replica must have one model "
            f"server, not {len(connected.replicas)}; use more decoder replicas instead"
        )
    blocks = args.state_bytes // pool.bytes_per_block
    if blocks < 1:
        raise ValueError(
            f"state_bytes {args.state_bytes} is less than one block of {pool.bytes_per_block} bytes"
        )
    layout = BlockLayout.of(blocks, args.max_running, pool.blocks)
    slots = SlotTable(layout, pool.block_size, args.prefix_cache)
    lease = Lease(connected.servers, layout.slots)
    engine = ResidentEngine(pool, slots, lease, args.stream_interval_s, args.draft_tokens)
    limits = Limits(
        # A decode call spans the first slots for any batch, so smaller batches would not make it cheaper.
        layout.slot_count,
        layout.slot_count,
        args.max_waiting,
        args.prefill_token_budget,
        one_pass=True,
        min_shared_prefix=pool.block_size if args.prefix_cache else None,
    )
    return DecodeLoop(Scheduler(limits, BlockAdmission(pool, layout)), engine, args.stream_interval_s)
