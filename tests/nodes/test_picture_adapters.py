"""T2I-Adapter and IP-Adapter nodes: each changes the picture, is part of the cache key, and leaves nothing behind."""

import pytest
import torch
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import Collect, DenoiseLatents, IpAdapter, ModelLoader, Noise, Prompt, T2iAdapter
from tests.tiny_models import build_image_encoder, build_ip_adapter, build_sd15, build_t2i_adapter


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Stable Diffusion 1.5 with a T2I-Adapter, an IP-Adapter and its image encoder."""
    made = tmp_path_factory.mktemp("adapted")
    build_sd15(made / "sd15")
    build_t2i_adapter(made / "t2i", xl=True)
    build_image_encoder(made / "image_encoder")
    build_ip_adapter(made / "ip.safetensors", made / "sd15")
    return made


@pytest.fixture(scope="module")
def studio():
    """One studio for all, so that the model is loaded once."""
    with nb.Studio() as made:
        yield made


@pytest.fixture
def picture(put):
    return put(PillowImage.linear_gradient("L").resize((64, 64)))


@pytest.fixture
def denoised(folder, studio):
    """Runs the denoise node with some inputs: (latents, whether they came from the cache)."""
    model = ModelLoader(model=str(folder / "sd15"))

    def run(**inputs):
        text = Prompt(text="a red apple", clip=model)
        noise = Noise(unet=model, seed=7, width=32, height=32)
        node = DenoiseLatents(id="denoise", unet=model, positive=text, noise=noise, steps=2, cfg_scale=1.0, **inputs)
        done = studio.run(node, progress=False)
        rows = done.stats
        return done[node].latents.tensor(), bool(rows[rows.source == "denoise"].cached.iloc[0])

    return run


def test_each_adapter_steers_is_part_of_the_key_and_leaves_the_model_alone(folder, studio, denoised, picture):
    def t2i(weight=1.0, **span):
        return {"t2i_adapter": T2iAdapter(image=picture, t2i_adapter_model=str(folder / "t2i"), weight=weight, **span)}

    def ip(weight=1.0, **span):
        file = folder / "ip.safetensors"
        return {"ip_adapter": IpAdapter(image=picture, ip_adapter_model=file, weight=weight, **span)}

    before, _ = denoised()
    for make in (t2i, ip):
        strong, weak = denoised(**make())[0], denoised(**make(0.3))[0]
        assert (strong - before).abs().max() > 1e-3
        assert (weak - strong).abs().max() > 1e-3
        assert denoised(**make())[1]
        assert not denoised(**make(end_step_percent=0.5))[1]
    together, _ = denoised(**t2i(), **ip())
    assert (together - strong).abs().max() > 1e-3
    studio.cache.clear()
    after, cached = denoised()
    assert not cached
    assert torch.equal(after, before)


def test_several_adapters_and_several_pictures(folder, denoised, picture, put):
    other = put(PillowImage.radial_gradient("L").resize((64, 64)))
    file = folder / "ip.safetensors"
    one = IpAdapter(image=picture, ip_adapter_model=file)
    seen_together = IpAdapter(image=Collect(item=[picture, other]), ip_adapter_model=file)
    two = Collect(item=[one, IpAdapter(image=other, ip_adapter_model=file, weight=0.5)])
    found = [denoised(ip_adapter=adapter)[0] for adapter in (one, seen_together, two)]
    lines = [T2iAdapter(image=image, t2i_adapter_model=str(folder / "t2i")) for image in (picture, other)]
    found += [denoised(t2i_adapter=adapter)[0] for adapter in (lines[0], Collect(item=lines))]
    for number, first in enumerate(found):
        assert all((first - second).abs().max() > 1e-4 for second in found[:number])


def test_what_cannot_be_an_adapter_is_refused_before_the_run(folder, studio, picture, tmp_path):
    (tmp_path / "ip.bin").write_bytes(b"no")
    (tmp_path / "ip.safetensors").write_bytes(b"no")
    t2i, ip = {"t2i_adapter_model": str(folder / "t2i")}, {"ip_adapter_model": folder / "ip.safetensors"}
    for node, text in (
        (T2iAdapter(image=picture, t2i_adapter_model=str(folder / "sd15")), "has no component 't2i_adapter'"),
        (T2iAdapter(image=picture, **t2i, begin_step_percent=1.0), "must be more than begin_step_percent"),
        (IpAdapter(image=picture, ip_adapter_model=tmp_path / "none.safetensors"), "there is no file"),
        (IpAdapter(image=picture, ip_adapter_model=tmp_path / "ip.bin"), "pickles are never loaded"),
        (IpAdapter(image=picture, ip_adapter_model=tmp_path / "ip.safetensors"), r"image_encoder: .*no model"),
        (IpAdapter(image=picture, **ip, image_encoder=str(folder / "t2i")), "has no component 'image_encoder'"),
        (IpAdapter(image=picture, **ip, begin_step_percent=0.5, end_step_percent=0.5), "must be more than"),
    ):
        with pytest.raises(GraphError, match=text):
            studio.run(node, progress=False)
