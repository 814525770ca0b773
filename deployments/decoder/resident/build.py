"""Builds the decode loop of a servable with resident state."""

from contract.manifest import Pool
from deployments.config import DecoderArgs
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.draft_model import DraftModel
from deployments.decoder.resident.engine import ResidentEngine
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.servers.connect import ConnectedServers
from deployments.messages import ServableDescription


def build_loop(
    connected: ConnectedServers, args: DecoderArgs, draft: ConnectedServers | None, draft_bytes: int
) -> DecodeLoop:
    """Builds a loop over a pool in the model server, of at most `args.state_bytes` bytes.

    `draft` are the servers of a draft model, whose pool has at most `draft_bytes` bytes. Raises ValueError if
    a model does not have exactly one model server, if its bytes are less than a block, or if the draft model
    has explicit state or another tokenizer.
    """
    pool, layout = _pool(connected, args.state_bytes, args.max_running)
    draft_model = None
    if draft is not None:
        _check_draft(connected.servable, draft.servable)
        name, most_slots = draft.servable.id.model, layout.slot_count
        draft_model = DraftModel(name, *_pool(draft, draft_bytes, most_slots), draft.servers)
    slots = SlotTable(layout, pool.block_size, args.prefix_cache)
    lease = Lease(connected.servers, layout.slots)
    engine = ResidentEngine(pool, slots, lease, args.stream_interval_s, args.draft_tokens, draft_model)
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


def _pool(connected: ConnectedServers, state_bytes: int, most_slots: int) -> tuple[Pool, BlockLayout]:
    """Returns the description of the servable's pool, and its layout in `state_bytes` bytes."""
    name, pool = connected.servable.id.model, connected.servable.manifest.pool
    assert pool is not None, "a servable with resident state describes its pool"
    if len(connected.replicas) != 1:
        raise ValueError(
            f"{name} keeps its state in the model server, so a decoder replica must have one model "
            f"server, not {len(connected.replicas)}; use more decoder replicas instead"
        )
    blocks = state_bytes // pool.bytes_per_block
    if blocks < 1:
        raise ValueError(
            f"{name}: state_bytes {state_bytes} is less than one block of {pool.bytes_per_block} bytes"
        )
    return pool, BlockLayout.of(blocks, most_slots, pool.blocks)


def _check_draft(servable: ServableDescription, draft: ServableDescription) -> None:
    """Raises ValueError unless `draft` can draft token ids of `servable`."""
    sizes = [each.manifest.vocabulary_size for each in (draft, servable)]
    if draft.manifest.pool is None:
        reason = "it must have resident state"
    elif sizes[0] != sizes[1]:
        reason = f"their vocabularies have {sizes[0]} and {sizes[1]} tokens"
    elif draft.tokenizer != servable.tokenizer:
        reason = "their tokenizers differ"
    else:
        return
    raise ValueError(f"{draft.id.model} cannot be the draft model of {servable.id.model}: {reason}")
