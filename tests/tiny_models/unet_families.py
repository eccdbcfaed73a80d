"""Tiny pipelines of the older families with several networks in a row, or in pixels: run as a whole.

Each function returns the pipeline in memory; `save_pretrained` writes its folder.
"""

from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DDPMWuerstchenScheduler,
    IFPipeline,
    Kandinsky3Pipeline,
    Kandinsky3UNet,
    KandinskyCombinedPipeline,
    KandinskyV22CombinedPipeline,
    PriorTransformer,
    StableCascadeCombinedPipeline,
    StableCascadeUNet,
    UnCLIPScheduler,
    UNet2DConditionModel,
    VQModel,
    WuerstchenCombinedPipeline,
)
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel, WuerstchenDiffNeXt, WuerstchenPrior
from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP
from transformers import CLIPImageProcessorPil, XLMRobertaTokenizer

from tests.tiny_models.adapters import image_encoder
from tests.tiny_models.parts import clip, clip_projected, clip_tokenizer, pieces_of, tiny_t5

_ADDED: dict[str, Any] = {
    "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), "block_out_channels": (32, 64),
    "layers_per_block": 1, "cross_attention_dim": 32, "encoder_hid_dim": 32, "attention_head_dim": 8,
    "resnet_time_scale_shift": "scale_shift",
}  # fmt: skip
"""UNets whose text is added to the keys and values of self-attention: IF and Kandinsky 2."""


def deepfloyd_if() -> Any:
    """DeepFloyd IF: a UNet over pixels, and a T5."""
    tokenizer, t5 = tiny_t5()
    unet = UNet2DConditionModel(
        **_ADDED, sample_size=32, in_channels=3, out_channels=6, addition_embed_type="text",
        addition_embed_type_num_heads=2, cross_attention_norm="group_norm", act_fn="gelu",
    )  # fmt: skip
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True)
    return IFPipeline(tokenizer, t5, unet, scheduler, None, None, None, requires_safety_checker=False)


def kandinsky() -> Any:
    """Kandinsky 2.1: a prior from text to an image embedding, and a UNet that reads both."""
    vocabulary = [*pieces_of("<s>", "<pad>", "</s>", "<unk>"), ("<mask>", 0.0)]
    config = MCLIPConfig(
        transformerDimSize=32, imageDimSize=32, hidden_size=32, intermediate_size=37, num_attention_heads=4,
        num_hidden_layers=2, vocab_size=len(vocabulary), max_position_embeddings=80,
    )  # fmt: skip
    return KandinskyCombinedPipeline(
        text_encoder=MultilingualCLIP(config).eval(), tokenizer=XLMRobertaTokenizer(vocab=vocabulary),
        unet=_kandinsky_unet("text_image", "text_image_proj"), scheduler=_ddim(), movq=_movq(), **_prior(),
    )  # fmt: skip


def kandinsky22() -> Any:
    """Kandinsky 2.2: a prior from text to an image embedding, and a UNet that reads that alone."""
    unet = _kandinsky_unet("image", "image_proj")
    return KandinskyV22CombinedPipeline(unet=unet, scheduler=_ddim(), movq=_movq(), **_prior())


def kandinsky3() -> Any:
    """Kandinsky 3: a UNet and a T5, over latents of a MoVQ."""
    tokenizer, t5 = tiny_t5()
    unet = Kandinsky3UNet(
        in_channels=4, time_embedding_dim=4, groups=2, attention_head_dim=4, layers_per_block=3,
        block_out_channels=(32, 64), cross_attention_dim=4, encoder_hid_dim=32,
    )  # fmt: skip
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", steps_offset=1)
    return Kandinsky3Pipeline(tokenizer, t5, unet, scheduler, _movq())


def wuerstchen() -> Any:
    """Wuerstchen: a prior in a very small latent space, a decoder and a VQGAN."""
    tokenizer = clip_tokenizer()
    return WuerstchenCombinedPipeline(
        tokenizer=tokenizer, text_encoder=clip(tokenizer),
        decoder=WuerstchenDiffNeXt(
            c_cond=32, c_hidden=[32], nhead=[-1], blocks=[1], level_config=["CT"], clip_embd=32, inject_effnet=[False]
        ).eval(),
        scheduler=DDPMWuerstchenScheduler(), vqgan=_vqgan(), prior_tokenizer=tokenizer,
        prior_text_encoder=clip(tokenizer),
        prior_prior=WuerstchenPrior(c_in=2, c=8, depth=2, c_cond=32, c_r=8, nhead=2).eval(),
        prior_scheduler=DDPMWuerstchenScheduler(),
    )  # fmt: skip


def cascade() -> Any:
    """Stable Cascade: the same stages with other networks."""
    tokenizer = clip_tokenizer()
    prior = StableCascadeUNet(
        in_channels=4, out_channels=4, conditioning_dim=32, block_out_channels=(16, 16), num_attention_heads=(2, 2),
        down_num_layers_per_block=(1, 1), up_num_layers_per_block=(1, 1), clip_image_in_channels=32,
        clip_text_in_channels=32, clip_text_pooled_in_channels=32, switch_level=(False,),
    )  # fmt: skip
    decoder = StableCascadeUNet(
        in_channels=4, out_channels=4, patch_size=2, conditioning_dim=32, block_out_channels=(16, 16),
        num_attention_heads=(-1, 2), down_num_layers_per_block=(1, 1), up_num_layers_per_block=(1, 1),
        block_types_per_layer=(
            ("SDCascadeResBlock", "SDCascadeTimestepBlock"),
            ("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),
        ),
        clip_text_pooled_in_channels=32, effnet_in_channels=4, pixel_mapper_in_channels=3,
    )  # fmt: skip
    return StableCascadeCombinedPipeline(
        tokenizer=tokenizer, text_encoder=clip_projected(tokenizer), decoder=decoder.eval(),
        scheduler=DDPMWuerstchenScheduler(), vqgan=_vqgan(), prior_prior=prior.eval(),
        prior_text_encoder=clip_projected(tokenizer), prior_tokenizer=tokenizer,
        prior_scheduler=DDPMWuerstchenScheduler(),
    )  # fmt: skip


def _kandinsky_unet(added: str, hidden: str) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **_ADDED, in_channels=4, out_channels=8, addition_embed_type=added, encoder_hid_dim_type=hidden
    ).eval()


def _prior() -> dict[str, Any]:
    tokenizer = clip_tokenizer()
    prior = PriorTransformer(num_attention_heads=2, attention_head_dim=12, embedding_dim=32, num_layers=1).eval()
    torch.nn.init.ones_(prior.clip_std)  # zeros would make every embedding zero
    scheduler = UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=10.0)
    return {
        "prior_prior": prior, "prior_image_encoder": image_encoder(), "prior_text_encoder": clip_projected(tokenizer),
        "prior_tokenizer": tokenizer, "prior_scheduler": scheduler,
        "prior_image_processor": CLIPImageProcessorPil(size=32, crop_size=32),
    }  # fmt: skip


def _movq() -> VQModel:
    return VQModel(
        block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"], latent_channels=4, layers_per_block=1,
        norm_num_groups=8, norm_type="spatial", num_vq_embeddings=12, vq_embed_dim=4,
    ).eval()  # fmt: skip


def _vqgan() -> PaellaVQModel:
    return PaellaVQModel(bottleneck_blocks=1, num_vq_embeddings=2, embed_dim=16).eval()


def _ddim() -> DDIMScheduler:
    return DDIMScheduler(
        beta_schedule="linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip
