"""Workflows of ComfyUI: ten usual ones open and run with tiny models, in either format, with what differs named."""

import json
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin

import nbgraph as nb
from nbgraph.errors import GraphError, RecipeError
from nbgraph.recipes.comfy_format import SEEDS, WIDGETS, Link, read_api, read_workflow
from nbgraph.recipes.reading import read_recipe
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from tests.recipes.conftest import saved
from tests.tiny_models import BUILDERS, build_controlnet, build_lora
from tests.tiny_models.headers import full_size, only, write_header

WORKFLOWS = sorted((Path(__file__).parent / "workflows").glob("*.json"))
MODELS = ("sd15", "sdxl", "sd3", "flux", "qwen-image", "z-image")
SHELF = Shelf((("sd15", ""), ("sdxl", ""), ("flux", "")))


def workflow(name: str) -> dict:
    return json.loads((Path(__file__).parent / "workflows" / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nb.Studio]:
    folder = tmp_path_factory.mktemp("models")
    for name in MODELS:
        BUILDERS[name](folder / name)
    build_controlnet(folder / "controlnet", folder / "sd15")
    (folder / "loras").mkdir()
    build_lora(folder / "loras" / "style.safetensors", folder / "sd15")
    with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[folder])) as made:
        yield made
    shutil.rmtree(folder)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_usual_workflow_opens_and_runs(path, studio, tmp_path):
    photo = PillowImage.new("RGBA", (64, 64), "red")
    photo.paste((0, 0, 255, 0), (0, 0, 32, 64))
    photo.save(tmp_path / "photo.png")
    opened = studio.open(path)
    assert opened.kind == "ComfyUI API"
    assert not opened.graph.layout.get("unknown")
    values = {"picture.path": tmp_path / "photo.png"} if "picture" in opened.graph else {}
    run = studio.run(opened.graph, values, progress=False)
    assert run["save"].image.width in (64, 128)
    assert all("picture" in finding.what for finding in opened.report.of("missing"))


def test_a_workflow_says_what_it_takes_over_and_what_differs():
    opened = read_recipe(json.dumps(workflow("flux")), SHELF)
    assert {finding.what for finding in opened.report.of("differs")} >= {"VAE 'ae.safetensors'"}
    assert "sampler euler" in {finding.what for finding in opened.report.of("exact")}
    assert ">differs</td>" in opened._repr_html_()
    assert str(opened.report).startswith("differs")


FLUX_FILES = {
    "flux": ("denoiser", "model.diffusion_model."),
    "clip_l": ("text", "text_encoders.clip_l.transformer."),
    "t5xxl": ("text", "text_encoders.t5xxl.transformer."),
    "ae": ("vae", "vae."),
}
"""Files of the parts of FLUX.1, and what stands before the names of their tensors in a checkpoint."""


def test_parts_in_files_of_their_own_are_loaded_part_by_part(tmp_path):
    for name, (_, start) in FLUX_FILES.items():
        write_header(tmp_path / f"{name}.safetensors", only(full_size("flux-dev"), start))
    with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[tmp_path])) as studio:
        opened = studio.open(Path(__file__).parent / "workflows" / "flux.json")
        assert not opened.report.of("missing")
        graph = opened.graph
        assert not {node.type for node in graph.nodes.values()} & {"model_loader"}
        assert (graph["text_encoders"].kind, len(graph["text_encoders"].files)) == ("flux-dev", 2)
        assert {str(edge) for edge in graph.edges} >= {"model.unet -> vae.unet", "text_encoders.clip -> prompt.clip"}
        studio.invoker.check(GraphExecutionState(graph))
        (tmp_path / "t5xxl.safetensors").unlink()
        missing = studio.open(Path(__file__).parent / "workflows" / "flux.json")
        assert [each.what for each in missing.report.of("missing")] == ["model 't5xxl.safetensors'"]
        with pytest.raises(GraphError, match="text_encoders.files: no model 't5xxl.safetensors'"):
            studio.invoker.check(GraphExecutionState(missing.graph))


def test_text_encoders_that_no_loader_reads_are_a_placeholder_unless_a_folder_has_them():
    opened = read_recipe(json.dumps(workflow("qwen_image")), SHELF)
    kept = opened.graph.layout["unknown"].values()
    assert {each["data"]["type"] for each in kept} == {"CLIPLoader"}
    assert ["CLIPLoader" in each.what for each in opened.report.of("missing")].count(True) == 1
    whole = Shelf((("qwen-image", str(Path(__file__).parent)),))
    opened = read_recipe(json.dumps(workflow("qwen_image")), whole)
    assert not opened.graph.layout.get("unknown")
    assert "text encoders qwen.safetensors" in {each.what for each in opened.report.of("differs")}


def test_a_lora_for_the_denoiser_alone_and_a_clip_skip_find_the_loaders_of_parts():
    data = workflow("flux")
    data["l"] = {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"lora_name": "a", "strength_model": 0.5, "model": ["n1", 0]},
    }
    data["n8"]["inputs"]["model"] = ["l", 0]
    data["c"] = {"class_type": "CLIPSetLastLayer", "inputs": {"stop_at_clip_layer": -2, "clip": ["n2", 0]}}
    data["n4"]["inputs"]["clip"] = ["c", 0]
    data["n1"]["inputs"]["weight_dtype"] = "fp8_e4m3fn"
    opened = read_recipe(json.dumps(data), Shelf())
    edges = set(map(str, opened.graph.edges))
    assert edges >= {
        "model.unet -> lora.unet",
        "text_encoders.clip -> lora.clip",
        "text_encoders.clip -> clip_skip.clip",
    }
    assert (opened.graph["clip_skip"].skipped_layers, opened.graph["model"].precision) == (1, "fp8")


@pytest.mark.parametrize(
    "data",
    [
        {  # a LoRA, and latents of another size, with no text encoders and no VAE
            "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "a"}},
            "2": {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "b", "model": ["1", 0]}},
            "3": {"class_type": "LatentUpscale", "inputs": {"samples": ["1", 0]}},
        },
        {  # loaders that are named by one another
            "1": {"class_type": "UNETLoader", "inputs": {"unet_name": ["2", 0]}},
            "2": {"class_type": "VAELoader", "inputs": {"vae_name": ["3", 0]}},
            "3": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": ["1", 0], "clip_name2": 5, "type": "flux"}},
        },
        {"1": {"class_type": "VAELoader", "inputs": {"vae_name": None}}},
        {"1": {"class_type": "CLIPLoader", "inputs": {"type": ["1", 0], "clip_name": ["1", 0]}}},
    ],
)
def test_loaders_that_lack_what_they_need_are_no_trouble(data):
    assert read_recipe(json.dumps(data)).report.of("missing")


def test_an_image_without_its_transparency_is_encoded_and_the_mask_is_made_of_it(studio, tmp_path):
    photo = PillowImage.new("RGBA", (64, 64), (200, 30, 60, 0))
    photo.save(tmp_path / "photo.png")
    opened = studio.open(Path(__file__).parent / "workflows" / "img2img.json")
    assert {"VAEEncode"} <= {each.what for each in opened.report.of("exact")}
    run = studio.run(opened.graph, {"picture.path": tmp_path / "photo.png"}, progress=False)
    assert run["colors"].image.getpixel((5, 5)) == (200, 30, 60)


def test_values_are_taken_over_exactly():
    graph = read_recipe(json.dumps(workflow("lora")), SHELF).graph
    sampler = graph["sampler"]
    assert (sampler.seed, sampler.steps, sampler.cfg_scale) == (2**63 + 11, 3, 7.0)
    assert (sampler.sampler, sampler.schedule, sampler.tool) == ("dpmpp_2m", "karras", "comfy")
    assert (graph["lora"].weight, graph["lora"].clip_weight) == (0.8, 0.5)
    assert graph["clip_skip"].skipped_layers == 1


def test_an_advanced_sampler_cuts_the_schedule_and_keeps_or_ends_the_noise():
    graph = read_recipe(json.dumps(workflow("sdxl_refiner")), SHELF).graph
    first, second = graph["sampler"], graph["sampler_2"]
    assert (first.end_step, first.leftover_noise, first.add_noise) == (3, True, True)
    assert (second.start_step, second.end_step, second.leftover_noise, second.add_noise) == (3, 4, False, False)


def test_a_batch_is_a_picture_for_each_place_in_its_noise():
    data = workflow("lora")
    data["n4"]["inputs"]["batch_size"] = 3
    graph = read_recipe(json.dumps(data), SHELF).graph
    assert graph["sampler"].batch_size == 3
    assert "each_picture.item -> sampler.batch_index" in map(str, graph.edges)


def test_an_unknown_node_is_a_placeholder_and_what_needs_it_cannot_run():
    data = workflow("lora")
    data["n20"] = {"class_type": "FancyDetailer", "inputs": {"samples": ["n5", 0], "strength": 0.3}}
    data["n6"]["inputs"]["samples"] = ["n20", 0]
    opened = read_recipe(json.dumps(data), SHELF)
    assert [kept["data"]["type"] for kept in opened.graph.layout["unknown"].values()] == ["FancyDetailer", "VAEDecode"]
    assert any("FancyDetailer" in finding.what for finding in opened.report.of("missing"))
    with pytest.raises(GraphError, match="save.image: .*'VAEDecode'"):
        opened.graph.validate()


def test_a_workflow_of_nothing_but_unknown_nodes_cannot_run():
    opened = read_recipe(json.dumps({"1": {"class_type": "__import__", "inputs": {"name": "os"}}}))
    with pytest.raises(GraphError, match="nothing but nodes of types that are not installed"):
        opened.graph.validate()


def test_a_sampler_without_an_equivalent_is_named_with_what_is_taken():
    data = workflow("hires")
    data["n5"]["inputs"]["sampler_name"] = "res_multistep"
    differs = read_recipe(json.dumps(data), SHELF).report.of("differs")
    assert [(finding.what, finding.why) for finding in differs] == [
        ("sampler res_multistep", "it has no equivalent here; dpmpp_2m is taken")
    ]


def editor_form(data: dict, **modes: int) -> dict:
    """The same workflow as the editor saves it: links apart, widgets by place; and nodes that pass on between."""

    numbers = {name: number for number, name in enumerate(data, start=1)}
    nodes, links = [], []
    for name, node in data.items():
        slots = []
        for field, value in node["inputs"].items():
            if isinstance(value, list):
                links.append([len(links) + 1, numbers[value[0]], value[1], numbers[name], len(slots), "ANY"])
                slots.append({"name": field, "type": _kind(field), "link": len(links)})
        widgets = []
        for field in WIDGETS.get(node["class_type"], ()):
            widgets.append(node["inputs"].get(field))
            widgets += ["randomize"] if field in SEEDS else []
        outputs = [{"name": kind, "type": kind} for kind in ("MODEL", "CLIP", "VAE")]
        nodes.append(
            {"id": numbers[name], "type": node["class_type"], "mode": modes.get(name, 0), "inputs": slots,
             "outputs": outputs, "widgets_values": widgets}
        )  # fmt: skip
    return {"last_node_id": len(nodes), "nodes": nodes, "links": links, "version": 0.4}


def _kind(field: str) -> str:
    return {"model": "MODEL", "clip": "CLIP", "vae": "VAE"}.get(field, field)


def described(graph: nb.Graph) -> list[str]:
    return sorted(f"{node!r}" for node in graph.nodes.values()) + sorted(map(str, graph.edges))


@pytest.mark.parametrize("name", ["lora", "flux", "sdxl_refiner", "controlnet"])
def test_the_editors_format_gives_the_same_graph(name):
    data = workflow(name)
    graphs = [read_recipe(json.dumps(each), SHELF).graph for each in (data, editor_form(data))]
    assert described(graphs[0]) == described(graphs[1])


def test_a_bypassed_node_passes_on_what_arrives_and_a_muted_one_is_not_there():
    nodes = read_workflow(editor_form(workflow("lora"), n8=4))
    assert nodes["7"].inputs["model"] == Link("1", 0)
    assert "4" not in nodes
    assert "7" not in read_workflow(editor_form(workflow("lora"), n5=2))


def test_a_subgraph_is_put_in_place_of_its_node():
    inner = {
        "id": "s1",
        "inputs": [{"name": "clip"}, {"name": "text"}],
        "nodes": [
            {"id": 1, "type": "CLIPTextEncode", "inputs": [{"name": "clip", "link": 1}, {"name": "text", "link": 2}]}
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0},
            {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 1, "target_slot": 1},
            {"id": 3, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
    }
    outer = {
        "nodes": [
            {"id": 1, "type": "CheckpointLoaderSimple", "widgets_values": ["sd15"]},
            {"id": 2, "type": "s1", "inputs": [{"name": "clip", "link": 1}], "widgets_values": [None, "a cat"]},
            {"id": 3, "type": "Reroute", "inputs": [{"name": "", "link": 2}]},
            {"id": 4, "type": "ConditioningZeroOut", "inputs": [{"name": "conditioning", "link": 3}]},
        ],
        "links": [[1, 1, 1, 2, 0, "CLIP"], [2, 2, 0, 3, 0, "*"], [3, 3, 0, 4, 0, "*"]],
        "definitions": {"subgraphs": [inner]},
    }
    nodes = read_workflow(outer)
    assert nodes["2:1"].inputs == {"clip": Link("1", 1), "text": "a cat"}
    assert nodes["4"].inputs["conditioning"] == Link("2:1", 0)


def test_subgraphs_that_hold_themselves_are_refused():
    one = {"id": "s1", "nodes": [{"id": 1, "type": "s1"}, {"id": 2, "type": "s1"}], "links": []}
    with pytest.raises(RecipeError, match="nested more than 16 deep|more than 20,000 nodes"):
        read_workflow({"nodes": [{"id": 1, "type": "s1"}], "links": [], "definitions": {"subgraphs": [one]}})


def test_values_that_are_wrong_become_placeholders_and_a_circle_ends():
    data = {
        "1": {"class_type": "KSampler", "inputs": {"seed": "x", "model": ["2", 0]}},
        "2": {"class_type": "ModelSamplingSD3", "inputs": {"model": ["2", 0]}},
    }
    opened = read_recipe(json.dumps(data))
    assert set(opened.graph.layout["unknown"]) == {"KSampler", "ModelSamplingSD3"}


def test_what_an_execution_left_in_the_nodes_is_no_trouble():
    text = json.dumps({"1": {"class_type": "A", "inputs": {}, "is_changed": [float("nan")]}})
    assert [node.type for node in read_api(json.loads(text)).values()] == ["A"]
    assert read_recipe(text).kind == "ComfyUI API"


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_it_is_read_from_the_pictures_that_comfyui_writes(format):
    text = json.dumps(workflow("hires"))
    info, exif = PngImagePlugin.PngInfo(), PillowImage.Exif()
    info.add_text("prompt", text)
    info.add_text("workflow", json.dumps(editor_form(workflow("hires"))))
    exif[0x0110], exif[0x010F] = f"prompt:{text}", "workflow:{}"
    options = {"pnginfo": info} if format == "PNG" else {"exif": exif}
    opened = read_recipe(saved(PillowImage.new("RGB", (8, 8)), format, **options), SHELF)
    assert opened.kind == "ComfyUI API"
    assert described(opened.graph) == described(read_recipe(text, SHELF).graph)
    assert PillowImage.open(BytesIO(saved(PillowImage.new("RGB", (8, 8)), format, **options))).size == (8, 8)
