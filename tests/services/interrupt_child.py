"""A process that interrupts its own main thread at random moments of everything a notebook does with the services.

Prints what it found as JSON: interrupts delivered, broken invariants, and sessions that never ended.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from contextlib import suppress

import torch
from PIL import Image

from nbgraph.invocations import BlankImage
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

PICTURE = Image.linear_gradient("L")


class Notebook:
    """The acts of a person, each of which may be interrupted."""

    def __init__(self, invoker: Invoker, seed: int) -> None:
        self.invoker, self.services, self.chance = invoker, invoker.services, random.Random(seed)

    def save(self) -> None:
        self.services.images.save(PICTURE, is_intermediate=self.chance.random() < 0.3)

    def save_tensors(self) -> None:
        self.services.latents.save({"latents": torch.ones(1, 4, 8, 8)})

    def look(self) -> None:
        for record in self.services.images.list(per_page=3).items:
            self.services.images.get(record.image_name)

    def change(self) -> None:
        for record in self.services.images.list(per_page=1).items:
            self.services.images.update(record.image_name, starred=not record.starred)

    def delete(self) -> None:
        self.services.images.delete(*(record.image_name for record in self.services.images.list(per_page=4).items))

    def delete_intermediates(self) -> None:
        self.services.images.delete_intermediates()

    def run(self) -> None:
        self.submit(BlankImage(id="blank", width=self.chance.randrange(64, 1024), height=64)).wait(5)

    def submit(self, node: BaseInvocation):
        return self.invoker.invoke(GraphExecutionState(Graph.of(node)))

    def forget(self) -> None:
        self.services.invocation_cache.forget(node="blank")

    def read_stats(self) -> None:
        self.services.performance_statistics.rows()

    def read_queue(self) -> None:
        self.services.queue.rows()

    def acts(self) -> list:
        return [
            self.save,
            self.save_tensors,
            self.look,
            self.change,
            self.delete,
            self.delete_intermediates,
            self.run,
            self.forget,
            self.read_stats,
            self.read_queue,
        ]


def interrupted(act, delay: float) -> bool:
    """Do something again and again until it is interrupted; whether the interrupt came through as one."""
    fired = threading.Event()

    def fire() -> None:
        time.sleep(delay)
        fired.set()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=fire)
    try:
        thread.start()
        while not fired.is_set():
            act()
        time.sleep(0.2)
    except KeyboardInterrupt:
        return True
    finally:
        thread.join()
    return False


def ends(notebook: Notebook) -> bool:
    """Whether what was submitted comes to an end."""
    deadline = time.monotonic() + 10
    while not notebook.services.queue.is_empty():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def broken(notebook: Notebook) -> list[str]:
    """What is not as it must be."""
    services, found = notebook.services, []
    status, entries = services.invocation_cache.status(), services.invocation_cache.entries()
    if (status.size, status.bytes) != (len(entries), sum(entry.bytes for entry in entries)):
        found.append(f"the cache counts {status.size} and has {len(entries)}")
    for record in services.images.list(per_page=1000).items:
        if not services.images.is_intact(record.image_name):
            found.append(f"image {record.image_name} has no whole file")
    for entry in entries:
        if not all(services.images.exists(name) for name in entry.resources):
            found.append(f"entry {entry.node} names what is deleted")
    before = services.images.list(per_page=1).total
    services.images.delete(services.images.save(PICTURE).image_name)
    if services.images.list(per_page=1).total != before:
        found.append("saving and deleting a picture left something")
    return found


def main(kind: str, folder: str, trials: int, seed: int) -> None:
    services = InvocationServices.memory() if kind == "memory" else InvocationServices.sqlite(folder)
    notebook = Notebook(Invoker(services), seed)
    chance, delivered, problems, wedged, slowest = random.Random(seed), 0, [], 0, 0.0
    notebook.run()
    for trial in range(trials):
        act = notebook.acts()[trial % 10]
        delay = chance.uniform(0, 0.02)
        began = time.monotonic()
        delivered += interrupted(act, delay)
        slowest = max(slowest, time.monotonic() - began - delay)
        wedged += not ends(notebook)
        problems += broken(notebook)
        if trial % 10 == 9 and not notebook.submit(BlankImage(id="after", width=64, height=64)).wait(10):
            wedged += 1
    with suppress(KeyboardInterrupt):
        notebook.invoker.stop()
    result = {"delivered": delivered, "broken": problems[:10], "wedged": wedged, "slowest": slowest}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
