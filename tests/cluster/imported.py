"""What workers import to draw a picture; their processes are forked from one that has done it.

Most of the seconds of a worker's first picture are imports, and tests that kill workers begin with new ones.
"""

import diffusers
import transformers

from nbgraph import Studio
from tests.cluster import cluster_nodes

USED = (
    cluster_nodes,
    Studio,
    # named, as these packages import what is asked of them only
    diffusers.AutoencoderKL,
    diffusers.UNet2DConditionModel,
    diffusers.DPMSolverMultistepScheduler,
    transformers.CLIPTextModel,
    transformers.CLIPTokenizerFast,
)
