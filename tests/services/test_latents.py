"""The contract of the latents service, in memory and in a folder."""

import pytest
import torch
from hostile import HOSTILE_NAMES

from nbgraph.errors import InvalidNameError, NotFoundError
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.latents.latents_base import LatentsServiceBase


@pytest.fixture
def latents(services: InvocationServices) -> LatentsServiceBase:
    return services.latents


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_come_back_bit_for_bit(latents, dtype):
    saved = (torch.arange(2 * 4 * 3 * 5).reshape(2, 4, 3, 5) % 7).to(dtype)
    record = latents.save({"latents": saved}, metadata={"width": 40})
    tensors, metadata = latents.get(record.name)
    assert torch.equal(tensors["latents"], saved)
    assert tensors["latents"].dtype == dtype
    assert metadata == {"width": 40}


def test_conditioning_is_kept_as_named_tensors_of_a_kind(latents):
    record = latents.save({"prompt_embeds": torch.ones(1, 7, 8), "pooled": torch.zeros(1, 8)}, kind="conditioning")
    latents.save({"latents": torch.zeros(1)})
    tensors, _ = latents.get(record.name)
    assert sorted(tensors) == ["pooled", "prompt_embeds"]
    assert [row.name for row in latents.list("conditioning").items] == [record.name]
    assert latents.list().total == 2


def test_views_and_gradients_are_saved_as_plain_copies(latents):
    base = torch.arange(12.0, requires_grad=True).reshape(3, 4)
    name = latents.save({"a": base.T, "b": base[1:]}).name
    base.data.zero_()
    tensors, _ = latents.get(name)
    assert tensors["a"].shape == (4, 3)
    assert tensors["b"][0].tolist() == [4, 5, 6, 7]
    assert not tensors["a"].requires_grad


def test_who_gets_tensors_gets_copies(latents):
    name = latents.save({"latents": torch.ones(3)}).name
    latents.get(name)[0]["latents"].zero_()
    assert latents.get(name)[0]["latents"].tolist() == [1, 1, 1]


def test_equal_tensors_have_equal_content_and_metadata_counts(latents):
    one, other = (latents.save({"x": torch.ones(3)}, metadata={"seed": 1}) for _ in range(2))
    assert one.content == other.content
    assert latents.save({"x": torch.ones(3)}, metadata={"seed": 2}).content != one.content
    assert latents.save({"x": torch.ones(3, dtype=torch.float64)}, metadata={"seed": 1}).content != one.content


def test_deleting_tells_which_there_were_and_who_asked_hears_of_it(latents):
    changed, deleted = [], []
    latents.on_changed(lambda record: changed.append(record.name))
    latents.on_deleted(deleted.append)
    names = [latents.save({"x": torch.full((2,), value)}).name for value in range(3)]
    assert latents.delete(names[0], names[1], "0" * 32) == 2
    assert (changed, deleted) == (names, names[:2])
    with pytest.raises(NotFoundError, match="deleted"):
        latents.get(names[0])
    assert latents.is_intact(names[2])


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_was_not_generated_is_refused(latents, name):
    assert not latents.exists(name)
    for method in (latents.get, latents.record, latents.content, latents.delete):
        with pytest.raises(InvalidNameError):
            method(name)
