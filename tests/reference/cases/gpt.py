"""Families of before rotary positions were common, or with their own layout: gpt2, gpt_neox, opt, falcon."""

from tests.reference.case import Case

GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 64,
    "n_positions": 256,
    "n_ctx": 256,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "attn_pdrop": 0.1,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
GPT_NEOX = {
    "model_type": "gpt_neox",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "use_parallel_residual": True,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "bos_token_id": 0,
    "eos_token_id": 0,
}
OPT = {
    "model_type": "opt",
    "vocab_size": 64,
    "hidden_size": 32,
    "ffn_dim": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "activation_function": "relu",
    "do_layer_norm_before": True,
    "word_embed_proj_dim": 32,
    "torch_dtype": "float16",
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 2,
}
FALCON = {
    "model_type": "falcon",
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "layer_norm_epsilon": 1e-5,
    "alibi": False,
    "apply_residual_connection_post_layernorm": False,
    "bias": False,
    "multi_query": True,
    "new_decoder_architecture": False,
    "parallel_attn": True,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 1,
}

CASES = {
    "gpt2-plain": Case("names without a prefix, as the first published files have", GPT2, "transformer."),
    "gpt2-untied": Case(
        "scores divided by the layer's number, a head of its own, another width and activation",
        GPT2
        | {
            "activation_function": "relu",
            "n_inner": 40,
            "n_layer": 3,
            "reorder_and_upcast_attn": True,
            "scale_attn_by_inverse_layer_idx": True,
            "tie_word_embeddings": False,
        },
    ),
    "gpt2-unscaled": Case("scores not divided by anything", GPT2 | {"scale_attn_weights": False}),
    "gpt_neox-plain": Case("a quarter of each head rotates; the branches are parallel", GPT_NEOX),
    "gpt_neox-sequential": Case(
        "one branch after the other, the whole head rotates, attention without biases, tied",
        GPT_NEOX
        | {
            "attention_bias": False,
            "hidden_act": "gelu_new",
            "num_attention_heads": 4,
            "rotary_emb_base": 500,
            "rotary_pct": 1.0,
            "tie_word_embeddings": True,
            "use_parallel_residual": False,
        },
    ),
    "gpt_neox-rope-parameters": Case(
        "the configuration as version 5 of the library writes it, scaled linearly",
        {name: value for name, value in GPT_NEOX.items() if not name.startswith("rotary_")}
        | {
            "dtype": "float16",
            "hidden_act": "gelu_fast",
            "rope_parameters": {
                "factor": 2.0,
                "partial_rotary_factor": 0.5,
                "rope_theta": 1000.0,
                "rope_type": "linear",
            },
        },
    ),
    "opt-plain": Case("positions begin at row 2 of their table", OPT),
    "opt-projected": Case(
        "norms after the branches, none at the end, embeddings of another size; names without `model.`",
        OPT | {"do_layer_norm_before": False, "word_embed_proj_dim": 24},
        "model.",
    ),
    "opt-bare": Case(
        "no biases, no weights in norms, none at the end, a head of its own",
        OPT
        | {
            "_remove_final_layer_norm": True,
            "activation_function": "gelu",
            "enable_bias": False,
            "layer_norm_elementwise_affine": False,
            "tie_word_embeddings": False,
        },
    ),
    "falcon-multi-query": Case("one head of keys, parallel branches after one norm", FALCON),
    "falcon-grouped": Case(
        "queries, keys and values in groups; two norms",
        FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "falcon-one-norm": Case(
        "groups with one norm for both branches; a head of its own, another width and activation",
        FALCON
        | {
            "activation": "gelu_pytorch_tanh",
            "ffn_hidden_size": 48,
            "new_decoder_architecture": True,
            "num_kv_heads": 2,
            "num_ln_in_parallel_attn": 1,
            "rope_theta": 500.0,
            "tie_word_embeddings": False,
        },
    ),
    "falcon-sequential": Case(
        "one branch after the other, biases, as many heads of keys as of queries",
        FALCON | {"bias": True, "multi_query": False, "parallel_attn": False},
    ),
    "falcon-alibi": Case(
        "biases by distance, of heads that are no power of two; the library's eager way adds them twice",
        FALCON
        | {
            "alibi": True,
            "bias": True,
            "hidden_size": 48,
            "multi_query": False,
            "num_attention_heads": 12,
            "parallel_attn": False,
        },
        attention="sdpa",
    ),
}
