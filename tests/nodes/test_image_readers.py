"""Nodes over models that read images: what transformers gives, as images and masks of the studio."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import AutoImageProcessor, DPTForDepthEstimation, SegformerForSemanticSegmentation
from transformers.pipelines import pipeline

import nbgraph as nb
from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import Caption, EstimateDepth, RemoveBackground, SegmentClicks, SegmentLabels
from tests.tiny_models.image_readers import LABELS, build_captioner, build_depth, build_sam, build_segmenter

WIDTH, HEIGHT = 48, 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readers")
    for build in (build_depth, build_segmenter, build_sam, build_captioner):
        build(path / build.__name__)
    return path


@pytest.fixture(scope="module")
def studio() -> Iterator[nb.Studio]:
    with nb.Studio(settings=nb.Settings(device="cpu")) as opened:
        yield opened


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    drawn = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
    ImageDraw.Draw(drawn).ellipse((8, 8, 30, 30), fill=(220, 40, 90))
    return drawn


def made(studio: nb.Studio, node: Any) -> Any:
    return studio.run(node, progress=False)[node]


def test_depth_is_what_the_pipeline_of_transformers_gives(studio, folder, picture) -> None:
    path = str(folder / "build_depth")
    reader: Any = pipeline(
        "depth-estimation", model=DPTForDepthEstimation.from_pretrained(path),
        image_processor=AutoImageProcessor.from_pretrained(path),
    )  # fmt: skip
    node = EstimateDepth(image=studio.images.add(picture), depth_model=path)
    assert np.array_equal(np.asarray(made(studio, node).image.convert("L")), np.asarray(reader(picture)["depth"]))


def test_labels_become_masks_and_a_background_becomes_transparent(studio, folder, picture) -> None:
    path = str(folder / "build_segmenter")
    model, processor = SegformerForSemanticSegmentation.from_pretrained(path), AutoImageProcessor.from_pretrained(path)
    with torch.no_grad():
        given = model(**processor(images=picture, return_tensors="pt"))
    found = processor.post_process_semantic_segmentation(given, target_sizes=[(HEIGHT, WIDTH)])[0].numpy()
    image = studio.images.add(picture)
    for number, name in LABELS.items():
        mask = made(studio, SegmentLabels(image=image, segmentation_model=path, labels=[name])).image
        assert np.array_equal(np.asarray(mask.convert("L")) > 0, found == number)
    every = made(studio, SegmentLabels(image=image, segmentation_model=path, labels=list(LABELS.values()))).image
    assert np.asarray(every.convert("L")).min() == 255
    cut = made(studio, RemoveBackground(image=image, segmentation_model=path)).image
    assert cut.mode == "RGBA"
    assert np.array_equal(np.asarray(cut.getchannel("A")) == 0, found == 0)


def test_a_click_gives_a_mask_of_the_size_of_the_image(studio, folder, picture) -> None:
    image, path = studio.images.add(picture), str(folder / "build_sam")
    masks = [
        np.asarray(made(studio, SegmentClicks(image=image, sam_model=path, points=points, avoided_points=away)).image)
        for points, away in (([(19, 19)], []), ([(40, 35)], [(19, 19)]), ([(19, 19)], []))
    ]
    assert {mask.shape[:2] for mask in masks} == {(HEIGHT, WIDTH)}
    assert set(np.unique(masks[0])) <= {0, 255}
    assert np.array_equal(masks[0], masks[2])
    with pytest.raises(NodeError, match=r"the point \(48, 0\) lies outside of the image, which is 48x40"):
        made(studio, SegmentClicks(image=image, sam_model=path, points=[(48, 0)]))


def test_a_caption_is_the_same_sentence_each_time(studio, folder, picture) -> None:
    image, path = studio.images.add(picture), str(folder / "build_captioner")
    texts = [made(studio, Caption(image=image, caption_model=path, max_tokens=5)).value for _ in range(2)]
    assert texts[0] == texts[1]
    assert isinstance(texts[0], str)


def test_a_model_for_something_else_and_an_unknown_label_are_refused(studio, folder, picture) -> None:
    image = studio.images.add(picture)
    with pytest.raises(GraphError, match="depth_model: .*has no component 'depth'"):
        studio.run(EstimateDepth(image=image, depth_model=str(folder / "build_sam")), progress=False)
    node = SegmentLabels(image=image, segmentation_model=str(folder / "build_segmenter"), labels=["skyy"])
    with pytest.raises(NodeError, match="no label 'skyy'; did you mean 'sky'"):
        studio.run(node, progress=False)


def test_a_folder_with_code_of_its_own_is_refused(studio, picture, tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["BiRefNet"], "auto_map": {"AutoConfig": "code.Config"}}')
    node = RemoveBackground(image=studio.images.add(picture), segmentation_model=str(tmp_path))
    with pytest.raises(GraphError, match="holds a BiRefNet, which is neither"):
        studio.run(node, progress=False)
