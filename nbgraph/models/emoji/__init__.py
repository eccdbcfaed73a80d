"""A small text-to-image model: 128x128 drawings in the style of Noto Color Emoji, in plain diffusers layout.

`StableDiffusionPipeline.from_pretrained(FOLDER, dtype=torch.float32, safety_checker=None)` loads it. Importing this
module loads no library.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
STEPS = 20  # recommended, with DDIM
GUIDANCE = 3.0  # recommended guidance scale (cfg)
