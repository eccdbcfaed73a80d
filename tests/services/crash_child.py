"""A process that forks kernels which work in a folder until they are killed. What they were told is kept is logged.

Reads `folder log seed` lines, prints the process id of each kernel. The log has a line for each acknowledged act, and
one for each deletion that was begun.
"""

import os
import random
import signal
import sys

import torch
from PIL import Image

from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


def work(folder: str, log: int, seed: int) -> None:
    chance = random.Random(seed)
    invoker = Invoker(InvocationServices.sqlite(folder))
    services = invoker.services

    def note(*words: str) -> None:
        os.write(log, (" ".join(words) + "\n").encode())

    item = Iterate(id="each", collection=[chance.randrange(10**9) for _ in range(2000)])
    graph = Graph.of(Collect(id="all", item=Add(id="sum", a=item.output("item"), b=1)))
    note("session", invoker.invoke(GraphExecutionState(graph)).session.id)
    kept: list[str] = []
    while True:
        picture = Image.effect_noise((64, 64), chance.randrange(1, 99)).convert("RGB")
        record = services.images.save(picture, is_intermediate=chance.random() < 0.2)
        note("image", record.image_name, record.content)
        kept.append(record.image_name)
        tensors = services.latents.save({"latents": torch.randn(1, 4, 8, 8)})
        note("tensors", tensors.name, tensors.content)
        if chance.random() < 0.3:
            name = kept.pop(chance.randrange(len(kept)))
            note("deleting", name)
            services.images.delete(name)
            note("deleted", name)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        folder, path, seed = line.split()
        child = os.fork()
        if child == 0:
            work(folder, os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), int(seed))
        print(child, flush=True)


if __name__ == "__main__":
    main()
