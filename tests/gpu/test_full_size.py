"""Models of full size: the pictures of the plain pipeline, in about its time and memory, alone and eight together."""

from statistics import median

import numpy as np
from gpu.sizes import Bench, Drawn
from PIL import Image

ROUNDS, SEEDS = 3, 8
LARGEST = 2
"""What pictures drawn together may differ by from those drawn alone, of 255: kernels are chosen by sizes."""


def difference(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())


def shown(what: str, drawn: list[Drawn]) -> str:
    seconds = [each.seconds for each in drawn]
    peak = max(each.bytes for each in drawn) / 2**30
    return f"{what} {median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f}), {peak:.2f} GiB over weights"


def test_a_graph_draws_what_the_plain_pipeline_draws(bench: Bench):
    bench.by_graph(0)
    bench.plain(0)
    pairs = [(bench.by_graph(seed), bench.plain(seed)) for seed in range(1, ROUNDS + 1)]
    ours, plain = (list(column) for column in zip(*pairs))
    ratio = median(mine.seconds / theirs.seconds for mine, theirs in pairs)
    print(f"\n{bench.name}: {shown('graph', ours)}; {shown('diffusers', plain)}; {ratio:.3f} times")
    assert [difference(mine.pictures[0], theirs.pictures[0]) for mine, theirs in pairs] == [0] * ROUNDS


def test_eight_seeds_together_are_those_of_each_alone(bench: Bench):
    seeds = range(SEEDS)
    bench.by_graph(*seeds)
    together = [bench.by_graph(*seeds) for _ in range(2)]
    alone = [bench.by_graph(*seeds, strict=True) for _ in range(2)]
    times = median(each.seconds for each in alone) / median(each.seconds for each in together)
    print(f"\n{bench.name}, 8 seeds: {shown('together', together)}; {shown('one by one', alone)}; {times:.2f} times")
    pairs = zip(together[0].pictures, alone[0].pictures, strict=True)
    assert max(difference(one, other) for one, other in pairs) <= LARGEST


def test_memory_in_the_stats_is_what_torch_counts(bench: Bench):
    rows, counted = bench.stats_of(seed=3)
    for node in ("denoise", "image"):
        assert (rows[node].vram_peak, rows[node].vram_reserved) == counted[node]
