"""Metadata nodes: values by label, merged in order, kept with a saved picture; and a picture shown on its way."""

import json

import pytest

import nbgraph as nb
from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import (
    BlankImage,
    Collect,
    CoreMetadata,
    Integer,
    MergeMetadata,
    Metadata,
    MetadataItem,
    ModelLoader,
    SaveImage,
    ShowImage,
)
from nbgraph.services.events.events_common import NodeProgress

PICTURE = BlankImage(width=8, height=8, color="orange")


def test_metadata_reach_the_record_of_a_saved_picture_and_are_found_by_a_search(studio, result):
    seed = MetadataItem(label="seed", value=Integer(value=7))
    mood = MetadataItem(label="mood", value={"calm": [1, 2.5, None, True, "<b>"]})
    saved = result(SaveImage(image=PICTURE, metadata=Metadata(items=Collect(item=[seed, mood]))))
    images = studio.services.images
    record = images.record(saved.image_name)
    assert record.metadata == {"seed": 7, "mood": {"calm": [1, 2.5, None, True, "<b>"]}}
    assert json.loads(json.dumps(record.metadata)) == record.metadata
    plain = result(SaveImage(image=PICTURE))
    assert images.record(plain.image_name).metadata == {}


def test_one_item_needs_no_collect_and_the_last_of_a_label_counts(result):
    first, second = (MetadataItem(label="steps", value=value) for value in (3, 4))
    assert result(Metadata(items=first)).metadata.values == {"steps": 3}
    assert result(Metadata(items=Collect(item=[first, second]))).metadata.values == {"steps": 4}


def test_merged_metadata_keep_all_labels_and_the_last_value(result):
    one, two = CoreMetadata(seed=7, steps=20), CoreMetadata(steps=30, scheduler="ddim")
    merged = result(MergeMetadata(collection=Collect(item=[one, two]))).metadata.values
    assert merged == {"seed": 7, "steps": 30, "scheduler": "ddim"}


def test_core_metadata_record_what_is_given_and_models_by_their_fingerprint(result):
    model = ModelLoader(model="emoji")
    values = result(CoreMetadata(positive_prompt="a cat", width=64, model=model, vae=model)).metadata.values
    assert set(values) == {"positive_prompt", "width", "model", "vae"}
    assert values["model"]["name"] == "emoji"
    assert values["model"]["fingerprint"] == result(model).unet.model.fingerprint
    assert "patches" not in values["model"]


def test_values_that_json_cannot_hold_and_bad_labels_are_refused(result):
    with pytest.raises(NodeError, match="the value of 'what' is a object, which JSON cannot hold"):
        result(MetadataItem(label="what", value=object(), use_cache=False))
    with pytest.raises(GraphError, match="label"):
        MetadataItem(label="", value=1)
    with pytest.raises(GraphError, match="strength"):
        CoreMetadata(strength=1.5)


def test_a_shown_picture_is_seen_by_who_listens_every_time_and_passed_on(studio):
    seen = []
    stop = studio.services.events.subscribe(
        lambda event: seen.append(event) if isinstance(event, NodeProgress) else None
    )
    node = ShowImage(image=PICTURE)
    for _ in range(2):
        run = studio.run(node, progress=False)
        assert run[node].image.size == (8, 8)
    stop()
    previews = [event.preview() for event in seen]
    assert [preview.getpixel((0, 0)) for preview in previews] == [(255, 165, 0)] * 2
    assert isinstance(nb.Graph.of(node).to_json(), str)
