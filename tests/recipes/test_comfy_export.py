"""Graphs as ComfyUI's API format: what is written is read back as the same graph, and the rest is refused by name."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbgraph as nb
from nbgraph.diffusion import fingerprints
from nbgraph.diffusion.tool_names import ToolSamplerName, ToolScheduleName
from nbgraph.diffusion.tool_sampling import ToolSettings, batch_noise, noised, sampled_sigmas
from nbgraph.diffusion.tool_sigmas import flow_table, flux_shift
from nbgraph.errors import GraphError
from nbgraph.invocations import (
    BlurImage,
    ClipSkip,
    ControlNet,
    ConvertImage,
    CreateDenoiseMask,
    ImageToLatents,
    Iterate,
    LatentsToImage,
    LoadImage,
    LoraLoader,
    MaskFromAlpha,
    ModelLoader,
    Range,
    ResizeImage,
    ResizeLatents,
    SaveImage,
    ScaleLatents,
    ShowImage,
    TextEncoderLoader,
    ToolInpaint,
    ToolPrompt,
    ToolSampler,
    TransformerLoader,
    VaeLoader,
    ZeroConditioning,
)
from nbgraph.recipes.comfy_import import RESIZE
from nbgraph.recipes.local import shelf_of
from nbgraph.recipes.reading import read_recipe
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.shared.graph.graph import Graph
from tests.recipes.conftest import apple
from tests.tiny_models import BUILDERS
from tests.tiny_models.headers import full_size, only, write_header

FAMILIES = ("sd15", "sdxl", "flux", "sd3")
SIDES = st.sampled_from((64, 128, 192))
WORKFLOWS = sorted((Path(__file__).parent / "workflows").glob("*.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models, and files with the names of a VAE, a LoRA and a ControlNet."""
    made = tmp_path_factory.mktemp("models")
    for name in (*FAMILIES, "qwen-image", "z-image"):
        BUILDERS[name](made / name)
    return made


@pytest.fixture(scope="module")
def shelf(folder: Path) -> Shelf:
    with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[folder])) as studio:
        found = shelf_of(studio.services.model_manager)
    extra = (("net", ""), ("vae", ""))
    return Shelf((*found.models, *extra), (Path("loras/style.safetensors"),))


@st.composite
def tool_graphs(draw: st.DrawFn) -> Graph:
    """Graphs of one or two samplers of ComfyUI with everything that is hung on them."""
    family = draw(st.sampled_from(FAMILIES))
    loader = model = ModelLoader(model=family)
    vae = draw(st.sampled_from((model, VaeLoader(vae_model="vae"))))
    if draw(st.booleans()):
        weights = {"weight": draw(st.sampled_from((0.5, 1.0))), "clip_weight": draw(st.sampled_from((None, 0.25)))}
        model = LoraLoader(lora=Path("loras/style.safetensors"), unet=model, clip=model, **weights)
    clip = ClipSkip(clip=model, skipped_layers=draw(st.integers(1, 3))) if draw(st.booleans()) else model
    loaded = LoadImage(path=Path("photo.png"))
    picture = ConvertImage(image=loaded, mode="RGB")  # as images are in ComfyUI
    inputs: dict[str, Any] = {"positive": ToolPrompt(text=draw(st.text("a (:.)1\n", max_size=9)), clip=clip)}
    if family == "flux":
        inputs |= {"guidance": draw(st.none() | st.floats(0, 9)), "cfg_scale": 1.0}
        if draw(st.booleans()):
            inputs["control"] = ControlNet(image=picture, control_model="net", control_weight=0.5)
    else:
        negative = ToolPrompt(text="b", clip=clip)
        inputs["negative"] = draw(st.sampled_from((negative, ZeroConditioning(conditioning=negative))))
        inputs["cfg_scale"] = draw(st.floats(0, 20))
        if draw(st.booleans()):
            span = {"begin_step_percent": 0.125, "end_step_percent": draw(st.floats(0.5, 1))}
            inputs["control"] = ControlNet(image=picture, control_model="net", **span)
    if family != "sd15" and family != "sdxl":
        inputs["shift"] = draw(st.none() | st.floats(0.5, 9))
    start = begin(draw, picture, MaskFromAlpha(image=loaded, invert=True), vae)
    kept = {name: start[name] for name in ("batch_size", "batch_index", "denoise_mask") if name in start}
    sampler = draw(samplers(model, inputs, start))
    if draw(st.booleans()):
        width = {"width": draw(SIDES), "height": 64, "mode": draw(st.sampled_from(list(RESIZE)[:4]))}
        resized = ResizeLatents(latents=sampler, vae=loader, **width)
        scaled = ScaleLatents(latents=sampler, vae=loader, scale_factor=1.5, mode="bicubic")
        larger = draw(st.sampled_from((resized, scaled)))
        sampler = draw(samplers(model, inputs, {"latents": larger, **kept}))
    image = LatentsToImage(latents=sampler, vae=vae)
    if draw(st.booleans()):
        image = ResizeImage(image=image, width=draw(SIDES), height=32, resample_mode="lanczos")
    return Graph.of(draw(st.sampled_from((SaveImage, ShowImage)))(image=image))


def begin(draw: st.DrawFn, picture: ConvertImage, alpha: MaskFromAlpha, vae: Any) -> dict[str, Any]:
    """What a sampler begins with: an empty image, a batch of them, a loaded one, or one within a mask."""
    kind = draw(st.sampled_from(("empty", "batch", "image", "mask", "inpaint")))
    size = {"width": draw(SIDES), "height": draw(SIDES)}
    if kind == "batch":
        count = draw(st.integers(2, 4))
        return {**size, "batch_size": count, "batch_index": Iterate(collection=Range(stop=count))}
    if kind == "empty":
        return size
    if kind == "inpaint":
        inside = ToolInpaint(image=picture, mask=alpha, vae=vae, grow_mask_by=draw(st.integers(0, 64)))
        return {"latents": inside, "denoise_mask": inside}
    found: dict[str, Any] = {"latents": ImageToLatents(image=picture, vae=vae)}
    if kind == "mask":
        found["denoise_mask"] = CreateDenoiseMask(mask=alpha, soft=True)
    return found


@st.composite
def samplers(draw: st.DrawFn, model: Any, inputs: dict[str, Any], start: dict[str, Any]) -> ToolSampler:
    steps = draw(st.integers(2, 30))
    names = [name for name in get_args(ToolSamplerName) if "negative" in inputs and "shift" not in inputs]
    chosen = {
        "seed": draw(st.integers(0, 2**64 - 1)),
        "steps": steps,
        "sampler": draw(st.sampled_from(names or ["euler"])),
        "schedule": draw(st.sampled_from(get_args(ToolScheduleName))),
    }
    if "negative" in inputs and draw(st.booleans()):
        chosen |= {"start_step": draw(st.integers(1, steps)), "end_step": draw(st.integers(0, steps))}
        chosen |= {"add_noise": draw(st.booleans()), "leftover_noise": draw(st.booleans())}
    else:
        chosen["denoise"] = draw(st.just(0.0) | st.floats(0.01, 1))
    return ToolSampler(unet=model, **inputs, **start, **chosen)


def canonical(graph: Graph) -> Any:
    """A graph without ids: of each end, its type, its values and what is linked to it."""

    def described(node_id: str) -> Any:
        node, links = graph[node_id], graph.links(node_id)
        linked = sorted((link.field, link.output, described(link.source)) for link in links)
        fields = {link.field for link in links}
        # `end_step` beyond the last step is the end, as is None
        typed = {name: spec.default for name, spec in node.inputs().items()} | node.literals()
        values = {name: str(typed[name]) for name in typed if name not in fields and typed[name] is not None}
        return repr((node.type, sorted(values.items()), linked))

    used = {link.source for node_id in graph.nodes for link in graph.links(node_id)}
    return sorted(described(node_id) for node_id in graph.nodes if node_id not in used)


def with_ends(graph: Graph) -> Graph:
    """The same with the last step written out where it was left open, as KSamplerAdvanced has it."""
    values = {}
    for node_id, node in graph.nodes.items():
        plain = {name: getattr(node, name, None) for name in ("start_step", "end_step", "add_noise", "leftover_noise")}
        if node.type == "tool_sampler" and plain != {
            "start_step": 0, "end_step": None, "add_noise": True, "leftover_noise": False,
        }:  # fmt: skip
            values[f"{node_id}.end_step"] = min(node.steps if node.end_step is None else node.end_step, node.steps)
    return graph.with_values(values)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=tool_graphs())
def test_a_graph_that_is_written_is_read_back_as_the_same_graph(graph, folder, shelf):
    text = graph.to_comfy([folder])
    opened = read_recipe(text, shelf)
    assert not opened.graph.layout.get("unknown"), str(opened.report)
    assert canonical(opened.graph) == canonical(without_shift_rounding(with_ends(graph), opened.graph))
    for ours, theirs in zip(tool_samplers(graph), tool_samplers(opened.graph), strict=True):
        np.testing.assert_allclose(*(levels(each) for each in (ours, theirs)), rtol=1e-9)
        noises = [batch_noise((1, 4, 8, 8), each.seed, each.batch_size) for each in (ours, theirs)]
        assert torch.equal(*noises)
        starts = [noised(flow_table(3.0), 0.5, noise, noise, each.tool) for noise, each in zip(noises, (ours, theirs))]
        assert torch.equal(*starts)


def tool_samplers(graph: Graph) -> list[ToolSampler]:
    return sorted(
        (node for node in graph.nodes.values() if isinstance(node, ToolSampler)),
        key=lambda node: (node.seed, node.steps),
    )


def levels(node: ToolSampler) -> np.ndarray:
    end = None if node.end_step is None or node.end_step >= node.steps else node.end_step
    settings = ToolSettings(
        node.steps, node.cfg_scale, node.sampler, node.schedule, node.denoise, node.start_step, end, node.leftover_noise
    )
    return sampled_sigmas(flow_table(node.shift or 1.0), settings)


def without_shift_rounding(graph: Graph, read: Graph) -> Graph:
    """Flux's shift goes through a logarithm: it comes back to 1e-12, which is checked here and then levelled."""
    found = [node.shift for node in tool_samplers(read)]
    values = {}
    for node_id, node in graph.nodes.items():
        if isinstance(node, ToolSampler) and node.shift is not None:
            near = min((each for each in found if each is not None), key=lambda each: abs(each - node.shift))
            assert near == pytest.approx(node.shift, rel=1e-12)
            values[f"{node_id}.shift"] = near
    return graph.with_values(values)


def test_the_family_of_a_large_file_is_read_from_its_header(tmp_path):
    file = write_header(tmp_path / "xl.safetensors", full_size("sdxl"))
    fingerprints._known.pop((str(file), fingerprints.file_identity(file)))
    model = ModelLoader(model="xl")
    text = ToolPrompt(text="a", clip=ClipSkip(clip=model, skipped_layers=1))
    sampler = ToolSampler(unet=model, positive=text, negative=text, width=64, height=64, seed=1)
    image = SaveImage(image=LatentsToImage(latents=sampler, vae=model))
    written = json.loads(Graph.of(image).to_comfy([tmp_path])).values()
    assert [node["inputs"].get("stop_at_clip_layer") for node in written if "LastLayer" in node["class_type"]] == [-3]
    assert fingerprints.known_sha256(str(file)) == ""  # it was not read as a whole


def test_parts_in_files_of_their_own_are_written_and_read_again(tmp_path):
    for name, start in (("unet", "model.diffusion_model."), ("ae", "vae."), ("l", "text_encoders.clip_l.transformer.")):
        write_header(tmp_path / f"{name}.safetensors", only(full_size("flux-dev"), start))
    write_header(tmp_path / "t5.safetensors", only(full_size("flux-dev"), "text_encoders.t5xxl.transformer."))
    with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[tmp_path])) as studio:
        shelf = shelf_of(studio.services.model_manager)
    files = [str(tmp_path / f"{name}.safetensors") for name in ("l", "t5")]
    model = TransformerLoader(model="unet.safetensors", precision="fp8")
    text = ToolPrompt(text="a", clip=TextEncoderLoader(kind="flux-dev", files=files))
    sampler = ToolSampler(unet=model, positive=text, width=64, height=64, seed=1, cfg_scale=1)
    image = LatentsToImage(latents=sampler, vae=VaeLoader(vae_model="ae.safetensors", unet=model))
    graph = Graph.of(SaveImage(image=image))
    written = graph.to_comfy([tmp_path])
    kinds = {node["class_type"]: node["inputs"] for node in json.loads(written).values()}
    assert kinds["UNETLoader"] == {"unet_name": "unet.safetensors", "weight_dtype": "fp8_e4m3fn"}
    assert kinds["DualCLIPLoader"] == {
        "clip_name1": "l.safetensors",
        "clip_name2": "t5.safetensors",
        "type": "flux",
    }
    opened = read_recipe(written, shelf)
    assert not opened.report.of("missing")
    assert canonical(opened.graph) == canonical(with_ends(graph))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_that_was_read_is_written_and_read_again(path, folder, shelf):
    opened = read_recipe(path.read_text(), shelf)
    again = read_recipe(opened.graph.to_comfy([folder]), shelf)
    assert canonical(again.graph) == canonical(with_ends(opened.graph))


def refused(end: Any, folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(GraphError) as caught:
        nb.Graph.of(end).to_comfy([folder])
    assert all(problem.kind == "not_in_comfyui" for problem in caught.value.problems)
    return [(problem.node, problem.field) for problem in caught.value.problems]


def sampled(**changes: Any) -> ToolSampler:
    model = ModelLoader(id="model", model="sd15")
    text = ToolPrompt(id="text", text="a", clip=model)
    return ToolSampler(
        **{"id": "s", "unet": model, "positive": text, "negative": text, "width": 64, "height": 64, "seed": 1} | changes
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seed": None}, "seed"),
        ({"width": None}, "width"),
        ({"tool": "a1111"}, "tool"),
        ({"batch_size": 3, "batch_index": 2}, "batch_index"),
        ({"batch_size": 3}, "batch_index"),
        ({"denoise": 0.5, "start_step": 1}, "denoise"),
        ({"negative": None}, "negative"),
        ({"negative": None, "cfg_scale": 1, "start_step": 1}, "start_step"),
    ],
)
def test_a_field_without_a_counterpart_is_refused_by_name(changes, field, folder):
    assert refused(sampled(**changes), folder) == [("s", field)]


def test_a_mask_that_would_stay_with_the_latents_is_refused(folder):
    picture, model = LoadImage(path="a.png"), ModelLoader(model="sd15")
    alpha, text = MaskFromAlpha(image=picture, invert=True), ToolPrompt(text="a", clip=model)
    mask = CreateDenoiseMask(mask=alpha, soft=True)
    shared = {"unet": model, "positive": text, "negative": text, "seed": 1}
    first = ToolSampler(latents=ImageToLatents(image=picture, vae=model), denoise_mask=mask, **shared)
    assert refused(ToolSampler(id="s", latents=first, **shared), folder) == [("s", "denoise_mask")]


def test_a_node_without_a_counterpart_is_refused_by_name(folder):
    decoded = LatentsToImage(id="image", latents=sampled(), vae=ModelLoader(model="sd15"), tiled=True)
    assert refused(decoded, folder) == [("image", "tiled")]
    assert refused(BlurImage(id="blur", image=LoadImage(path="a.png")), folder) == [("blur", "type")]
    assert set(refused(apple(), folder)) >= {("denoise", "type"), ("positive", "type"), ("noise", "type")}
    text = ToolPrompt(id="text", text="[a]", clip=ModelLoader(model="sd15"), syntax="a1111")
    assert refused(text, folder) == [("text", "syntax")]
    gone = ClipSkip(id="skip", clip=ModelLoader(model="gone"), skipped_layers=1)
    assert refused(gone, folder) == [("skip", "clip")]


def test_flux_is_given_the_shift_that_is_asked_for(folder):
    model = ModelLoader(model="flux")
    text = ToolPrompt(text="a", clip=model)
    node = ToolSampler(unet=model, positive=text, width=64, height=64, seed=1, shift=2.5, cfg_scale=1)
    written = json.loads(nb.Graph.of(node).to_comfy([folder])).values()
    (given,) = [each["inputs"] for each in written if each["class_type"] == "ModelSamplingFlux"]
    found = flux_shift(given["width"], given["height"], given["base_shift"], given["max_shift"])
    assert found == pytest.approx(2.5)
