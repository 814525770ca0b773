"""phi and phi3; longrope, which has one set of factors for short texts and one for long ones.

A servable cannot change the set in the middle of a text, since keys of both would meet: it has the one for
the longest text that it may get.
"""

from tests.reference.case import Case

PHI = {
    "model_type": "phi",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": None,
    "max_position_embeddings": 256,
    "hidden_act": "gelu_new",
    "layer_norm_eps": 1e-5,
    "partial_rotary_factor": 0.5,
    "qk_layernorm": False,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "bos_token_id": None,
    "eos_token_id": None,
}
PHI3 = {
    "model_type": "phi3",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "original_max_position_embeddings": 256,
    "attention_bias": False,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "sliding_window": 40,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
FACTORS = {
    "long_factor": [1.1, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 16.0],
    "short_factor": [1.0, 1.05, 1.1, 1.3, 1.5, 2.0, 2.5, 3.0],
}

CASES = {
    "phi-plain": Case("one norm for both branches, half of each head rotates, a bias of the head", PHI),
    "phi-grouped": Case(
        "groups, norms of queries and keys, tied but for the bias; a part of 6.4 rotates 6",
        PHI
        | {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "hidden_size": 64,
            "partial_rotary_factor": 0.4,
            "qk_layernorm": True,
            "tie_word_embeddings": True,
        },
    ),
    "phi3-plain": Case("fused products, a window in every layer", PHI3),
    "phi3-longrope-short": Case(
        "short factors, since the export is limited to the original length; the scores' factor stays",
        PHI3
        | {
            "original_max_position_embeddings": 160,
            "rope_scaling": FACTORS | {"type": "longrope"},
            "sliding_window": None,
        },
        context=160,
    ),
    "phi3-longrope-long": Case(
        "long factors at every position, since the text is longer than the original length",
        PHI3
        | {
            "original_max_position_embeddings": 64,
            "rope_scaling": FACTORS | {"type": "longrope"},
            "sliding_window": None,
        },
        greedy_prompt=70,
    ),
    "phi3-partial": Case(
        "groups, three quarters of each head rotate, tied; as version 5 of the library writes it",
        {name: value for name, value in PHI3.items() if not name.startswith("rope_")}
        | {
            "num_key_value_heads": 1,
            "rope_parameters": {
                "long_factor": FACTORS["long_factor"][:6],
                "original_max_position_embeddings": 256,
                "partial_rotary_factor": 0.75,
                "rope_theta": 10000.0,
                "rope_type": "longrope",
                "short_factor": FACTORS["short_factor"][:6],
            },
            "sliding_window": 262144,
            "tie_word_embeddings": True,
        },
    ),
}
