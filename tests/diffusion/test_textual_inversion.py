"""Textual inversions: what diffusers reads of their tokens, on copies of tokenizer and encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import nbgraph as nb
from nbgraph.diffusion.convert import convert_pickle
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.prompt import encode_prompt, encode_prompts
from nbgraph.diffusion.refs import ClipSkipPatch, ModelRef, TextualInversionPatch
from nbgraph.diffusion.textual_inversion import embedding_problem
from nbgraph.diffusion.tool_prompt import encode_tool_prompt
from nbgraph.diffusion.weighted_prompt import encode_weighted_prompt
from nbgraph.errors import GraphError, ModelError
from nbgraph.invocations import ModelLoader, Prompt, TextualInversion
from tests.diffusion.models import TinyModels

WIDTH = 32
TEXT = "a red fur, a dog"


def vectors(count: int, seed: int = 1, width: int = WIDTH) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def laid(ref: ModelRef, file: Path, token: str) -> ModelRef:
    return ref.with_patch(TextualInversionPatch.from_file(str(file), token=token))


def written(file: Path, **tensors: Tensor) -> Path:
    save_file(tensors, file)
    return file


def encoded(cache: ModelCache, ref: ModelRef, text: str, encode: Callable[..., Any] = encode_prompt) -> Any:
    with cache.use(ref, "text") as components:
        return encode(components, text)


def same(found: Any, *expected: Tensor) -> bool:
    return all(torch.equal(own, other) for own, other in zip(found.tensors.values(), expected, strict=True))


def plain_sd15(tiny: TinyModels, text: str, **embeddings: Any) -> Tensor:
    pipeline = tiny.pipeline("sd15")
    for token, value in embeddings.items():
        pipeline.load_textual_inversion(value, token=token)
    return pipeline.encode_prompt(text, "cpu", 1, False)[0]


LAYOUTS: dict[str, Callable[[Tensor], dict[str, Tensor]]] = {
    "A1111": lambda tensor: {"emb_params": tensor},
    "diffusers": lambda tensor: {"fur": tensor},
    "pickled A1111": lambda tensor: {"string_to_param.*": tensor},
    "SDXL, one encoder": lambda tensor: {"clip_l": tensor},
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_as_diffusers_reads_it(tiny, shared_cache, tmp_path, layout, count):
    file = written(tmp_path / "a.safetensors", **LAYOUTS[layout](vectors(count)))
    ref = laid(tiny["sd15"], file, "fur")
    assert same(encoded(shared_cache, ref, TEXT), plain_sd15(tiny, TEXT, fur=vectors(count)))
    assert not same(encoded(shared_cache, tiny["sd15"], TEXT), plain_sd15(tiny, TEXT, fur=vectors(count)))


def test_a_vector_without_a_row_is_one_vector(tiny, shared_cache, tmp_path):
    file = written(tmp_path / "a.safetensors", fur=vectors(1)[0])
    assert same(encoded(shared_cache, laid(tiny["sd15"], file, "fur"), TEXT), plain_sd15(tiny, TEXT, fur=vectors(1)))


def test_sdxl_has_vectors_for_both_encoders_or_for_one(tiny, shared_cache, tmp_path):
    first, second = vectors(2), vectors(2, seed=2)
    both = written(tmp_path / "both.safetensors", clip_l=first, clip_g=second)
    one = written(tmp_path / "one.safetensors", clip_g=second)
    pipeline = tiny.pipeline("sdxl")
    pipeline.load_textual_inversion(
        second, token="fur", text_encoder=pipeline.text_encoder_2, tokenizer=pipeline.tokenizer_2
    )
    expected = pipeline.encode_prompt(TEXT, device="cpu", do_classifier_free_guidance=False)
    assert same(encoded(shared_cache, laid(tiny["sdxl"], one, "fur"), TEXT), expected[0], expected[2])
    pipeline.load_textual_inversion(
        first, token="fur", text_encoder=pipeline.text_encoder, tokenizer=pipeline.tokenizer
    )
    expected = pipeline.encode_prompt(TEXT, device="cpu", do_classifier_free_guidance=False)
    assert same(encoded(shared_cache, laid(tiny["sdxl"], both, "fur"), TEXT), expected[0], expected[2])


def test_flux_takes_vectors_for_its_clip(tiny, shared_cache, tmp_path):
    file = written(tmp_path / "a.safetensors", clip_l=vectors(2))
    pipeline = tiny.pipeline("flux")
    pipeline.load_textual_inversion(vectors(2), token="fur")
    expected = pipeline.encode_prompt(TEXT, None, device="cpu")
    found = encoded(shared_cache, laid(tiny["flux"], file, "fur"), TEXT)
    assert torch.equal(found.tensors["pooled_prompt_embeds"], expected[1])


def test_several_embeddings_whose_tokens_contain_one_another(tiny, shared_cache, tmp_path):
    ref, expected = tiny["sd15"], {}
    for number, token in enumerate(("fur", "fur2", "red-fur"), start=1):
        file = written(tmp_path / f"{token}.safetensors", emb_params=vectors(number, seed=number))
        ref, expected[f"zq{number}"] = laid(ref, file, token), vectors(number, seed=number)
    found = encoded(shared_cache, ref, "fur2, a fur and red-fur, furry")
    assert same(found, plain_sd15(tiny, "zq2, a zq1 and zq3, furry", **expected))


@pytest.mark.parametrize("text", ["a red embedding:fur, a dog", "a red FUR, a dog", "a red Embedding:Fur, a dog"])
def test_the_name_that_comfyui_writes_and_any_case_are_read(tiny, shared_cache, tmp_path, text):
    ref = laid(tiny["sd15"], written(tmp_path / "a.safetensors", emb_params=vectors(2)), "fur")
    assert same(encoded(shared_cache, ref, text), *encoded(shared_cache, ref, TEXT).tensors.values())


@pytest.mark.parametrize("text", ["a furry dog", "a fur-coat", "embedding:furs"])
def test_a_token_within_a_word_is_letters(tiny, shared_cache, tmp_path, text):
    ref = laid(tiny["sd15"], written(tmp_path / "a.safetensors", emb_params=vectors(2)), "fur")
    assert same(encoded(shared_cache, ref, text), *encoded(shared_cache, tiny["sd15"], text).tensors.values())


def test_weights_are_put_on_all_its_vectors(tiny, shared_cache, tmp_path):
    ref = laid(tiny["sd15"], written(tmp_path / "a.safetensors", emb_params=vectors(2)), "fur")
    heavy = encoded(shared_cache, ref, "a (fur)1.5 dog", encode_weighted_prompt)
    assert torch.equal(
        heavy.tensors["prompt_embeds"],
        encoded(shared_cache, ref, "a (embedding:fur)1.5 dog", encode_weighted_prompt).tensors["prompt_embeds"],
    )
    assert not torch.equal(
        heavy.tensors["prompt_embeds"], encoded(shared_cache, ref, "a fur dog").tensors["prompt_embeds"]
    )
    comfy, a1111 = (
        lambda components, text, tool=tool: encode_tool_prompt(components, text, tool) for tool in ("comfy", "a1111")
    )
    plain = encoded(shared_cache, ref, "a embedding:fur dog", comfy).tensors["prompt_embeds"]
    assert plain.allclose(encoded(shared_cache, ref, "a fur dog").tensors["prompt_embeds"], atol=1e-5)
    weighted = encoded(shared_cache, ref, "a (embedding:fur:1.5) dog", comfy).tensors["prompt_embeds"]
    changed = (weighted - plain).abs().amax(-1)[0].nonzero().flatten().tolist()
    assert changed == [2, 3]
    assert encoded(shared_cache, ref, "a (fur:1.5) dog", a1111).tensors["prompt_embeds"].isfinite().all()
    with pytest.raises(ModelError, match="'embedding:other' is a textual inversion that is not over these text enc"):
        encoded(shared_cache, ref, "a embedding:other dog", comfy)


def test_its_vectors_count_as_tokens_and_nothing_is_unknown(tiny, shared_cache, tmp_path):
    ref = laid(tiny["sd15"], written(tmp_path / "a.safetensors", emb_params=vectors(70)), "fur")
    short = encoded(shared_cache, ref, "fur")
    assert (short.tokens, short.cut, short.unknown) == (72, "", ())
    assert "warm" not in encoded(shared_cache, ref, "fur a red cat and a dog house").cut
    assert encoded(shared_cache, ref, "fur a red cat and a dog house").cut != ""


def test_skipped_layers_and_batches_have_it_too(tiny, shared_cache, tmp_path):
    ref = laid(tiny["sd15"], written(tmp_path / "a.safetensors", emb_params=vectors(2)), "fur")
    pipeline = tiny.pipeline("sd15")
    pipeline.load_textual_inversion(vectors(2), token="fur")
    skipped = encoded(shared_cache, ref.with_patch(ClipSkipPatch(layers=1)), TEXT).tensors["prompt_embeds"]
    assert not torch.equal(skipped, encoded(shared_cache, ref, TEXT).tensors["prompt_embeds"])
    with shared_cache.use(ref, "text") as components:
        both = encode_prompts(components, [TEXT, "a dog"])
    assert (
        both[0].tensors["prompt_embeds"].allclose(encoded(shared_cache, ref, TEXT).tensors["prompt_embeds"], atol=1e-6)
    )


def test_the_end_of_a_text_is_found_in_encoders_of_old_configurations(tiny, tmp_path):
    cache, ref = ModelCache(device="cpu"), tiny["sdxl"]
    first, second = vectors(1), vectors(1, seed=2)
    ref = laid(ref, written(tmp_path / "both.safetensors", clip_l=first, clip_g=second), "fur")
    expected = encoded(cache, ref, TEXT).tensors["pooled_prompt_embeds"]
    cache.clear()
    with cache.use(tiny["sdxl"], "text_encoder_2") as components:
        for module in components["text_encoder_2"].modules():
            if hasattr(module, "eos_token_id"):
                module.eos_token_id = 2
    assert torch.equal(encoded(cache, ref, TEXT).tensors["pooled_prompt_embeds"], expected)


def test_the_shared_encoder_and_tokenizer_stay_as_they_were(tiny, tmp_path):
    cache = ModelCache(device="cpu")
    with cache.use(tiny["sd15"], "text") as plain:
        words, table = len(plain["tokenizer"]), plain["text_encoder"].get_input_embeddings().weight
        before = table.clone()
        file = written(tmp_path / "a.safetensors", emb_params=vectors(2))
        with cache.use(laid(tiny["sd15"], file, "fur"), "text") as extended:
            assert extended["text_encoder"].get_input_embeddings().weight is table
            assert len(extended["tokenizer"]) == words + 2
        assert plain["text_encoder"].get_input_embeddings().weight is table
        assert torch.equal(table, before)
        assert len(plain["tokenizer"]) == words


@pytest.mark.parametrize(
    ("model", "tensors", "token", "words"),
    [
        ("sd15", {"emb_params": vectors(1, width=768)}, None, "for models of stable-diffusion 1|has the width 768"),
        ("sd15", {"emb_params": vectors(1, width=48)}, None, "has the width 48, and the text encoders .* 32"),
        ("sd15", {"clip_l": vectors(1), "clip_g": vectors(1)}, None, "for models of stable-diffusion-xl"),
        ("sdxl", {"clip_l": vectors(1), "clip_g": vectors(1, width=64)}, None, "clip_g .* width 64"),
        ("sd3", {"emb_params": vectors(1)}, None, "'stable-diffusion-3' take no textual inversions"),
        ("sd15", {"emb_params": vectors(1)}, "two words", "cannot be a token of a prompt"),
        ("sd15", {f"lora_unet_a.lora_{side}.weight": vectors(1) for side in ("down", "up")}, None, "a lora"),
        ("sd15", {"emb_params": torch.ones(1, 2, WIDTH)}, None, "not .vectors, width."),
        ("sd15", {"emb_params": torch.ones(1, WIDTH, dtype=torch.int8)}, None, "no plain numbers"),
    ],
)  # fmt: skip
def test_an_embedding_that_does_not_fit_is_refused_before_it_runs(studio, tiny, tmp_path, model, tensors, token, words):
    file = written(tmp_path / "a.safetensors", **tensors)
    loader = ModelLoader(model=tiny[model].path)
    node = TextualInversion(id="fur", embedding=file, token=token, clip=loader)
    with pytest.raises(GraphError, match=f"fur.embedding: .*({words})"):
        studio.run(Prompt(text="a", clip=node), progress=False)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pt", b"PK\3\4", "pickles are never loaded. Convert one that you trust: nbgraph models --convert"),
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.safetensors", b"<!doctype html>", "cannot be read"),
    ],
)
def test_files_that_are_no_embedding_are_refused_by_name(studio, tiny, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    node = TextualInversion(embedding=tmp_path / name, clip=ModelLoader(model=tiny["sd15"].path))
    with pytest.raises(GraphError, match=words):
        studio.run(Prompt(text="a", clip=node), progress=False)
    with pytest.raises(GraphError, match="there is no file"):
        studio.run(Prompt(text="a", clip=TextualInversion(embedding=tmp_path / "b", clip=node.clip)), progress=False)


def test_values_that_are_not_finite_are_refused(tiny, tmp_path):
    file = written(tmp_path / "a.safetensors", emb_params=vectors(1) * torch.nan)
    with pytest.raises(ModelError, match="is damaged: emb_params holds values that are not finite"):
        encoded(ModelCache(device="cpu"), laid(tiny["sd15"], file, "fur"), TEXT)


def test_a_node_reads_the_token_of_the_file_and_a_changed_file_is_read_again(studio, tiny, tmp_path):
    def embeddings() -> Tensor:
        node = TextualInversion(embedding=file, clip=ModelLoader(model=tiny["sd15"].path))
        prompt = Prompt(id="prompt", text=TEXT, clip=node)
        return studio.run(prompt, progress=False)[prompt].conditioning.tensors()["prompt_embeds"]

    file = written(tmp_path / "other.safetensors", fur=vectors(2))
    assert torch.equal(embeddings(), plain_sd15(tiny, TEXT, fur=vectors(2)))
    written(file, fur=vectors(2, seed=5))
    assert torch.equal(embeddings(), plain_sd15(tiny, TEXT, fur=vectors(2, seed=5)))


def test_one_token_names_one_embedding(studio, tiny, tmp_path):
    file = written(tmp_path / "fur.safetensors", emb_params=vectors(2))
    once = TextualInversion(embedding=file, clip=ModelLoader(model=tiny["sd15"].path))
    twice = TextualInversion(embedding=file, token="FUR", clip=once)
    with pytest.raises(GraphError, match="'FUR' is applied to this model already; give token= another word"):
        studio.run(Prompt(text="a", clip=twice), progress=False)


def test_a_pickle_is_converted_when_it_is_named_and_holds_weights_alone(tiny, shared_cache, tmp_path):
    torch.save({"string_to_param": {"*": vectors(2)}, "name": "fur"}, tmp_path / "fur.pt")
    file = convert_pickle(tmp_path / "fur.pt")
    assert embedding_problem(nb.diffusion.describe_model(tiny["sd15"]), str(file), None) == ""
    assert same(encoded(shared_cache, laid(tiny["sd15"], file, "fur"), TEXT), plain_sd15(tiny, TEXT, fur=vectors(2)))
    with pytest.raises(ModelError, match="is there already"):
        convert_pickle(tmp_path / "fur.pt")


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path):
    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"a": Harm()}, tmp_path / "a.ckpt")
    with pytest.raises(ModelError, match="holds more than weights"):
        convert_pickle(tmp_path / "a.ckpt")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "b.pt").write_bytes(b"\x80\x02")
    with pytest.raises(ModelError, match="cannot be converted"):
        convert_pickle(tmp_path / "b.pt")
