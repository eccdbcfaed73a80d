"""Names of samplers: those of A1111 and its kin, and the scheduler of this package that each one is."""

DRAWING = ("euler_ancestral", "dpmpp_2m_sde", "dpmpp_3m_sde")
"""Samplers, as ComfyUI calls them, that draw noise between steps."""
OTHER_GENERATOR = "the noise it draws between steps comes from another generator"
TOOL_SAMPLERS = {
    "euler": "Euler", "euler_ancestral": "Euler a", "heun": "Heun", "lms": "LMS", "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_3m_sde": "DPM++ 3M SDE", "uni_pc": "UniPC",
}  # fmt: skip
"""Samplers by ComfyUI's names, as A1111 calls them."""
TOOL_SCHEDULES = {
    "karras": "Karras", "exponential": "Exponential", "sgm_uniform": "SGM Uniform", "simple": "Simple",
    "normal": "Normal", "ddim_uniform": "DDIM", "kl_optimal": "KL Optimal",
}  # fmt: skip
"""Schedules by ComfyUI's names, as A1111 calls them; its `Beta` is another one than ComfyUI's."""

A1111_NAMES: dict[str, tuple[str, str]] = {
    "ddim": ("DDIM", ""),
    "ddpm": ("DDPM", ""),
    "deis": ("DEIS", ""),
    "lms": ("LMS", ""),
    "lms_k": ("LMS", "Karras"),
    "pndm": ("PNDM", ""),
    "heun": ("Heun", ""),
    "heun_k": ("Heun", "Karras"),
    "euler": ("Euler", ""),
    "euler_k": ("Euler", "Karras"),
    "euler_a": ("Euler a", ""),
    "kdpm_2": ("DPM2", ""),
    "kdpm_2_a": ("DPM2 a", ""),
    "dpmpp_2s": ("DPM++ 2S", ""),
    "dpmpp_2s_k": ("DPM++ 2S", "Karras"),
    "dpmpp_2m": ("DPM++ 2M", ""),
    "dpmpp_2m_k": ("DPM++ 2M", "Karras"),
    "dpmpp_2m_sde": ("DPM++ 2M SDE", ""),
    "dpmpp_2m_sde_k": ("DPM++ 2M SDE", "Karras"),
    "dpmpp_sde": ("DPM++ SDE", ""),
    "dpmpp_sde_k": ("DPM++ SDE", "Karras"),
    "unipc": ("UniPC", ""),
    "lcm": ("LCM", ""),
    "flow_euler": ("Euler", "Simple"),
    "flow_heun": ("Heun", "Simple"),
}
"""Scheduler of `denoise_latents` -> (sampler, schedule type) as A1111 calls them."""


_CLASSES = {
    "DDIMScheduler": "ddim",
    "DDPMScheduler": "ddpm",
    "DEISMultistepScheduler": "deis",
    "DPMSolverMultistepScheduler": "dpmpp_2m",
    "DPMSolverSinglestepScheduler": "dpmpp_2s",
    "EulerAncestralDiscreteScheduler": "euler_a",
    "EulerDiscreteScheduler": "euler",
    "FlowMatchEulerDiscreteScheduler": "flow_euler",
    "FlowMatchHeunDiscreteScheduler": "flow_heun",
    "HeunDiscreteScheduler": "heun",
    "LCMScheduler": "lcm",
    "LMSDiscreteScheduler": "lms",
    "PNDMScheduler": "pndm",
    "UniPCMultistepScheduler": "unipc",
}


def a1111_name(scheduler: str, own_class: str = "") -> tuple[str, str]:
    """Return (sampler, schedule type) as A1111 calls a scheduler; `default` is the model's own, of `own_class`."""
    name = _CLASSES.get(own_class, own_class or scheduler) if scheduler == "default" else scheduler
    return A1111_NAMES.get(name, (name, ""))
