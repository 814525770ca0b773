"""gemma, gemma2 and gemma3_text: norms that add one, soft caps, local and global layers."""

from tests.reference.case import Case

GEMMA = {
    "model_type": "gemma",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "attention_bias": False,
    "hidden_act": "gelu",
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "torch_dtype": "bfloat16",
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
}
GEMMA2 = GEMMA | {
    "model_type": "gemma2",
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "head_dim": 8,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "query_pre_attn_scalar": 16,
    "sliding_window": 16,
}
GEMMA3 = {
    "model_type": "gemma3_text",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 12,
    "rms_norm_eps": 1e-6,
    "rope_local_base_freq": 100.0,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    "rope_theta": 10000.0,
    "sliding_window": 16,
    "sliding_window_pattern": 3,
    "torch_dtype": "bfloat16",
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
}

CASES = {
    "gemma-plain": Case("one head of keys; `gelu` means its approximation by tanh", GEMMA),
    "gemma-untied": Case(
        "as many heads of keys as of queries, a head of its own, whose logits nothing scales",
        GEMMA
        | {
            "hidden_act": "gelu_pytorch_tanh",
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-3,
            "tie_word_embeddings": False,
        },
    ),
    "gemma2-plain": Case("windows in every second layer, the published caps, a scale of its own", GEMMA2),
    "gemma2-low-caps": Case(
        "caps that nearly all scores and logits feel; layers by name; a head of its own",
        GEMMA2
        | {
            "attn_logit_softcapping": 1.5,
            "final_logit_softcapping": 5.0,
            "layer_types": [
                "full_attention",
                "full_attention",
                "sliding_attention",
                "sliding_attention",
            ],
            "rms_norm_eps": 1e-2,
            "sliding_window": 40,
            "tie_word_embeddings": False,
        },
    ),
    "gemma2-uncapped": Case(
        "no caps; as many heads of keys as of queries",
        GEMMA2 | {"attn_logit_softcapping": None, "final_logit_softcapping": None, "num_key_value_heads": 4},
    ),
    "gemma3_text-plain": Case(
        "local layers rotate on a base of their own, and only global ones are scaled", GEMMA3
    ),
    "gemma3_text-default-pattern": Case(
        "every sixth layer is global, since the configuration says nothing else; one head of keys",
        {name: value for name, value in GEMMA3.items() if name != "sliding_window_pattern"}
        | {"num_hidden_layers": 6, "num_key_value_heads": 1, "rope_scaling": None, "sliding_window": 40},
    ),
    "gemma3_text-rope-parameters": Case(
        "the configuration as version 5 of the library writes it; capped logits; a head of its own",
        {
            name: value
            for name, value in GEMMA3.items()
            if not name.startswith("rope_") and name != "sliding_window_pattern"
        }
        | {
            "final_logit_softcapping": 5.0,
            "layer_types": [
                "sliding_attention",
                "full_attention",
                "sliding_attention",
                "full_attention",
            ],
            "rope_parameters": {
                "full_attention": {"factor": 4.0, "rope_theta": 50000.0, "rope_type": "linear"},
                "sliding_attention": {"rope_theta": 500.0, "rope_type": "default"},
            },
            "rms_norm_eps": 1e-2,
            "tie_word_embeddings": False,
        },
    ),
}
