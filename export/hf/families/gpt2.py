"""GPT-2: learned positions, layer norms; products are stored as (inputs, outputs), q, k and v as one."""

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.parts import layer_norm
from export.transformer_model.description import Attention, FeedForward, Layer, Norm, Transformer
from export.transformer_model.weight_source import WeightSources, tensor

MODEL_TYPE = "gpt2"
PREFIX = "transformer."
# Buffers of older checkpoints.
NOT_WEIGHTS = (".attn.bias", ".attn.masked_bias")


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("n_positions", 1024)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    width, heads = config.size("n_embd"), config.size("n_head")
    config.only("add_cross_attention", False)
    config.unused("n_ctx", "reorder_and_upcast_attn")
    head_dim = config.divided("n_embd", "n_head")
    inner = config.size("n_inner", 4 * width)
    feed_forward = FeedForward(inner, config.activation("activation_function", "gelu_new"), gated=False)
    scale = head_dim**-0.5 if config.flag("scale_attn_weights", True) else 1.0
    by_layer = config.flag("scale_attn_by_inverse_layer_idx", False)
    scales = [scale / (i + 1 if by_layer else 1) for i in range(config.size("n_layer"))]
    return Transformer(
        vocabulary_size=config.size("vocab_size"),
        context_length=context,
        width=width,
        norm=Norm("layer", config.number("layer_norm_epsilon", 1e-5)),
        layers=tuple(Layer(Attention(heads, heads, head_dim, each), feed_forward) for each in scales),
        tied=config.flag("tie_word_embeddings", True),
        learned_positions=True,
    )


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    width = model.width
    found = {
        "embedding": tensor("wte.weight", model.vocabulary_size, width),
        "positions": tensor("wpe.weight", context(config), width).rows(0, model.context_length),
    }
    found |= layer_norm("final_norm", "ln_f", width)
    if not model.tied:
        found["head.kernel"] = tensor("lm_head.weight", model.vocabulary_size, width)
    for i, layer in enumerate(model.layers):
        found |= {f"layers.{i}.{name}": source for name, source in _layer(f"h.{i}", layer, width).items()}
    return found


def _layer(stored: str, layer: Layer, width: int) -> WeightSources:
    """Returns the sources of the layer that the checkpoint names `stored`."""
    assert isinstance(layer.feed_forward, FeedForward)
    inner = layer.feed_forward.width
    norms = {"attention_norm": "ln_1", "feed_forward_norm": "ln_2"}
    products = {
        "qkv": ("attn.c_attn", width, 3 * width),
        "attention_output": ("attn.c_proj", width, width),
        "inner": ("mlp.c_fc", width, inner),
        "outer": ("mlp.c_proj", inner, width),
    }
    found: WeightSources = {}
    for name, part in norms.items():
        found |= layer_norm(name, f"{stored}.{part}", width)
    for name, (part, inputs, outputs) in products.items():
        found[f"{name}.kernel"] = tensor(f"{stored}.{part}.weight", inputs, outputs)
        found[f"{name}.bias"] = tensor(f"{stored}.{part}.bias", outputs)
    return found
