"""Every cell of docs/models.md as a graph of nodes: a tiny model of the family, doing what the column says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image as PillowImage
from PIL import ImageDraw
from torch import Tensor

import nbgraph as nb
from nbgraph.invocations import (
    BlurImage,
    ClipSkip,
    ControlNet,
    CreateDenoiseMask,
    DenoiseLatents,
    Image,
    ImageToLatents,
    IpAdapter,
    Iterate,
    LatentsToImage,
    LoraLoader,
    ModelLoader,
    Noise,
    Prompt,
    SdxlPrompt,
    T2iAdapter,
    WeightedPrompt,
)
from nbgraph.invocations.fields import ImageField
from nbgraph.services.events.events_common import Event, NodeProgress
from tests.diffusion.drawing import AVOID, SEED, TEXT
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able
from tests.tiny_models import (
    build_controlnet,
    build_image_encoder,
    build_ip_adapter,
    build_lora,
    build_siglip,
    build_t2i_adapter,
)

STEPS, SIDE = 8, 32
SPAN = {"begin_step_percent": 0.25, "end_step_percent": 0.75}
"""Of what steers: from within the first piece into the second."""
Inputs = dict[str, Any]


class Cell(NamedTuple):
    """A tiny model, and a key of `abilities.ABILITIES` that its family has."""

    model: str
    ability: str

    @property
    def start(self) -> int:
        """The step at which its pictures begin: over a picture not at the first."""
        return 2 if self.ability in ("image_to_image", "inpaint") else 0

    @property
    def plain(self) -> "Cell":
        """The same model, from noise alone, with nothing else."""
        return Cell(self.model, "text_to_image")


class Cells:
    """Denoise nodes of cells, in one studio; what a cell needs is built when it is first asked for."""

    def __init__(self, studio: nb.Studio, tiny: TinyModels, folder: Path) -> None:
        self.studio = studio
        self._tiny, self._folder = tiny, folder
        self._whole: dict[Cell, Tensor] = {}

    def node(
        self,
        cell: Cell,
        id: str = "whole",
        start: int | None = None,
        end: int = STEPS,
        picture: Any = None,
        **more: Any,
    ) -> Any:
        """The denoise node of a cell, from one step to another; `more` are inputs instead of its own."""
        model = ModelLoader(model=self._tiny[cell.model].path)
        inputs: Inputs = {
            "unet": model,
            "positive": Prompt(text=TEXT, clip=model),
            "negative": Prompt(text=AVOID, clip=model),
            "noise": Noise(unet=model, seed=SEED, width=SIDE, height=SIDE),
            "denoising_start": (cell.start if start is None else start) / STEPS,
            "denoising_end": end / STEPS,
        }
        inputs |= TASKS[cell.ability](self, cell.model, model, picture or self.picture())
        return DenoiseLatents(id=id, steps=STEPS, cfg_scale=4.0, **inputs | more)

    def rest(self, cell: Cell, first: Any, start: int) -> Any:
        """The denoise node that goes on from another at a step; only a mask still needs noise."""
        noise = {} if cell.ability == "inpaint" else {"noise": None}
        return self.node(cell, "rest", start, latents=first, **noise)

    def pictures(self, cell: Cell, count: int) -> LatentsToImage:
        """Pictures of a cell: one a seed, and of those that begin with a picture each with its own."""
        each = Iterate(collection=list(range(count)))
        model = ModelLoader(model=self._tiny[cell.model].path)
        noise = Noise(unet=model, seed=each, width=SIDE, height=SIDE)
        picture = BlurImage(image=self.picture(), radius=each) if cell.start else None
        denoise = self.node(cell, picture=picture, noise=noise)
        denoise.steps = STEPS // 2
        return LatentsToImage(id="drawn", latents=denoise, vae=model)

    def run(self, node: Any) -> nb.Run:
        """Run it, with nothing taken from the cache."""
        return self.studio.run(node, progress=False)

    def whole(self, cell: Cell) -> Tensor:
        """(1, C, h, w): the latents of all steps of a cell; drawn once."""
        if cell not in self._whole:
            self._whole[cell] = tensor(self.run(self.node(cell)), "whole")
        return self._whole[cell]

    def cancelled_at(self, cell: Cell, last: int) -> list[int]:
        """Run a cell until it tells of a step, and cancel it there; the steps that it told of."""
        processor = self.studio.services.processor
        with self.told(lambda step: step.step == last and processor.cancel(step.session_id)) as steps:
            run = self.studio.submit(self.node(cell)).wait()
        assert run.status == "cancelled"
        return [step.step for step in steps]

    @contextmanager
    def told(self, then: Callable[[NodeProgress], object] = id) -> Iterator[list[NodeProgress]]:
        """The steps that are told of while this is open; `then` is called for each."""
        steps: list[NodeProgress] = []

        def listen(event: Event) -> None:
            if isinstance(event, NodeProgress):
                steps.append(event)
                then(event)

        end = self.studio.services.events.subscribe(listen)
        yield steps
        end()

    def picture(self) -> Image:
        """A disc on a gradient."""
        drawn = PillowImage.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
        ImageDraw.Draw(drawn).ellipse((5, 10, 25, 30), fill=(220, 40, 90))
        return self._put(drawn)

    def mask(self) -> Image:
        """White where it is painted anew: a box."""
        drawn = PillowImage.new("L", (SIDE, SIDE), 0)
        ImageDraw.Draw(drawn).rectangle((8, 4, 23, 19), fill=255)
        return self._put(drawn)

    def _put(self, drawn: PillowImage.Image) -> Image:
        return Image(image=ImageField(image_name=self.studio.services.images.save(drawn).image_name))

    def built(self, name: str, build: Callable[[Path], Path]) -> Path:
        """What `build` writes to a path of that name, built once."""
        path = self._folder / name
        return path if path.exists() else build(path)

    def folder(self, model: str) -> Path:
        """The folder of a tiny model."""
        return Path(self._tiny[model].path)


def tensor(run: nb.Run, node: str) -> Tensor:
    """The latents that a node of a run gave."""
    return run[node].latents.tensor()


def _image_to_image(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    return {"latents": ImageToLatents(image=picture, vae=model)}


def _inpaint(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    kept = ImageToLatents(image=picture, vae=model)
    return {"latents": kept, "denoise_mask": CreateDenoiseMask(mask=cells.mask(), latents=kept)}


def _controlnet(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    net = cells.built(f"control-{name}", lambda path: build_controlnet(path, cells.folder(name)))
    return {"control": ControlNet(image=picture, control_model=str(net), **SPAN)}


def _t2i_adapter(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    adapter = cells.built(f"t2i-{name}", lambda path: build_t2i_adapter(path, xl=name != "sd2"))
    return {"t2i_adapter": T2iAdapter(image=picture, t2i_adapter_model=str(adapter), **SPAN)}


def _ip_adapter(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    encoder = cells.built("siglip", build_siglip) if name == "sd3" else cells.built("clip", build_image_encoder)
    file = cells.built(f"ip-{name}.safetensors", lambda path: build_ip_adapter(path, cells.folder(name)))
    return {"ip_adapter": IpAdapter(image=picture, ip_adapter_model=file, image_encoder=str(encoder), **SPAN)}


def _lora(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    file = cells.built(f"lora-{name}.safetensors", lambda path: build_lora(path, cells.folder(name)))
    laid = LoraLoader(lora=file, weight=4.0, unet=model, clip=model)
    return {"unet": laid, "positive": Prompt(text=TEXT, clip=laid), "negative": Prompt(text=AVOID, clip=laid)}


def _clip_skip(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    return {"positive": Prompt(text=TEXT, clip=ClipSkip(clip=model, skipped_layers=1))}


def _weights(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    return {"positive": WeightedPrompt(text="a (red)0.4 cat++", clip=model)}


def _sizes(cells: Cells, name: str, model: ModelLoader, picture: Any) -> Inputs:
    sizes = {"original_width": 96, "original_height": 48, "crop_left": 16, "crop_top": 8}
    return {"positive": SdxlPrompt(text=TEXT, clip=model, **sizes)}


TASKS: dict[str, Callable[[Cells, str, ModelLoader, Any], Inputs]] = {
    "text_to_image": lambda cells, name, model, picture: {},
    "image_to_image": _image_to_image,
    "inpaint": _inpaint,
    "controlnet": _controlnet,
    "t2i_adapter": _t2i_adapter,
    "ip_adapter": _ip_adapter,
    "lora": _lora,
    "clip_skip": _clip_skip,
    "weights": _weights,
    "sizes": _sizes,
}
"""What each ability adds to the inputs of a denoise node; working in pieces is what is tried with all of them."""

CELLS = [Cell(model, ability) for ability in TASKS for model in able(ability)]
