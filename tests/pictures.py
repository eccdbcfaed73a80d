"""The text-to-image graph on the shipped model, as the tests use it."""

from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt


def apple(seed: int | None = 7, steps: int = 2, **noise) -> LatentsToImage:
    """The node that gives a picture; two steps are enough to tell one run from another."""
    model = ModelLoader(id="model", model="emoji")
    denoise = DenoiseLatents(
        id="denoise",
        unet=model,
        noise=Noise(id="noise", unet=model, seed=seed, **noise),
        positive=Prompt(id="prompt", text="a red apple", clip=model),
        negative=Prompt(id="negative", text="", clip=model),
        steps=steps,
        cfg_scale=4,
    )
    return LatentsToImage(id="image", latents=denoise, vae=model)
