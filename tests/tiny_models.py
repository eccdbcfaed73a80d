"""Builders of tiny models with random weights, in the diffusers layout: the real classes, about a million parameters.

Each `build_NAME(folder)` writes one model and returns the folder. Pictures are 64x64; nothing is downloaded.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    ControlNetModel,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

WORDS = ("a", "red", "green", "blue", "apple", "pear", "cat", "dog", "house", "boat", "cloud", "sun", "tree", "car")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 .,-_:;'<>|/\n"


def clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer of letters and a few merges, 77 tokens long; written to `folder` and read again."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(33, 127)]
    merges = ["r e", "re d</w>", "c a", "ca t</w>", "d o", "do g</w>"]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
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


def _clip(tokenizer: CLIPTokenizer, width: int = 32) -> CLIPTextModel:
    return CLIPTextModel(_clip_config(tokenizer, width)).eval()


def _clip_projected(tokenizer: CLIPTokenizer, width: int = 32) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(_clip_config(tokenizer, width)).eval()


def _vae(channels: int = 4, **options: object) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=8,
        sample_size=64,
        **options,  # type: ignore[arg-type]
    )


def _ddim() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip


def _t5() -> tuple[T5TokenizerFast, T5EncoderModel]:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -3.0) for word in WORDS] + [(letter, -5.0) for letter in _LETTERS[:36]]
    tokenizer = T5TokenizerFast(vocab=pieces, extra_ids=0)
    config = T5Config(vocab_size=len(pieces), d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, pad_token_id=0)
    return tokenizer, T5EncoderModel(config).eval()


def _qwen_tokenizer(template: str) -> Qwen2Tokenizer:
    letters = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]
    vocabulary = {
        piece: number for number, piece in enumerate([*letters, "<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    }
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = template
    return tokenizer


_CHAT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


def build_sd15(folder: Path) -> Path:
    """Stable Diffusion 1.5: UNet, one CLIP, DDIM; VAE with factor 2."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=16,
    )
    StableDiffusionPipeline(
        vae=_vae(), text_encoder=_clip(tokenizer), tokenizer=tokenizer, unet=unet, scheduler=_ddim(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_sdxl(folder: Path) -> Path:
    """Stable Diffusion XL: UNet, two CLIPs, Euler; VAE with factor 2."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
        norm_num_groups=16,
    )
    StableDiffusionXLPipeline(
        vae=_vae(), text_encoder=_clip(tokenizer), text_encoder_2=_clip_projected(tokenizer), tokenizer=tokenizer,
        tokenizer_2=clip_tokenizer(folder / "tokenizer_2"), unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        add_watermarker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_sd3(folder: Path) -> Path:
    """Stable Diffusion 3: transformer, two CLIPs and T5, flow matching; 16 latent channels, VAE with factor 2."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    t5_tokenizer, t5 = _t5()
    transformer = SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=32, pooled_projection_dim=64,
        out_channels=16, pos_embed_max_size=96,
    )  # fmt: skip
    StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(16, shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_clip_projected(tokenizer, 16), tokenizer=tokenizer,
        text_encoder_2=_clip_projected(tokenizer, 16), tokenizer_2=clip_tokenizer(folder / "tokenizer_2"),
        text_encoder_3=t5, tokenizer_3=t5_tokenizer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_flux(folder: Path) -> Path:
    """Flux: transformer with packed latents and an input for guidance, CLIP and T5, flow matching, dynamic shift."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    t5_tokenizer, t5 = _t5()
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    FluxPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=_vae(16, shift_factor=0.1159, scaling_factor=0.3611, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_clip(tokenizer), tokenizer=tokenizer, text_encoder_2=t5, tokenizer_2=t5_tokenizer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_pixart(folder: Path) -> Path:
    """PixArt-Sigma: transformer and T5 with an attention mask, DPM++; its pipeline cannot be interrupted."""
    torch.manual_seed(0)
    tokenizer, t5 = _t5()
    transformer = PixArtTransformer2DModel(
        sample_size=32, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=4, caption_channels=32,
        in_channels=4, cross_attention_dim=32, out_channels=8, attention_bias=True, activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000, norm_type="ada_norm_single", norm_elementwise_affine=False, norm_eps=1e-6,
        use_additional_conditions=False,
    )  # fmt: skip
    PixArtSigmaPipeline(
        tokenizer=tokenizer, text_encoder=t5, vae=_vae(), transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_qwen_image(folder: Path) -> Path:
    """Qwen-Image: transformer with packed latents, a vision-language text encoder, a VAE with a time axis."""
    torch.manual_seed(0)
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=64, out_channels=16, num_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, guidance_embeds=False, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    vae = AutoencoderKLQwenImage(
        base_dim=8, z_dim=16, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
        latents_mean=[0.1] * 16, latents_std=[1.5] * 16,
    )  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "rope_parameters": {"mrope_section": [2, 2, 4], "rope_type": "default",
            "type": "default", "rope_theta": 10000.0}, "vocab_size": 128,
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32,
        },
        image_token_id=120, video_token_id=121, vision_start_token_id=122, vision_end_token_id=123,
    )  # fmt: skip
    QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0), vae=vae,
        text_encoder=Qwen2_5_VLForConditionalGeneration(config).eval(), tokenizer=_qwen_tokenizer(_CHAT),
        transformer=transformer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_z_image(folder: Path) -> Path:
    """Z-Image: transformer over lists of embeddings of any length, Qwen3, guidance that begins above 0."""
    torch.manual_seed(0)
    transformer = ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, qk_norm=True, cap_feat_dim=16, rope_theta=256.0, t_scale=1000.0, axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )  # fmt: skip
    for parameter in transformer.parameters():
        if not torch.isfinite(parameter).all() or parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.02)
    config = Qwen3Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=128, max_position_embeddings=512, head_dim=8,
    )  # fmt: skip
    ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(16, shift_factor=0.1159, scaling_factor=0.3611, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=Qwen3Model(config).eval(), tokenizer=_qwen_tokenizer(_CHAT), transformer=transformer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_controlnet(folder: Path, model: Path) -> Path:
    """A ControlNet for the UNet of a tiny SD1.5 or SDXL, whose zero convolutions are not zero."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", local_files_only=True)
    control = ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(16, 32), load_weights_from_unet=False
    )
    for name, parameter in control.named_parameters():
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.05)
        if name.startswith("controlnet_"):
            torch.nn.init.normal_(parameter, std=0.2)
    control.save_pretrained(folder)
    return folder


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "sd15": build_sd15,
    "sdxl": build_sdxl,
    "sd3": build_sd3,
    "flux": build_flux,
    "pixart": build_pixart,
    "qwen-image": build_qwen_image,
    "z-image": build_z_image,
}
