"""Files that are dropped on the canvas or pasted into it, in a real JupyterLab."""

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


def test_a_dropped_workflow_of_comfyui_is_drawn(book):
    path = book.lab.folder / "workflow.json"
    book.python(f"open({str(path)!r}, 'w').write(nb.Graph.of(text_to_image(3)).to_comfy())")
    book.execute(EDITOR, "editor = studio.edit(); editor")
    give(book.editor.locator(".react-flow__pane"), "drop", "workflow.json", "application/json", path.read_bytes())
    expect(book.editor.locator(".nbg-toast")).to_contain_text("workflow.json: read")
    expect(book.editor.locator(".react-flow__node").filter(has_text="a red apple")).to_have_count(1)
    assert "[3]" in book.python("[one.steps for one in editor.graph.nodes.values() if one.type == 'denoise_latents']")
