"""Adapters that condition a model on images: T2I-Adapter, such as by lines, and IP-Adapter, an image as a prompt."""

from collections.abc import Iterator, Mapping
from os.path import isfile
from pathlib import Path
from typing import Any

from pydantic import Field

from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.denoise_inputs import model_problem, span_problem
from nbgraph.invocations.fields import ImageField, IpAdapterField, ModelField, T2iAdapterField
from nbgraph.texts import value_text


class T2iAdapterOutput(BaseInvocationOutput):
    """A T2I-Adapter and its control image."""

    t2i_adapter: T2iAdapterField


class IpAdapterOutput(BaseInvocationOutput):
    """An IP-Adapter and its images."""

    ip_adapter: IpAdapterField


@invocation("t2i_adapter", title="T2I-Adapter", category="latents", version="1.0.0", static=True)
class T2iAdapter(BaseInvocation):
    """A T2I-Adapter that guides denoising by an image: how strongly, and from which to which share of the steps."""

    image: ImageField = Field(
        title="Control image", description="Control image of the kind the adapter was trained on, such as a sketch"
    )
    t2i_adapter_model: str = Field(
        title="T2I-Adapter", description="T2I-Adapter by its name in this studio, or the path of its folder"
    )
    weight: float = Field(
        1.0, ge=0, le=2, description="How strongly the control image counts; 0 switches it off, 1 is as trained"
    )
    begin_step_percent: float = Field(
        0.0, ge=0, le=1, title="Begin", description="Share of the steps, 0 to 1, at which it begins to take effect"
    )
    end_step_percent: float = Field(
        1.0, ge=0, le=1, title="End", description="Share of the steps, 0 to 1, at which it ceases to take effect"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "t2i_adapter_model", "t2i_adapter", context)
        yield from span_problem(known)

    def invoke(self, context: InvocationContext) -> T2iAdapterOutput:
        adapter = T2iAdapterField(
            model=context.models.resolve(self.t2i_adapter_model),
            image=self.image,
            weight=self.weight,
            begin=self.begin_step_percent,
            end=self.end_step_percent,
        )
        return T2iAdapterOutput(t2i_adapter=adapter)


@invocation("ip_adapter", title="IP-Adapter", category="latents", version="1.0.0", use_cache=False, static=True)
class IpAdapter(BaseInvocation):
    """An IP-Adapter: images as a prompt, from a .safetensors file and the image encoder it was trained with.

    The image encoder is a folder; left out, it is `image_encoder` beside the file. Several images count together.
    """

    image: ImageField | list[ImageField] = Field(
        title="Image prompt", description="Image to use as a prompt, or a list of images to use together"
    )
    ip_adapter_model: Path = Field(title="IP-Adapter", description="Path of the IP-Adapter's .safetensors file")
    image_encoder: str = Field(
        "", description="Folder of the image encoder it was trained with; left empty, image_encoder beside the file"
    )
    weight: float = Field(
        1.0, ge=-1, le=2, description="How strongly the image counts beside the text prompt; 0 switches it off"
    )
    begin_step_percent: float = Field(
        0.0, ge=0, le=1, title="Begin", description="Share of the steps, 0 to 1, at which it begins to take effect"
    )
    end_step_percent: float = Field(
        1.0, ge=0, le=1, title="End", description="Share of the steps, 0 to 1, at which it ceases to take effect"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        given = known.get("ip_adapter_model")
        file = None if given is None else Path(context.models.file_of(str(given)))
        if file is not None and not isfile(file):
            yield "ip_adapter_model", f"there is no file {value_text(str(file))} (looked in {Path.cwd()})"
        elif file is not None and file.suffix != ".safetensors":
            yield "ip_adapter_model", f"is {file.name!r}, and must be a .safetensors file; pickles are never loaded"
        elif file is not None and "image_encoder" in known:
            found = {"image_encoder": known["image_encoder"] or str(_beside(file))}
            yield from model_problem(found, "image_encoder", "image_encoder", context)
        yield from span_problem(known)

    def invoke(self, context: InvocationContext) -> IpAdapterOutput:
        path = context.models.file_of(str(self.ip_adapter_model))
        adapter = IpAdapterField(
            adapter=ModelField(name=path, path=path, fingerprint=fingerprint_path(path)),
            image_encoder=context.models.resolve(self.image_encoder or str(_beside(Path(path)))),
            images=self.image if isinstance(self.image, list) else [self.image],
            weight=self.weight,
            begin=self.begin_step_percent,
            end=self.end_step_percent,
        )
        return IpAdapterOutput(ip_adapter=adapter)


def _beside(file: Path) -> Path:
    return file.parent / "image_encoder"
