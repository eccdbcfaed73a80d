"""Tiny pipelines of families with a transformer that are tried from text to image alone.

Each function returns the pipeline in memory; `save_pretrained` writes its folder.
"""

from typing import Any

from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    AutoencoderKLQwenImage21,
    CogVideoXDDIMScheduler,
    CogView3PlusPipeline,
    CogView3PlusTransformer2DModel,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    HiDreamImagePipeline,
    HiDreamImageTransformer2DModel,
    HunyuanDiT2DModel,
    HunyuanDiTPipeline,
    Ideogram4Pipeline,
    Ideogram4Transformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    LuminaNextDiT2DModel,
    LuminaPipeline,
    NucleusMoEImagePipeline,
    NucleusMoEImageTransformer2DModel,
    OvisImagePipeline,
    OvisImageTransformer2DModel,
    PRXPipeline,
    PRXTransformer2DModel,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
)
from diffusers.pipelines.ideogram4.pipeline_ideogram4 import QWEN3_VL_ACTIVATION_LAYERS
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    Qwen3Config,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLModel,
)
from transformers.models.t5gemma.configuration_t5gemma import T5GemmaConfig, T5GemmaModuleConfig
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder

from tests.tiny_models.newer_transformers import gemma
from tests.tiny_models.parts import (
    CHAT,
    LISTED_CHAT,
    clip_projected,
    clip_tokenizer,
    image_tokenizer,
    qwen_tokenizer,
    tiny_t5,
    tiny_vae,
)


def krea2() -> Any:
    """Krea 2: a Qwen3-VL of which several layers are read, guidance that begins above 0, a VAE with a time axis."""
    transformer = Krea2Transformer2DModel(
        in_channels=16, num_layers=1, attention_head_dim=8, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=32, timestep_embed_dim=8, text_hidden_dim=16, num_text_layers=3, text_num_attention_heads=2,
        text_num_key_value_heads=1, text_intermediate_size=16, num_layerwise_text_blocks=1, num_refiner_text_blocks=1,
        axes_dims_rope=(4, 2, 2),
    )  # fmt: skip
    return Krea2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15),
        vae=_qwen_vae(), text_encoder=Qwen3VLModel(_qwen3_vl(layers=2)).eval(), tokenizer=image_tokenizer(CHAT),
        transformer=transformer, text_encoder_select_layers=(0, 1, 2),
    )  # fmt: skip


def nucleus() -> Any:
    """Nucleus MoE: a transformer without its experts, and a Qwen3-VL that reads the text by its processor."""
    transformer = NucleusMoEImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=4,
        joint_attention_dim=16, axes_dims_rope=(8, 4, 4), moe_enabled=False, capacity_factors=[8.0, 8.0],
    )  # fmt: skip
    tokenizer = image_tokenizer(CHAT)
    processor = Qwen2VLProcessor(Qwen2VLImageProcessorPil(), tokenizer, chat_template=CHAT)
    pipeline: Any = NucleusMoEImagePipeline  # whose processor may be of any class with a chat template
    return pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(), vae=_qwen_vae(),
        text_encoder=Qwen3VLForConditionalGeneration(_qwen3_vl(layers=8)).eval(), processor=processor,
    )  # fmt: skip


def qwen_image21() -> Any:
    """Qwen-Image 2.1: a transformer over latents of 16 pixels, an image with an alpha channel, and a Qwen3-VL."""
    transformer = QwenImage21Transformer2DModel(
        patch_size=1, in_channels=8, out_channels=8, num_layers=1, attention_head_dim=16, num_attention_heads=2,
        context_in_dim=16, mlp_ratio=2, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    vae = AutoencoderKLQwenImage21(
        base_dim=4, decoder_base_dim=4, z_dim=8, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1, attn_scales=[],
        temperal_downsample=[False, True, True, True], latents_mean=[0.0] * 8, latents_std=[1.0] * 8,
    )  # fmt: skip
    processor = Qwen2VLProcessor(Qwen2VLImageProcessorPil(), image_tokenizer(LISTED_CHAT), chat_template=LISTED_CHAT)
    pipeline: Any = QwenImage21Pipeline
    return pipeline(
        transformer=transformer, vae=vae.eval(), scheduler=FlowMatchEulerDiscreteScheduler(), processor=processor,
        text_encoder=Qwen3VLForConditionalGeneration(_qwen3_vl()).eval(),
    )  # fmt: skip


def ovis() -> Any:
    """Ovis-Image: packed latents, a Qwen3 that is told to describe the image."""
    transformer = OvisImageTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=16, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    config = Qwen3Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=128, max_position_embeddings=512, head_dim=8,
    )  # fmt: skip
    vae = tiny_vae(1, shift_factor=0.0609, scaling_factor=1.5035, use_quant_conv=False, use_post_quant_conv=False)
    tokenizer: Any = qwen_tokenizer(CHAT)
    return OvisImagePipeline(FlowMatchEulerDiscreteScheduler(), vae, Qwen3Model(config).eval(), tokenizer, transformer)


def lumina() -> Any:
    """Lumina-Next: a Gemma with an attention mask, and a VAE with the factor 8 that its pipeline takes for granted."""
    transformer = LuminaNextDiT2DModel(
        sample_size=4, patch_size=2, in_channels=4, hidden_size=16, num_layers=1, num_attention_heads=2,
        num_kv_heads=1, multiple_of=16, cross_attention_dim=8,
    )  # fmt: skip
    tokenizer: Any = qwen_tokenizer(CHAT)
    return LuminaPipeline(transformer, FlowMatchEulerDiscreteScheduler(), _vae_of_factor_8(), gemma(), tokenizer)


def cogview3() -> Any:
    """CogView 3 Plus: a transformer that is told sizes, and a T5."""
    tokenizer, t5 = tiny_t5()
    transformer = CogView3PlusTransformer2DModel(
        patch_size=2, in_channels=4, num_layers=1, attention_head_dim=4, num_attention_heads=2, out_channels=4,
        text_embed_dim=32, time_embed_dim=8, condition_dim=2, pos_embed_max_size=16, sample_size=16,
    )  # fmt: skip
    return CogView3PlusPipeline(tokenizer, t5, tiny_vae(), transformer, CogVideoXDDIMScheduler())  # type: ignore[arg-type]


def hunyuan() -> Any:
    """Hunyuan-DiT: a BERT and a T5 that read the same text, each by its index."""
    vocabulary = {
        piece: number for number, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"acdert"])
    }
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=77)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77,
    )  # fmt: skip
    t5_tokenizer, t5 = tiny_t5()
    transformer = HunyuanDiT2DModel(
        sample_size=16, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3, in_channels=4,
        cross_attention_dim=32, cross_attention_dim_t5=32, pooled_projection_dim=16, hidden_size=24,
    )  # fmt: skip
    pipeline: Any = HunyuanDiTPipeline
    return pipeline(
        vae=_vae_of_factor_8(), text_encoder=BertModel(config).eval(), tokenizer=tokenizer,
        transformer=transformer.eval(),
        scheduler=DDPMScheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        text_encoder_2=t5, tokenizer_2=t5_tokenizer,
    )  # fmt: skip


def ideogram4() -> Any:
    """Ideogram 4: a transformer for the text, another for no text, and a Qwen3-VL of which many layers are read."""
    width, deepest = 8, max(QWEN3_VL_ACTIVATION_LAYERS) + 1
    shape: Any = {
        "in_channels": 16, "num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 4, "intermediate_size": 32,
        "adaln_dim": 16, "llm_features_dim": len(QWEN3_VL_ACTIVATION_LAYERS) * width, "rope_theta": 10_000,
        "mrope_section": (2, 1, 1),
    }  # fmt: skip
    vae = AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",), block_out_channels=(8,),
        layers_per_block=1, latent_channels=4, norm_num_groups=1, sample_size=32,
    )  # fmt: skip
    return Ideogram4Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=vae.eval(), tokenizer=image_tokenizer(LISTED_CHAT),
        text_encoder=Qwen3VLModel(_qwen3_vl(width, deepest)).eval(),
        transformer=Ideogram4Transformer2DModel(**shape),
        unconditional_transformer=Ideogram4Transformer2DModel(**shape),
    )  # fmt: skip


def prx() -> Any:
    """PRX: a transformer over latents, and the encoder of a T5Gemma."""
    shape: Any = {
        "vocab_size": 128, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 4, "max_position_embeddings": 64, "layer_types": ["full_attention"],
        "query_pre_attn_scalar": 4, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
    }  # fmt: skip
    module = T5GemmaModuleConfig(**shape)
    # the encoder alone reads from the whole configuration what belongs to its part
    other = ("model_type", "transformers_version", "is_encoder_decoder")
    own = {name: value for name, value in module.to_dict().items() if name not in other}
    config = T5GemmaConfig(encoder=module, is_encoder_decoder=False, **own)
    transformer = PRXTransformer2DModel(
        patch_size=1, in_channels=4, context_in_dim=8, hidden_size=8, mlp_ratio=2.0, num_heads=2, depth=1,
        axes_dim=[2, 2],
    )  # fmt: skip
    tokenizer: Any = qwen_tokenizer(CHAT)
    tokenizer.model_max_length = 64
    vae = tiny_vae(shift_factor=0.0, scaling_factor=1.0, use_quant_conv=False, use_post_quant_conv=False)
    return PRXPipeline(transformer, FlowMatchEulerDiscreteScheduler(), T5GemmaEncoder(config).eval(), tokenizer, vae)


def hidream() -> Any:
    """HiDream: two CLIPs, a T5 and a Llama of which every layer is read."""
    tokenizer = clip_tokenizer()
    t5_tokenizer, t5 = tiny_t5()
    transformer = HiDreamImageTransformer2DModel(
        patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_channels=[32, 16], text_emb_dim=64, num_routed_experts=4,
        num_activated_experts=2, axes_dims_rope=(4, 2, 2), max_resolution=(32, 32), llama_layers=(0, 1),
        force_inference_output=True,
    ).eval()  # fmt: skip
    config = LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=128, max_position_embeddings=512, pad_token_id=0, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    pipeline: Any = HiDreamImagePipeline
    return pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=tiny_vae(shift_factor=0.1, scaling_factor=0.4),
        text_encoder=clip_projected(tokenizer), tokenizer=tokenizer, text_encoder_2=clip_projected(tokenizer),
        tokenizer_2=tokenizer, text_encoder_3=t5, tokenizer_3=t5_tokenizer,
        text_encoder_4=LlamaForCausalLM(config).eval(), tokenizer_4=qwen_tokenizer(CHAT), transformer=transformer,
    )  # fmt: skip


def _qwen3_vl(width: int = 16, layers: int = 2) -> Qwen3VLConfig:
    text = {
        "hidden_size": width, "intermediate_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 128, "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
    }  # fmt: skip
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": width,
              "deepstack_visual_indexes": [0]}  # fmt: skip
    return Qwen3VLConfig(
        text_config=text, vision_config=vision, image_token_id=120, video_token_id=121, vision_start_token_id=122,
        vision_end_token_id=123,
    )  # fmt: skip


def _qwen_vae() -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
        latents_mean=[0.1] * 4, latents_std=[1.5] * 4,
    ).eval()  # fmt: skip


def _vae_of_factor_8() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=4, layers_per_block=1,
        sample_size=32,
    ).eval()  # fmt: skip
