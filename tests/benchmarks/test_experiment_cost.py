"""What experiments cost and how well they know it: seeds of a sweep in one call, and estimates of runs held out."""

import statistics
import time

import torch

import nbgraph as nb

SEEDS = 8


def test_eight_seeds_of_a_sweep_beside_one_by_one(benchmark):
    torch.set_num_threads(1)
    image = nb.text_to_image("a red apple", seed=1, steps=8)

    def seconds(studio: nb.Studio, strict: bool) -> float:
        began = time.process_time()
        with studio.cache.off():
            grid = studio.sweep(image, {"noise.seed": range(SEEDS)}, progress=False, strict=strict)
        assert grid.runs[0].stats.set_index("node").batch["denoise"] == (1 if strict else SEEDS)
        return time.process_time() - began

    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        seconds(studio, False)  # loads the model
        rows = benchmark.pedantic(lambda: [(seconds(studio, False), seconds(studio, True)) for _ in range(3)], rounds=1)
    ratio = statistics.median(apart / together for together, apart in rows)
    print(f"\neight seeds of a sweep together: {ratio:.2f} times the throughput of one by one (CPU time, 1 thread)")


def test_estimates_of_held_out_runs_after_ten(benchmark):
    image = nb.text_to_image("a red apple", seed=1, steps=4, width=128, height=128)
    learnt = [(4, 128), (6, 128), (8, 128), (12, 128), (4, 192), (8, 192), (4, 256), (6, 256), (5, 128), (10, 128)]
    held_out = [(7, 128), (16, 128), (6, 192), (12, 192), (8, 256)]

    def values(number: int, steps: int, size: int) -> dict[str, int]:
        return {"noise.seed": number, "noise.width": size, "noise.height": size, "denoise.steps": steps}

    def errors() -> list[float]:
        with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
            for number, each in enumerate(learnt):
                studio.run(image, values(number, *each), progress=False)
            found = []
            for number, each in enumerate(held_out):
                guess = studio.estimate(image, values(100 + number, *each)).seconds
                took = studio.run(image, values(100 + number, *each), progress=False).node_seconds
                found.append(abs(guess / took - 1))
            return found

    found = benchmark.pedantic(errors, rounds=1)
    print(f"\nestimates of {len(held_out)} held-out runs: off by {100 * statistics.median(found):.0f} % (median)")
