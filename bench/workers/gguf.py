"""`python -m bench.workers.gguf CHECKPOINT FILE bf16|q8_0`: the checkpoint as llama.cpp reads it.

Written tensor by tensor: llama.cpp's own converter accepts only tokenizers that it knows by name.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from safetensors.numpy import load_file

_TYPES = {"bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
_FILE_TYPES = {"bf16": gguf.LlamaFileType.MOSTLY_BF16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
_BLOCK = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_ENDS = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}


def main(checkpoint: Path, out: Path, dtype: str) -> None:
    """Converts the checkpoint."""
    config = json.loads((checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "gpt2")
    _describe(writer, config, dtype)
    _vocabulary(writer, checkpoint, config)
    for name, value in load_file(checkpoint / "model.safetensors").items():
        _tensor(writer, name.removeprefix("transformer."), value, dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, config: dict, dtype: str) -> None:  # type: ignore[type-arg]
    writer.add_file_type(_FILE_TYPES[dtype])
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_block_count(config["n_layer"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])


def _vocabulary(writer: gguf.GGUFWriter, checkpoint: Path, config: dict) -> None:  # type: ignore[type-arg]
    model = json.loads((checkpoint / "tokenizer.json").read_text())
    ids = model["model"]["vocab"] | {token["content"]: token["id"] for token in model["added_tokens"]}
    special = {token["id"] for token in model["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(ids, key=ids.__getitem__))
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if i in special else kinds.NORMAL for i in range(len(ids))])
    writer.add_token_merges([" ".join(merge) for merge in model["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])


def _tensor(writer: gguf.GGUFWriter, name: str, value: np.ndarray, dtype: str) -> None:
    """Writes a matrix in `dtype`, each output's weights in a row; vectors and positions in float32."""
    stem, kind = name.rsplit(".", 1)
    if stem in _ENDS:
        target = _ENDS[stem]
    else:
        _, layer, part = stem.split(".", 2)
        target = f"blk.{layer}.{_BLOCK[part]}"
        value = value.T if value.ndim == 2 else value
    target = f"{target}.{kind}"
    if value.ndim == 1 or stem == "wpe":
        writer.add_tensor(target, np.ascontiguousarray(value, np.float32))
        return
    packed = quantize(np.ascontiguousarray(value, np.float32), _TYPES[dtype])
    writer.add_tensor(target, packed, raw_dtype=_TYPES[dtype])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
