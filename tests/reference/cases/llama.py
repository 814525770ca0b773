"""llama with every rope scaling, and the families that are nearly it: mistral, qwen2, qwen3."""

from tests.reference.case import Case

LLAMA = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "pretraining_tp": 1,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = LLAMA | {
    "attention_bias": False,
    "head_dim": 16,
    "mlp_bias": False,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_theta": 10000.0,
    "torch_dtype": "bfloat16",
}
MISTRAL = {
    "model_type": "mistral",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "sliding_window": 40,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
QWEN2 = MISTRAL | {
    "model_type": "qwen2",
    "max_window_layers": 1,
    "num_hidden_layers": 3,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "sliding_window": 16,
    "use_sliding_window": False,
}
QWEN3 = QWEN2 | {
    "model_type": "qwen3",
    "attention_bias": False,
    "head_dim": 16,
    "max_window_layers": 3,
    "rope_scaling": None,
    "sliding_window": None,
    "tie_word_embeddings": True,
}

CASES = {
    "llama-plain": Case("the second generation: neither groups nor scaling, most keys absent", LLAMA),
    "llama-llama3": Case(
        "the third generation: groups, tied, fast and slow rotations scaled apart",
        LLAMA3
        | {
            "rope_scaling": {
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 160,
                "rope_type": "llama3",
            },
            "tie_word_embeddings": True,
        },
    ),
    "llama-linear": Case(
        "all rotations slower; the old name of the kind",
        LLAMA | {"rope_scaling": {"factor": 4.0, "type": "linear"}},
    ),
    "llama-dynamic": Case(
        "up to max_position_embeddings as if it were not scaled",
        LLAMA | {"rope_scaling": {"factor": 2.0, "type": "dynamic"}},
    ),
    "llama-yarn": Case(
        "slow rotations slower, scores sharper",
        LLAMA3
        | {"rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 64, "rope_type": "yarn"}},
    ),
    "llama-yarn-tuned": Case(
        "yarn with every number given, as version 5 of the library writes it",
        {name: value for name, value in LLAMA3.items() if not name.startswith("rope_")}
        | {
            "rope_parameters": {
                "beta_fast": 6.0,
                "beta_slow": 0.5,
                "factor": 4.0,
                "mscale": 0.7,
                "mscale_all_dim": 0.3,
                "original_max_position_embeddings": 64,
                "rope_theta": 500.0,
                "rope_type": "yarn",
                "truncate": False,
            },
        },
    ),
    "llama-biases": Case(
        "biases everywhere, one head of keys, heads that are wider than a share of the model",
        LLAMA3
        | {
            "attention_bias": True,
            "head_dim": 12,
            "hidden_act": "gelu",
            "mlp_bias": True,
            "num_key_value_heads": 1,
        },
    ),
    "mistral-window": Case("a window in every layer", MISTRAL),
    "mistral-wide-heads": Case(
        "no window, heads of another size, tied",
        MISTRAL
        | {"head_dim": 16, "rope_theta": 1000000.0, "sliding_window": None, "tie_word_embeddings": True},
    ),
    "qwen2-plain": Case("biases of queries, keys and values; a window that is not used", QWEN2),
    "qwen2-windows": Case(
        "a window from the second layer on; tied; as many heads of keys as of queries",
        QWEN2 | {"num_key_value_heads": 4, "tie_word_embeddings": True, "use_sliding_window": True},
    ),
    "qwen2-yarn": Case(
        "the scaling of long contexts, under the old name of the kind",
        QWEN2
        | {
            "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 64, "type": "yarn"},
            "rope_theta": 10000.0,
        },
    ),
    "qwen3-plain": Case("norms of queries and keys, wide heads, tied", QWEN3),
    "qwen3-everything": Case(
        "biases, windows in some layers by name, a factor of the scores; not tied",
        QWEN3
        | {
            "attention_bias": True,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "num_key_value_heads": 4,
            "rope_scaling": {
                "attention_factor": 1.3,
                "factor": 4.0,
                "original_max_position_embeddings": 64,
                "rope_type": "yarn",
            },
            "sliding_window": 40,
            "tie_word_embeddings": False,
            "use_sliding_window": True,
        },
    ),
}
