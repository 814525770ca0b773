"""Families with one idea of their own each: olmo, olmo2, granite, smollm3, starcoder2, stablelm."""

from tests.reference.case import Case

OLMO2 = {
    "model_type": "olmo2",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
    "attention_bias": False,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 500000,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "pad_token_id": 1,
    "eos_token_id": 2,
}
OLMO = {key: value for key, value in OLMO2.items() if key != "rms_norm_eps"} | {
    "model_type": "olmo",
    "clip_qkv": None,
    "num_key_value_heads": 2,
    "rope_theta": 10000.0,
}
GRANITE = OLMO2 | {
    "model_type": "granite",
    "attention_multiplier": 0.2,
    "embedding_multiplier": 1.5,
    "logits_scaling": 0.8,
    "mlp_bias": False,
    "num_key_value_heads": 2,
    "residual_multiplier": 0.8,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
SMOLLM3 = OLMO2 | {
    "model_type": "smollm3",
    "mlp_bias": False,
    "no_rope_layer_interval": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "rope_theta": 5000000.0,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
}
STARCODER2 = {
    "model_type": "starcoder2",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "hidden_act": "gelu_pytorch_tanh",
    "mlp_type": "default",
    "norm_epsilon": 1e-5,
    "norm_type": "layer_norm",
    "rope_theta": 100000,
    "sliding_window": 40,
    "use_bias": True,
    "torch_dtype": "bfloat16",
    "bos_token_id": 0,
    "eos_token_id": 0,
}
STABLELM = {
    "model_type": "stablelm",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "hidden_act": "silu",
    "layer_norm_eps": 1e-5,
    "partial_rotary_factor": 0.25,
    "qk_layernorm": False,
    "rope_theta": 10000,
    "tie_word_embeddings": False,
    "use_qkv_bias": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 0,
    "eos_token_id": 0,
}

CASES = {
    "olmo2-plain": Case("norms after the branches, and over all queries and all keys at once", OLMO2),
    "olmo2-grouped": Case(
        "groups, biases, tied",
        OLMO2 | {"attention_bias": True, "num_key_value_heads": 2, "tie_word_embeddings": True},
    ),
    "olmo-plain": Case("layer norms without scales or offsets; groups", OLMO),
    "olmo-biases": Case(
        "biases of queries, keys, values and outputs; tied",
        OLMO | {"attention_bias": True, "tie_word_embeddings": True},
    ),
    "granite-plain": Case("four multipliers; tied", GRANITE),
    "granite-untied": Case(
        "multipliers that are absent are 1, that of the scores too; biases, no groups",
        {name: value for name, value in GRANITE.items() if "multiplier" not in name}
        | {
            "attention_bias": True,
            "logits_scaling": 0.8,
            "mlp_bias": True,
            "num_key_value_heads": 4,
            "tie_word_embeddings": False,
        },
    ),
    "smollm3-plain": Case("every fourth layer does not rotate", SMOLLM3),
    "smollm3-windows": Case(
        "layers that do not rotate by a list, and have windows; biases; not tied",
        SMOLLM3
        | {
            "attention_bias": True,
            "mlp_bias": True,
            "no_rope_layers": [0, 1, 0, 1],
            "num_key_value_heads": 4,
            "sliding_window": 16,
            "tie_word_embeddings": False,
            "use_sliding_window": True,
        },
    ),
    "starcoder2-window": Case("biases, a window in every layer; tied", STARCODER2),
    "starcoder2-unbiased": Case(
        "biases of norms alone; no window, no groups, not tied; as version 5 of the library writes it",
        {name: value for name, value in STARCODER2.items() if name != "rope_theta"}
        | {
            "hidden_act": "gelu",
            "norm_epsilon": 1e-3,
            "num_key_value_heads": 4,
            "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"},
            "sliding_window": None,
            "tie_word_embeddings": False,
            "use_bias": False,
        },
    ),
    "stablelm-plain": Case("a quarter of each head rotates; norms with biases, products without", STABLELM),
    "stablelm-biases": Case(
        "biases of queries, keys and values; tied",
        STABLELM | {"tie_word_embeddings": True, "use_qkv_bias": True},
    ),
    "stablelm-parallel": Case(
        "parallel branches after one norm, a norm for each head of queries and keys, groups",
        STABLELM
        | {
            "num_attention_heads": 4,
            "partial_rotary_factor": 0.5,
            "qk_layernorm": True,
            "use_parallel_residual": True,
        },
    ),
}
