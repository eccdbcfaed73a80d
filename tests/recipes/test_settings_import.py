"""Texts, metadata and graphs of A1111, Forge, Fooocus, NovelAI and InvokeAI become graphs, with a report."""

import json

import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from nbgraph.errors import RecipeError
from nbgraph.recipes.reading import read_recipe
from nbgraph.recipes.shelf import Shelf
from tests.recipes.conftest import saved

SHELF = Shelf((("dreamy", ""), ("xl-base", "")))
A1111 = """a (red:1.2) fox, in snow <lora:ink:0.7>
second line
Negative prompt: blurry,
bad
Steps: 24, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 18446744073709551615, Size: 512x768, \
Model hash: 6ce0161689, Model: dreamy, Clip skip: 2, RNG: CPU, Version: v1.10.1"""
INVOKE = {
    "nodes": {
        "m": {"id": "m", "type": "main_model_loader", "model": {"key": "k", "name": "dreamy", "base": "sd-1"}},
        "s": {"id": "s", "type": "clip_skip", "skipped_layers": 1},
        "p": {"id": "p", "type": "compel", "prompt": "a fox"},
        "n": {"id": "n", "type": "compel", "prompt": ""},
        "noise": {"id": "noise", "type": "noise", "seed": 7, "width": 64, "height": 64, "use_cpu": True},
        "d": {"id": "d", "type": "denoise_latents", "steps": 9, "cfg_scale": 5.5, "scheduler": "euler_a"},
        "l": {"id": "l", "type": "l2i"},
        "r": {"id": "r", "type": "img_resize", "width": 96, "height": 96},
        "b": {"id": "b", "type": "img_blur", "radius": 2.0},
        "x": {"id": "x", "type": "save_image"},
        "f": {"id": "f", "type": "face_off", "size": 3},
    },
    "edges": [
        {"source": {"node_id": a, "field": b}, "destination": {"node_id": c, "field": d}}
        for a, b, c, d in [
            ("m", "clip", "s", "clip"), ("s", "clip", "p", "clip"), ("s", "clip", "n", "clip"),
            ("m", "unet", "d", "unet"), ("p", "conditioning", "d", "positive_conditioning"),
            ("n", "conditioning", "d", "negative_conditioning"), ("noise", "noise", "d", "noise"),
            ("d", "latents", "l", "latents"), ("m", "vae", "l", "vae"), ("l", "image", "r", "image"),
            ("r", "image", "b", "image"), ("b", "image", "x", "image"), ("b", "image", "f", "image"),
        ]
    ],
}  # fmt: skip


def test_a_text_of_a1111_becomes_a_graph():
    opened = read_recipe(A1111, SHELF)
    graph = opened.graph
    assert opened.kind == "A1111 parameters"
    assert graph["positive"].text == "a (red:1.2) fox, in snow \nsecond line"
    assert graph["negative"].text == "blurry,\nbad"
    assert (graph["positive"].syntax, graph["sampler"].tool) == ("a1111", "a1111")
    sampler = graph["sampler"]
    assert (sampler.seed, sampler.steps, sampler.cfg_scale) == (2**64 - 1, 24, 6.5)
    assert (sampler.width, sampler.height, sampler.sampler, sampler.schedule) == (512, 768, "dpmpp_2m", "karras")
    assert graph["clip_skip"].skipped_layers == 1
    assert graph["model"].model == "dreamy"
    assert [finding.what for finding in opened.report.of("missing")] == ["LoRA 'ink'"]
    assert opened.report.of("differs") == []


def test_older_names_of_samplers_say_the_schedule():
    text = "a\nSteps: 20, Sampler: DPM++ 2M SDE Karras, CFG scale: 7, Seed: 1, Size: 64x64, Model: dreamy"
    opened = read_recipe(text, SHELF)
    assert (opened.graph["sampler"].sampler, opened.graph["sampler"].schedule) == ("dpmpp_2m_sde", "karras")
    assert [finding.what for finding in opened.report.of("differs")] == ["RNG", "sampler dpmpp_2m_sde"]


def test_settings_that_are_not_taken_over_are_named():
    text = "a\nSteps: 20, Sampler: DPM fast, CFG scale: 7, Seed: 1, Model: gone, ENSD: 31337"
    text += ", Denoising strength: 0.4"
    findings = {finding.what: finding.state for finding in read_recipe(text, SHELF).report}
    assert findings["sampler DPM fast"] == "differs"
    assert findings["model 'gone'"] == "missing"
    assert findings["ENSD: 31337"] == "missing"
    assert findings["picture that went in"] == "missing"


@pytest.mark.parametrize(
    "text", ["just a prompt", "a\nSteps: 20", "Steps: many, Sampler: Euler, Seed: 1, CFG scale: 7"]
)
def test_a_text_without_settings_is_refused(text):
    with pytest.raises(RecipeError):
        read_recipe(f"{text}\n" if "\n" not in text else text, SHELF)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_it_is_read_from_pictures(format):
    info, exif = PngImagePlugin.PngInfo(), PillowImage.Exif()
    info.add_itxt("parameters", A1111)
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + A1111.encode("utf-16-be")
    options = {"pnginfo": info} if format == "PNG" else {"exif": exif}
    opened = read_recipe(saved(PillowImage.new("RGB", (8, 8)), format, **options), SHELF)
    assert opened.graph["sampler"].seed == 2**64 - 1


def test_fooocus_and_novelai_become_graphs():
    fooocus = {"prompt": "a fox", "negative_prompt": "", "base_model": "xl-base", "guidance_scale": 4.0, "seed": "5"}
    fooocus |= {"sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "steps": 30, "resolution": "(896, 1152)"}
    opened = read_recipe(json.dumps(fooocus), SHELF)
    assert opened.kind == "Fooocus"
    assert (opened.graph["sampler"].width, opened.graph["sampler"].sampler) == (896, "dpmpp_2m_sde")
    info = PngImagePlugin.PngInfo()
    info.add_text("Description", "a fox")
    info.add_text("Comment", json.dumps({"uc": "bad", "seed": 9, "scale": 6, "sampler": "k_euler", "steps": 28}))
    opened = read_recipe(saved(PillowImage.new("RGB", (8, 8)), pnginfo=info), SHELF)
    assert (opened.kind, opened.graph["positive"].text, opened.graph["sampler"].seed) == ("NovelAI", "a fox", 9)
    assert opened.report.of("missing")


def test_metadata_of_invokeai_become_a_graph():
    metadata = {"generation_mode": "txt2img", "positive_prompt": "a fox", "negative_prompt": "", "seed": 3, "steps": 12,
                "width": 64, "height": 64, "cfg_scale": 7, "scheduler": "dpmpp_2m_k", "model": {"name": "dreamy"},
                "controlnets": [{"control_weight": 1}]}  # fmt: skip
    opened = read_recipe(json.dumps(metadata), SHELF)
    assert (opened.graph["sampler"].sampler, opened.graph["sampler"].schedule) == ("dpmpp_2m", "karras")
    assert "controlnets" in {finding.what for finding in opened.report.of("missing")}


def test_a_graph_of_invokeai_maps_its_families_and_keeps_the_rest_as_placeholders():
    opened = read_recipe(json.dumps(INVOKE), SHELF)
    assert opened.kind == "InvokeAI graph"
    types = {node.type for node in opened.graph.nodes.values()}
    assert types == {
        "model_loader",
        "clip_skip",
        "compel",
        "noise",
        "denoise_latents",
        "l2i",
        "img_resize",
        "img_blur",
        "save_image",
    }
    assert [kept["data"]["type"] for kept in opened.graph.layout["unknown"].values()] == ["face_off"]
    assert "noise.use_cpu (noise)" in {finding.what for finding in opened.report.of("differs")}
    opened.graph.validate()
    assert (opened.graph["denoise_latents"].steps, opened.graph["compel"].text) == (9, "a fox")


def test_a_workflow_of_invokeais_editor_gives_the_same_graph():
    nodes = [
        {"id": key, "type": "invocation", "data": {"id": key, "type": node["type"], "inputs": {
            name: {"name": name, "value": value} for name, value in node.items() if name not in ("id", "type")}}}
        for key, node in INVOKE["nodes"].items()
    ]  # fmt: skip
    edges = [
        {"type": "default", "source": each["source"]["node_id"], "sourceHandle": each["source"]["field"],
         "target": each["destination"]["node_id"], "targetHandle": each["destination"]["field"]}
        for each in INVOKE["edges"]
    ]  # fmt: skip
    nodes.append({"id": "note", "type": "notes", "data": {"notes": "hello"}})
    opened = read_recipe(json.dumps({"name": "w", "nodes": nodes, "edges": edges}), SHELF)
    assert opened.kind == "InvokeAI workflow"
    assert list(map(str, opened.graph.edges)) == list(map(str, read_recipe(json.dumps(INVOKE), SHELF).graph.edges))


def invoke_graph(nodes: dict[str, dict], links: list[str]) -> str:
    """A graph of InvokeAI; a link is "a.output -> b.input"."""
    edges = []
    for link in links:
        ends = [dict(zip(("node_id", "field"), end.split("."), strict=True)) for end in link.split(" -> ")]
        edges.append({"source": ends[0], "destination": ends[1]})
    return json.dumps({"nodes": {key: {"id": key, **node} for key, node in nodes.items()}, "edges": edges})


FLUX_LINKS = ["m.transformer -> d.transformer", "m.clip -> t.clip", "m.t5_encoder -> t.t5_encoder",
              "t.conditioning -> d.positive_text_conditioning", "d.latents -> l.latents", "m.vae -> l.vae"]  # fmt: skip
SD3_LINKS = ["m.transformer -> d.transformer", "m.clip_l -> t.clip_l", "m.clip_g -> t.clip_g", "m.clip_l -> n.clip_l",
             "t.conditioning -> d.positive_conditioning", "n.conditioning -> d.negative_conditioning",
             "d.latents -> l.latents", "m.vae -> l.vae"]  # fmt: skip


def test_denoisers_that_draw_their_noise_become_two_nodes():
    model, sampling = {"model": {"name": "dreamy"}}, {"seed": 2**64 - 1, "width": 64, "height": 96}
    flux = invoke_graph(
        {
            "m": {"type": "flux_model_loader", **model},
            "t": {"type": "flux_text_encoder", "prompt": "a fox"},
            "d": {"type": "flux_denoise", "num_steps": 9, "guidance": 3.0, "scheduler": "euler", **sampling},
            "l": {"type": "flux_vae_decode"},
        },
        FLUX_LINKS,
    )
    graph = read_recipe(flux, SHELF).graph.validate()
    assert (graph["noise"].seed, graph["noise"].width, graph["noise"].height) == (2**64 - 1, 64, 96)
    denoise = graph["denoise_latents"]
    assert (denoise.steps, denoise.guidance, denoise.scheduler) == (9, 3.0, "flow_euler")
    assert "model_loader.unet -> noise.unet" in map(str, graph.edges)
    assert "prompt.conditioning -> denoise_latents.positive" in map(str, graph.edges)
    sd3 = invoke_graph(
        {
            "m": {"type": "sd3_model_loader", **model},
            "t": {"type": "sd3_text_encoder", "prompt": "a fox"},
            "n": {"type": "sd3_text_encoder", "prompt": ""},
            "d": {"type": "sd3_denoise", "steps": 7, "cfg_scale": 3.5, **sampling},
            "l": {"type": "sd3_l2i"},
        },
        SD3_LINKS,
    )
    opened = read_recipe(sd3, SHELF)
    assert (opened.graph.validate()["denoise_latents"].cfg_scale, len(opened.graph)) == (3.5, 6)
    assert not any("no such" in finding.why for finding in opened.report)


def test_a_denoiser_whose_values_do_not_fit_is_a_placeholder():
    text = invoke_graph({"m": {"type": "flux_model_loader"}, "d": {"type": "flux_denoise", "num_steps": "many"}}, [])
    opened = read_recipe(text, SHELF)
    assert "flux_denoise" in {kept["data"]["type"] for kept in opened.graph.layout["unknown"].values()}
