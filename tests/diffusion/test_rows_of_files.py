"""Every kind of model file that people bring has a test, and works or is refused: none just fails.

The rows are the kinds of files, folders, LoRAs and embeddings that exist in the wild. `works` is loaded, or recognised
where nothing loads it yet; `refused` is an error before a step, which says what to do.
"""

import ast
from pathlib import Path

HERE = Path(__file__).parent
WHAT, SINGLE, FULL = "test_what_is", "test_single_files", "test_full_size_names"
PARTS, QUANTISED, PRECISION = "test_model_parts", "test_quantised_files", "test_precision"
WEIGHTS, FOLDERS, ODD = "test_weights_that_do_not_fit", "test_bad_folders", "test_odd_models"
LORA, KIN, INPAINT, WORDS = "test_lora_files", "test_lora_kin", "test_inpainting_models", "test_textual_inversion"
DRAWS, KINDS, NO_FILE = (
    "test_a_single_file_draws_the_picture_of_its_folder",
    "test_denoisers_are_told_apart_by_names_and_shapes",
    "test_what_is_no_weight_file_is_named_with_a_remedy",
)
TOLD, ADDED, REFUSED = (
    "test_single_parts_and_adapters_are_recognised",
    "test_layers_are_added_as_if_merged_by_hand_each_with_its_alpha",
    "test_what_is_not_applied_is_refused_by_kind_in_one_line",
)
FORMULA, LAYOUT = "test_what_is_added_is_what_the_formula_says", "test_every_layout_is_read_as_diffusers_reads_it"
CONTROLLED = "test_a_control_lora_does_what_diffusers_does_with_it_and_leaves_the_model_alone"
QUANTISED_FOLDER = "test_a_quantised_folder_names_what_is_missing"
UNFIT, OLD = (
    "test_weights_that_do_not_fit_are_refused",
    "test_old_names_and_what_cannot_change_a_picture_go_on_loading",
)

ROWS: list[tuple[str, str, str, str, str]] = [
    # what it is, outcome, module and test, and the case of a parametrized test
    ("a Git LFS pointer", "refused", WHAT, NO_FILE, "Git LFS pointer"),
    ("a saved web page", "refused", WHAT, NO_FILE, "web page"),
    ("a pickle, zipped or old", "refused", WHAT, NO_FILE, "old pickle"),
    ("an interrupted download", "refused", WHAT, "test_an_interrupted_download_is_seen_from_its_length", ""),
    ("SD 1.x checkpoint", "works", SINGLE, DRAWS, ""),
    ("SD 2.x checkpoint", "works", FULL, "test_a_full_size_sd2_has_the_names_of_sd1_and_the_sizes_of_its_kind", ""),
    ("SDXL checkpoint", "works", SINGLE, DRAWS, ""),
    ("SDXL refiner", "refused", SINGLE, "test_a_file_that_draws_no_pictures_is_refused_with_what_it_is", ""),
    ("9 channels: inpainting", "works", SINGLE, "test_full_size_checkpoints_for_inpainting_are_whole_models", ""),
    (
        "8 channels: instruct-pix2pix",
        "refused",
        ODD,
        "test_a_denoiser_that_takes_more_than_latents_is_refused_by_its_kind",
        "",
    ),
    ("5 channels: depth", "refused", ODD, "test_a_denoiser_that_takes_more_than_latents_is_refused_by_its_kind", ""),
    ("SD3 medium checkpoint", "works", SINGLE, DRAWS, ""),
    (
        "SD 3.5 medium and large",
        "works",
        FULL,
        "test_a_full_size_checkpoint_has_exactly_the_tensors_of_its_kind",
        "sd35-large",
    ),
    (
        "FLUX.1 dev and schnell",
        "works",
        FULL,
        "test_a_full_size_checkpoint_has_exactly_the_tensors_of_its_kind",
        "flux-schnell",
    ),
    ("FLUX.1 Fill", "works", INPAINT, "test_nodes_give_exactly_what_the_pipeline_gives", ""),
    (
        "FLUX.1 Depth and Canny",
        "refused",
        ODD,
        "test_a_packed_denoiser_that_takes_a_control_image_is_refused_by_its_kind",
        "",
    ),
    ("FLUX.2 transformer", "works", FULL, "test_a_full_size_flux2_transformer_is_converted_whole", ""),
    (
        "Chroma transformer",
        "works",
        SINGLE,
        "test_a_transformer_alone_draws_with_the_parts_of_a_model_beside_it",
        "chroma",
    ),
    (
        "Z-Image transformer",
        "works",
        SINGLE,
        "test_a_transformer_alone_draws_with_the_parts_of_a_model_beside_it",
        "z-image",
    ),
    (
        "Qwen-Image transformer",
        "works",
        SINGLE,
        "test_a_transformer_alone_draws_with_the_parts_of_a_model_beside_it",
        "qwen-image",
    ),
    ("Lumina 2", "works", WHAT, KINDS, "lumina 2"),
    ("Krea 2", "works", WHAT, KINDS, "krea 2"),
    ("FLUX.3", "works", WHAT, KINDS, "flux3"),
    ("Wan, LTX, Hunyuan: video", "works", WHAT, KINDS, "wan"),
    ("AuraFlow", "works", WHAT, KINDS, "auraflow"),
    ("Sana", "works", WHAT, KINDS, "sana"),
    (
        "VAE alone, of LDM or diffusers",
        "works",
        PARTS,
        "test_a_vae_file_takes_its_scaling_from_the_model_it_is_used_with",
        "",
    ),
    (
        "VAE alone without a model",
        "refused",
        PARTS,
        "test_a_vae_file_without_a_model_to_take_its_scaling_from_is_refused",
        "",
    ),
    ("ControlNet of SD 1.5", "works", PARTS, "test_a_controlnet_file_steers_as_its_folder_does", ""),
    ("ControlNet of SDXL, 3 sizes", "works", PARTS, "test_the_sizes_of_sdxl_controlnets_are_read_from_their_names", ""),
    ("CLIP-L, CLIP-G, T5 alone", "works", PARTS, "test_text_encoders_find_their_places_by_their_headers", ""),
    ("IP-Adapter", "works", WHAT, TOLD, "ip-adapter"),
    ("upscaler", "works", WHAT, TOLD, "upscaler"),
    ("scaled fp8", "works", QUANTISED, "test_scaled_fp8_is_multiplied_by_its_scales", ""),
    ("plain fp8", "works", QUANTISED, "test_plain_fp8_is_the_values_that_are_stored", ""),
    ("GGUF", "works", QUANTISED, "test_a_gguf_file_has_the_values_that_it_holds", ""),
    (
        "nf4, nvfp4, GPTQ, AWQ",
        "refused",
        QUANTISED,
        "test_files_quantised_in_other_ways_are_refused_with_what_they_need",
        "",
    ),
    ("v-prediction in the metadata", "works", SINGLE, "test_the_prediction_a_file_names_reaches_its_scheduler", ""),
    ("EMA copies and position ids", "works", WEIGHTS, OLD, "averages kept by training"),
    (
        "T5 with shared weights alone",
        "works",
        SINGLE,
        "test_a_single_file_has_the_weights_of_the_folder_it_was_made_of",
        "",
    ),
    (
        "a transformer without its parts",
        "refused",
        SINGLE,
        "test_a_file_without_its_parts_is_refused_before_anything_runs",
        "",
    ),
    ("parts of another family", "refused", SINGLE, "test_parts_of_another_family_are_refused", ""),
    ("a .ckpt that holds code", "refused", WORDS, "test_a_pickle_that_holds_code_is_refused_and_not_run", ""),
    ("folder: files of a variant alone", "works", FOLDERS, "test_a_variant_that_is_not_there", ""),
    (
        "folder: ten and more shards",
        "works",
        ODD,
        "test_ten_and_more_shards_of_a_variant_are_loaded_and_a_missing_one_is_named",
        "",
    ),
    ("folder: prefixed text encoders", "works", WEIGHTS, OLD, "prefixed encoder"),
    ("folder: old names of attention", "works", WEIGHTS, OLD, "old names of attention"),
    ("folder: plain fp8 tensors", "works", WEIGHTS, "test_plain_fp8_is_read_as_numbers", ""),
    ("folder: scaled fp8 tensors", "refused", WEIGHTS, UNFIT, "scaled fp8"),
    ("folder: a missing tensor", "refused", WEIGHTS, UNFIT, "a tensor less"),
    ("folder: pickles alone", "refused", FOLDERS, "test_pickled_weights_are_never_loaded", ""),
    ("folder: torchao or quanto, installed", "works", PRECISION, "test_a_folder_with_quantised_weights_draws", ""),
    ("folder: torchao, not installed", "refused", PRECISION, QUANTISED_FOLDER, "torchao"),
    ("folder: bitsandbytes without a GPU", "refused", PRECISION, QUANTISED_FOLDER, "bitsandbytes"),
    ("folder: SD3 without T5", "works", ODD, "test_sd3_without_t5_encodes_as_its_plain_pipeline_does", ""),
    ("folder: a class whose package lacks", "refused", ODD, "test_a_class_whose_package_is_not_installed_names_it", ""),
    (
        "folder: ControlNet and LCM pipelines",
        "works",
        ODD,
        "test_folders_of_controlnet_and_lcm_pipelines_are_their_plain_models",
        "",
    ),
    ("folder: truncated weights", "refused", FOLDERS, "test_truncated_weights", ""),
    ("LoRA: kohya SD 1.5", "works", LORA, ADDED, "kohya"),
    ("LoRA: kohya SDXL", "works", LORA, ADDED, "kohya XL"),
    ("LoRA: kohya SDXL, original blocks", "works", LORA, ADDED, "kohya XL, original names"),
    ("LoRA: LoCon", "works", LORA, ADDED, "LoCon"),
    ("LoRA: PEFT", "works", LORA, ADDED, "peft"),
    ("LoRA: alpha in the metadata", "works", LORA, "test_the_alpha_of_the_metadata_counts", ""),
    ("LoRA: old diffusers", "works", LORA, ADDED, "old diffusers"),
    ("LoRA: PEFT with alpha, every family", "works", LORA, ADDED, "Chroma"),
    ("LoRA: kohya Flux, fused layers", "works", LORA, "test_fused_layers_of_flux_are_split_with_their_alpha", ""),
    ("LoRA: BFL names with lora_A", "works", LORA, ADDED, "Flux, original names"),
    ("LoRA: ai-toolkit SD3", "works", LORA, ADDED, "SD3, ai-toolkit"),
    ("LoRA: ai-toolkit Chroma", "works", LORA, ADDED, "Chroma, ai-toolkit"),
    ("LoRA: ComfyUI Qwen-Image, Z-Image", "works", LORA, ADDED, "Z-Image, ComfyUI"),
    ("LoRA: DoRA", "works", KIN, FORMULA, "DoRA"),
    ("LoRA: LoHa", "works", KIN, FORMULA, "LoHa"),
    ("LoRA: LoKr", "works", KIN, FORMULA, "LoKr, split"),
    ("LoRA: whole differences", "works", KIN, FORMULA, "whole"),
    ("LoRA: embeddings beside", "works", LORA, "test_embeddings_in_the_file_of_a_lora_are_left_to_a_node_for_them", ""),
    ("LoRA: control LoRA of Flux", "works", "test_control_loras", CONTROLLED, ""),
    ("LoRA: OFT, (IA)3, GLoRA", "refused", LORA, REFUSED, "OFT"),
    ("LoRA: of another base", "refused", KIN, "test_a_lora_for_another_base_is_refused_before_it_runs", ""),
    ("embedding: A1111", "works", WORDS, LAYOUT, "A1111"),
    ("embedding: diffusers", "works", WORDS, LAYOUT, "diffusers"),
    ("embedding: SDXL", "works", WORDS, "test_sdxl_has_vectors_for_both_encoders_or_for_one", ""),
    (
        "embedding: a converted .pt",
        "works",
        WORDS,
        "test_a_pickle_is_converted_when_it_is_named_and_holds_weights_alone",
        "",
    ),
    (
        "embedding: of another width",
        "refused",
        WORDS,
        "test_an_embedding_that_does_not_fit_is_refused_before_it_runs",
        "",
    ),
]


def test_every_kind_of_file_has_a_test():
    sources = {row[2]: (HERE / f"{row[2]}.py").read_text(encoding="utf-8") for row in ROWS}
    functions = {
        module: {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        for module, source in sources.items()
    }
    lacking = [what for what, _, module, test, _ in ROWS if test not in functions[module]]
    lacking += [what for what, _, module, _, case in ROWS if case and f'"{case}"' not in sources[module]]
    assert not lacking


def test_no_kind_of_file_just_fails():
    assert {row[1] for row in ROWS} == {"works", "refused"}
    assert len({row[0] for row in ROWS}) == len(ROWS)
