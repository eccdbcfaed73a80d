"""What a graph costs over the plain pipeline call: the same picture, 20 steps, on the shipped model, in one process."""

import statistics
import time

import torch
from diffusers import StableDiffusionPipeline
from pictures import apple

from nbgraph import Studio
from nbgraph.services.model_manager.model_manager_base import SHIPPED

STEPS, CFG, ROUNDS = 20, 4.0, 7


def test_a_graph_against_the_plain_pipeline_call(benchmark):
    torch.set_num_threads(1)
    pipeline = StableDiffusionPipeline.from_pretrained(
        SHIPPED / "emoji", dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    studio, image = Studio(), apple(steps=STEPS)

    def plain(seed: int) -> float:
        began = time.process_time()
        generator = torch.Generator("cpu").manual_seed(seed)
        _ = pipeline(
            "a red apple", negative_prompt="", num_inference_steps=STEPS, guidance_scale=CFG, generator=generator
        )
        return time.process_time() - began

    def graph(seed: int) -> float:
        began = time.process_time()
        with studio.cache.off():
            studio.run(image, {"noise.seed": seed}, progress=False)
        return time.process_time() - began

    plain(0)
    graph(0)
    pairs = benchmark.pedantic(lambda: [(graph(seed), plain(seed)) for seed in range(1, ROUNDS + 1)], rounds=1)
    ratios = [ours / theirs for ours, theirs in pairs]
    median = statistics.median(ratios)
    print(f"\ngraph / plain pipeline, {STEPS} steps, CPU time: median {median:.3f}, best {min(ratios):.3f}")
