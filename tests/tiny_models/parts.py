"""Text encoders, tokenizers, autoencoders and schedulers that several tiny models have."""

import json
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

WORDS = ("a", "red", "green", "blue", "apple", "pear", "cat", "dog", "house", "boat", "cloud", "sun", "tree", "car")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 .,-_:;'<>|/\n"


def clip_tokenizer(folder: Path | None = None) -> CLIPTokenizer:
    """A CLIP tokenizer of letters and a few merges, 77 tokens long; written to `folder` and read again, if given."""
    letters = [chr(code) for code in range(33, 127)]
    merges = ["r e", "re d</w>", "c a", "ca t</w>", "d o", "do g</w>"]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    if folder is None:
        return CLIPTokenizer(vocabulary, [tuple(merge.split()) for merge in merges], model_max_length=77)  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def _clip_config(tokenizer: CLIPTokenizer, width: int = 32, projection: int = 32) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=projection,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def clip(tokenizer: CLIPTokenizer, width: int = 32) -> CLIPTextModel:
    return CLIPTextModel(_clip_config(tokenizer, width)).eval()


def clip_projected(tokenizer: CLIPTokenizer, width: int = 32) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(_clip_config(tokenizer, width)).eval()


def tiny_vae(channels: int = 4, **options: object) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=8,
        sample_size=64,
        **options,  # type: ignore[arg-type]
    )


def flux_vae() -> AutoencoderKL:
    """An autoencoder of 16 channels, scaled and shifted as that of Flux."""
    return tiny_vae(16, shift_factor=0.1159, scaling_factor=0.3611, use_quant_conv=False, use_post_quant_conv=False)


def ddim() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip


def pieces_of(*special: str) -> list[tuple[str, float]]:
    """The pieces of a unigram tokenizer with their scores: special ones, a space, a few words, letters."""
    pieces = [(piece, -9.0 if piece == "<unk>" else 0.0) for piece in special] + [("▁", -2.0)]
    return pieces + [(f"▁{word}", -3.0) for word in WORDS] + [(letter, -5.0) for letter in _LETTERS[:36]]


def tiny_t5() -> tuple[T5TokenizerFast, T5EncoderModel]:
    pieces = pieces_of("<pad>", "</s>", "<unk>")
    tokenizer = T5TokenizerFast(vocab=pieces, extra_ids=0)
    config = T5Config(vocab_size=len(pieces), d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, pad_token_id=0)
    return tokenizer, T5EncoderModel(config).eval()


def qwen_tokenizer(template: str) -> Qwen2Tokenizer:
    letters = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]
    vocabulary = {
        piece: number for number, piece in enumerate([*letters, "<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    }
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = template
    return tokenizer


IMAGE_TOKENS = ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>"]


def image_tokenizer(template: str) -> Any:
    """A tokenizer that knows the tokens of images, as those of vision-language models do."""
    tokenizer: Any = qwen_tokenizer(template)
    tokenizer.add_special_tokens({"additional_special_tokens": IMAGE_TOKENS})
    tokenizer.image_token, tokenizer.video_token = "<|image_pad|>", "<|video_pad|>"  # noqa: S105
    return tokenizer


CHAT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
LISTED_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'][0]['text'] }}<|im_end|>\n{% endfor %}"
)
"""For pipelines that give the content of a message as a list."""
