"""A fresh process that runs a first picture, is stopped while torch is loaded, and runs it again."""

import signal
import sys
import time

import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt
from nbgraph.progress import Progress
from nbgraph.services.model_manager.model_manager_base import SHIPPED


def picture(model_name: str = "emoji") -> LatentsToImage:
    model = ModelLoader(id="model", model=model_name)
    noise, prompt = Noise(id="noise", unet=model, seed=7), Prompt(id="prompt", text="a red apple", clip=model)
    denoise = DenoiseLatents(id="denoise", unet=model, noise=noise, steps=2, cfg_scale=1, positive=prompt)
    return LatentsToImage(id="picture", latents=denoise, vae=model)


def loaded() -> bool:
    """Whether torch and diffusers are there."""
    return "nbgraph.diffusion.description" in sys.modules


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    studio = nb.Studio()
    began = time.monotonic()
    submitted = studio.submit(picture())
    assert not loaded(), f"submit took {time.monotonic() - began:.1f} s: it waited for torch"
    while not submitted.progress.waits_for:
        assert not submitted.is_done, "torch was there already"
        time.sleep(0.01)
    assert "loading torch and diffusers" in str(submitted.progress)
    submitted.cancel()
    submitted.wait()
    assert submitted.status == "cancelled", submitted.status
    assert not loaded(), "cancel waited for torch"

    def stop_when_it_waits(progress: Progress) -> None:
        if "torch" in progress.waits_for:
            signal.raise_signal(signal.SIGINT)

    try:
        studio.run(picture(), progress=stop_when_it_waits)
        raise AssertionError("the first run was not stopped: it never showed that it waits for torch")
    except KeyboardInterrupt:
        assert studio.queue.frame.status.iloc[-1] == "cancelled"

    image = picture()
    run = studio.run(image, progress=False)
    assert run.status == "completed"
    assert run.images[0].size == run[image].image.size
    with_one_part = picture(str(SHIPPED / "emoji" / "vae"))
    try:
        studio.submit(with_one_part)
        raise AssertionError("with torch there, submit tells what is wrong at once")
    except nb.GraphError:
        print("all is well")


main()
