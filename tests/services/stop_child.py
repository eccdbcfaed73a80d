"""A notebook's kernel that is stopped at random moments: while torch is imported, models are loaded and pictures drawn.

Every third interrupt comes by `interrupt_main`, the others by a signal. Prints what it found as JSON; `late` are acts
whose run did more after it was cancelled than end the step that it was in, and `beyond` is the longest time, in
seconds, from the end of that step to the interrupt in the cell: how long Stop takes without what cannot be stopped.
"""

import _thread
import json
import os
import random
import signal
import sys
import time
import weakref
from collections import Counter
from collections.abc import Callable

import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt
from nbgraph.services.events.events_common import Event, NodeProgress, NodeStarted

STEPS = 6
WEDGED_SECONDS = 300.0
"""A run that waits for torch on a busy machine takes a minute; one that is wedged never ends."""


def picture(seed: int) -> LatentsToImage:
    model = ModelLoader(id="model", model="emoji")
    noise, prompt = Noise(id="noise", unet=model, seed=seed), Prompt(id="prompt", text="a red apple", clip=model)
    denoise = DenoiseLatents(id="denoise", unet=model, noise=noise, steps=STEPS, cfg_scale=1, positive=prompt)
    return LatentsToImage(id="picture", latents=denoise, vae=model)


class Watch:
    """Notes, by the events of a studio, what runs do after they are cancelled, and when the last of it happened."""

    def __init__(self, studio: nb.Studio) -> None:
        self._processor = weakref.ref(studio.services.processor)
        self.steps_of_cancelled: Counter[str] = Counter()
        self.last = 0.0
        studio.services.events.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        self.last = time.monotonic()
        processor = self._processor()
        handle = processor._handles.get(event.session_id) if processor is not None else None
        if handle is not None and handle.cancel.requested and isinstance(event, NodeStarted | NodeProgress):
            self.steps_of_cancelled[event.session_id] += 1


class Notebook:
    """What a person does, each of which may be stopped."""

    def __init__(self, seed: int) -> None:
        self.chance, self.studio = random.Random(seed), nb.Studio()
        self.watch = Watch(self.studio)

    def run(self) -> None:
        self.studio.run(picture(self.chance.randrange(10**6)), progress=False)

    def run_shown(self) -> None:
        self.studio.run(picture(self.chance.randrange(10**6)), progress=lambda progress: str(progress))

    def load_and_run(self) -> None:
        self.studio.unload_models()
        self.run()

    def submit(self) -> None:
        self.studio.submit(picture(self.chance.randrange(10**6))).wait()

    def sweep(self) -> None:
        seeds = self.chance.sample(range(10**6), 2)
        self.studio.sweep(picture(1), {"noise.seed": seeds}, progress=False)

    def look(self) -> None:
        frames = self.studio.stats, self.studio.queue.frame, self.studio.loaded_models, self.studio.images.frame
        assert [frame.ndim for frame in frames] == [2] * 4

    def begin_again(self) -> None:
        before, self.studio = self.studio, nb.Studio()
        self.watch = Watch(self.studio)
        before.close()
        self.run()

    def acts(self) -> list[Callable[[], None]]:
        acts = [self.run, self.load_and_run, self.submit, self.run_shown, self.sweep, self.look, self.begin_again]
        return [self.run, self.run_shown, *acts]


def stopped(act: Callable[[], None], delay: float, by_signal: bool) -> tuple[float, float] | None:
    """Do something again and again until it is stopped; when it was and when that showed, None if it never did."""
    fired: list[float] = []

    def fire() -> None:
        time.sleep(delay)
        fired.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT) if by_signal else _thread.interrupt_main()

    try:
        _thread.start_new_thread(fire, ())  # `Thread.start` waits, and might be what is interrupted
        while not fired:
            act()
        time.sleep(1)
    except KeyboardInterrupt:
        return fired[0], time.monotonic()
    return None


def idle_within(studio: nb.Studio, seconds: float) -> bool:
    """Whether what was submitted comes to an end."""
    end = time.monotonic() + seconds
    while not studio.services.queue.is_empty():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def main(trials: int, seed: int) -> None:
    chance, notebook = random.Random(seed), Notebook(seed)
    delivered, while_loading, wedged, late, failed = 0, 0, [], [], []
    slowest, beyond = 0.0, 0.0
    for trial in range(trials):
        acts = notebook.acts()
        act = acts[trial % len(acts)]
        is_loaded = "nbgraph.diffusion.description" in sys.modules
        delay = chance.uniform(0, 0.4 if is_loaded else 1.0)
        watch = notebook.watch
        moments = stopped(act, delay, by_signal=trial % 3 > 0)
        if moments is not None:
            began, ended = moments
            delivered, slowest = delivered + 1, max(slowest, ended - began)
            beyond = max(beyond, ended - max(began, watch.last)) if act != notebook.begin_again else beyond
            while_loading += not is_loaded
        if not idle_within(notebook.studio, WEDGED_SECONDS):
            wedged.append(act.__name__)
        if max(watch.steps_of_cancelled.values(), default=0) > 2:  # a node that began in that moment, and its step
            late.append(f"{act.__name__}: {watch.steps_of_cancelled}")
        watch.steps_of_cancelled.clear()
        if trial % 10 == 9 or trial == trials - 1:
            after = notebook.studio.submit(picture(trial)).wait(120)
            if after.status != "completed":
                failed.append(f"{after.status}: {after.errors}")
    notebook.studio.close()
    found = {"delivered": delivered, "while_loading": while_loading, "wedged": wedged, "failed": failed, "late": late}
    print(json.dumps({**found, "slowest": slowest, "beyond": beyond}), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
    main(int(sys.argv[1]), int(sys.argv[2]))
