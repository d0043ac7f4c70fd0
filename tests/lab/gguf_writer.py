"""Write a random-weight model that a real runner loads; run by the interpreter that has gguf and numpy.

Usage: gguf_writer.py FILE SEED FEED_FORWARD_WIDTH ARCHITECTURE
A `llama` speaks in bytes (every token is one), so that any prompt works and any answer is nonsense; a
`nomic-bert` is an embedding model, for which /api/generate answers 400.
"""

# mypy: disable-error-code="import-not-found, import-untyped"

import sys

import gguf
import numpy as np

EMBEDDING = 64
HEADS = 4
LAYERS = 2
CONTEXT = 2048
EPSILON = 1e-5


def main(path: str, seed: int, width: int, architecture: str) -> None:
    """Write one file."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"random {seed}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(width)
    writer.add_head_count(HEADS)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)

    def add(name: str, *shape: int, kind: type = np.float16) -> None:
        if len(shape) == 1:  # a norm or a bias
            writer.add_tensor(name, np.ones(shape, dtype=np.float32))
            return
        rows = min(shape[0], 4096)  # a big matrix repeats a small one: random numbers are slower than a disk
        block = (random.standard_normal((rows, *shape[1:])) * 0.05).astype(kind)
        writer.add_tensor(name, np.resize(block, shape))

    vocabulary = _bert(writer) if architecture == "nomic-bert" else _llama(writer)
    add("token_embd.weight", vocabulary, EMBEDDING)
    if architecture == "nomic-bert":
        add("token_types.weight", 2, EMBEDDING, kind=np.float32)  # the runner adds it to sums in F32
        norms = [f"blk.{n}.{part}_output_norm" for n in range(LAYERS) for part in ("attn", "layer")]
        for norm in ("token_embd_norm", *norms):
            add(f"{norm}.weight", EMBEDDING)
            add(f"{norm}.bias", EMBEDDING)
        for n in range(LAYERS):
            add(f"blk.{n}.attn_qkv.weight", 3 * EMBEDDING, EMBEDDING)
            add(f"blk.{n}.attn_output.weight", EMBEDDING, EMBEDDING)
    else:
        add("output.weight", vocabulary, EMBEDDING)
        add("output_norm.weight", EMBEDDING)
        for n in range(LAYERS):
            add(f"blk.{n}.attn_norm.weight", EMBEDDING)
            add(f"blk.{n}.ffn_norm.weight", EMBEDDING)
            for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
                add(f"blk.{n}.{part}.weight", EMBEDDING, EMBEDDING)
    for n in range(LAYERS):
        add(f"blk.{n}.ffn_gate.weight", width, EMBEDDING)
        add(f"blk.{n}.ffn_up.weight", width, EMBEDDING)
        add(f"blk.{n}.ffn_down.weight", EMBEDDING, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _llama(writer: gguf.GGUFWriter) -> int:
    kinds = gguf.TokenType
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    return len(tokens)


def _bert(writer: gguf.GGUFWriter) -> int:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *("\u2581" + letter for letter in letters), *letters]
    writer.add_layer_norm_eps(EPSILON)
    writer.add_rope_freq_base(10000.0)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_type_count(2)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_unk_token_id(1)
    writer.add_sep_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_mask_token_id(4)
    return len(tokens)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
