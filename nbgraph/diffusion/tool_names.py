"""Names of samplers and schedules as ComfyUI has them, readable without loading diffusers."""

from typing import Literal

ToolSamplerName = Literal[
    "euler", "euler_ancestral", "heun", "lms", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "uni_pc", "uni_pc_bh2"
]
ToolScheduleName = Literal[
    "normal",
    "simple",
    "sgm_uniform",
    "ddim_uniform",
    "karras",
    "exponential",
    "beta",
    "kl_optimal",
    "linear_quadratic",
]
