"""Mixtures of experts: mixtral, qwen3_moe."""

from tests.reference.case import Case

MIXTRAL = {
    "model_type": "mixtral",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "hidden_act": "silu",
    "num_experts_per_tok": 2,
    "num_local_experts": 4,
    "output_router_logits": False,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
QWEN3_MOE = {
    "model_type": "qwen3_moe",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "hidden_act": "silu",
    "max_window_layers": 2,
    "mlp_only_layers": [],
    "moe_intermediate_size": 24,
    "norm_topk_prob": True,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "output_router_logits": False,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

CASES = {
    "mixtral-plain": Case("two of four experts, whose weights add up to one", MIXTRAL),
    "mixtral-window": Case(
        "three of eight, a window in every layer, tied; the base that absence means",
        {name: value for name, value in MIXTRAL.items() if name != "rope_theta"}
        | {
            "num_experts_per_tok": 3,
            "num_key_value_heads": 4,
            "num_local_experts": 8,
            "sliding_window": 40,
            "tie_word_embeddings": True,
        },
    ),
    "qwen3_moe-plain": Case("norms of queries and keys; two of eight experts", QWEN3_MOE),
    "qwen3_moe-mixed": Case(
        "every second layer has experts but the last; weights that do not add up to one; windows",
        QWEN3_MOE
        | {
            "attention_bias": True,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [3],
            "norm_topk_prob": False,
            "num_experts_per_tok": 3,
            "num_hidden_layers": 4,
            "num_key_value_heads": 4,
            "sliding_window": 16,
            "tie_word_embeddings": True,
            "use_sliding_window": True,
        },
    ),
}
