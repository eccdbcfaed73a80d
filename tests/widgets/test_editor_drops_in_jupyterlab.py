"""Files that are dropped on the canvas or pasted into it, in a real JupyterLab."""

import json
from base64 import b64encode

import pytest
from playwright.sync_api import Locator, expect
from widgets.notebook_page import EDITOR, NotebookPage, middle

pytestmark = pytest.mark.browser
GIVE = """(target, [kind, name, type, data, x, y]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const how = { bubbles: true, cancelable: true, clientX: x, clientY: y };
  target.dispatchEvent(kind === "paste"
    ? new ClipboardEvent("paste", { ...how, clipboardData: transfer })
    : new DragEvent("drop", { ...how, dataTransfer: transfer }));
}"""


def give(target: Locator, kind: str, name: str, media_type: str, data: bytes) -> None:
    """Drop a file on the middle of an element, or paste it there."""
    target.evaluate(GIVE, [kind, name, media_type, b64encode(data).decode(), *middle(target)])


def own_picture(book: NotebookPage) -> bytes:
    """A picture of the studio as a file with its recipe."""
    path = book.lab.folder / "apple.png"
    book.python(f"studio.run(text_to_image(1), progress=False)['picture'].image.save({str(path)!r})")
    return path.read_bytes()


def test_a_dropped_picture_is_its_graph_and_on_an_image_input_it_is_the_image(book):
    data = own_picture(book)
    book.execute(EDITOR, "editor = studio.edit(); editor")
    pane = book.editor.locator(".react-flow__pane")
    expect(book.editor.get_by_role("button", name="Open text to image and run it")).to_be_visible()
    give(pane, "drop", "apple.png", "image/png", data)
    expect(book.field("prompt", "text")).to_have_value("a red apple")
    expect(book.field("noise", "seed")).to_have_value("7")
    expect(book.editor.locator(".nbg-toast")).to_contain_text("apple.png: read")
    give(pane, "drop", "notes.txt", "text/plain", b"nothing to see")
    expect(book.editor.locator(".nbg-toast-refusal")).to_be_visible()
    expect(book.editor.locator(".react-flow__node")).to_have_count(5)
    book.python("from nbgraph.invocations import Image; editor.graph.add_node(Image(id='photo')); None")
    give(book.node("photo").get_by_label("photo image", exact=True), "drop", "apple.png", "image/png", data)
    expect(book.node("photo").locator(".nbg-image-input img")).to_be_visible()
    expect(book.editor.locator(".react-flow__node")).to_have_count(6)
    book.editor.focus()
    give(book.editor, "paste", "apple.png", "image/png", data)
    expect(book.node("picture_2")).to_be_attached()


COMFYUI = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "emoji"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a green apple"}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "5": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["3", 0],
            "latent_image": ["4", 0],
            "seed": 7,
            "steps": 3,
            "cfg": 4.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
    },
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
}


def test_a_dropped_workflow_of_comfyui_is_drawn(book):
    book.execute(EDITOR, "editor = studio.edit(); editor")
    pane = book.editor.locator(".react-flow__pane")
    give(pane, "drop", "workflow.json", "application/json", json.dumps(COMFYUI).encode())
    expect(book.editor.locator(".nbg-toast")).to_contain_text("workflow.json: read")
    expect(book.editor.locator(".react-flow__node").filter(has_text="a green apple")).to_have_count(1)
    assert "[3]" in book.python("[one.steps for one in editor.graph.nodes.values() if one.type == 'tool_sampler']")
