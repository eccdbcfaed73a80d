"""The text encoder and the UNet that learn together, and the noise schedule they learn under."""

from pathlib import Path
from typing import Any, cast

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel

from .checkpoint import read_tensors
from .layout import CHANNELS, SIDE
from .nets import WordTokenizer, is_half_faster
from .text import TOKENS

WIDTH = 128  # values a token


def build_text_encoder(tokenizer: WordTokenizer) -> CLIPTextModel:
    """Return an untrained text encoder: (n, TOKENS) ids to (n, TOKENS, WIDTH); 0.6 M parameters."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_unet() -> UNet2DConditionModel:
    """Return an untrained UNet on (n, 8, 16, 16) latents, 4.9 M parameters, most of them at 8x8 and 4x4.

    The text comes in twice: token by token through cross-attention, and pooled, added to the time, into every layer.
    The second way is what lets so small a network learn so many drawings by heart. The plain attention processor is, at
    64 positions and on a CPU, twice as fast to train as the fused one.
    """
    unet = UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        layers_per_block=1,
        block_out_channels=(48, 96, 144),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )
    unet.set_attn_processor(AttnProcessor())
    return unet


def build_scheduler() -> DDIMScheduler:
    """Return the schedule: 1,000 steps, v-prediction, no signal left at the last one, trailing spacing."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )


class Denoiser(torch.nn.Module):
    """UNet and text encoder as one module whose output is its own training loss."""

    signal: torch.Tensor

    def __init__(self, tokenizer: WordTokenizer) -> None:
        super().__init__()
        self.unet = build_unet()
        self.text_encoder = build_text_encoder(tokenizer)
        self.register_buffer("signal", build_scheduler().alphas_cumprod)  # share of signal left at each time, (1000,)

    def begin_from(self, folder: Path) -> None:
        """Take the weights of an exported model.

        Words that its vocabulary lacks keep their random ones, and channels that its latents lack begin as unseen on
        the way in and as zero on the way out.
        """
        weights = read_tensors(folder / "unet" / "diffusion_pytorch_model.safetensors")
        with torch.no_grad():
            for name, own in self.unet.state_dict().items():
                known = weights[name]
                own.zero_()[tuple(slice(size) for size in known.shape)] = known
            words = read_tensors(folder / "text_encoder" / "model.safetensors")
            (embedding,) = (name for name in words if name.endswith("token_embedding.weight"))
            known = words.pop(embedding)
            self.text_encoder.load_state_dict(words, strict=False)
            cast(Any, self.text_encoder).get_input_embeddings().weight[: len(known)] = known

    def forward(self, latents: torch.Tensor, tokens: torch.Tensor, lateness: float) -> torch.Tensor:
        """Return the mean squared error of the predicted velocity.

        `latents` (n, 8, 16, 16) are as `layout.assemble` returns them; `tokens` is (n, TOKENS). The n times are spread
        over the schedule: evenly at a `lateness` of 1, and the more towards pure noise, where the text decides, the
        smaller it is.
        """
        count, device = len(latents), latents.device
        times = (torch.randperm(count, device=device) + torch.rand(count, device=device)) / count
        times = (times**lateness * len(self.signal)).long()
        noise = torch.randn_like(latents)
        kept = self.signal[times].sqrt().view(-1, 1, 1, 1)
        added = (1 - self.signal[times]).sqrt().view(-1, 1, 1, 1)
        with torch.autocast(device.type, torch.bfloat16, enabled=is_half_faster(device)):
            words = self.text_encoder(tokens)[0]
            predicted = self.unet(kept * latents + added * noise, times, words, return_dict=False)[0]
        return torch.nn.functional.mse_loss(predicted.float(), kept * noise - added * latents)
