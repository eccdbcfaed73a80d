"""The graphs of the canvas benchmark, and what an edit of each kind costs in the kernel."""

from statistics import median
from time import process_time
from typing import Any

from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.editor import GraphEditor

TIMES = 15
PLACES = {"model": (0, 0), "noise": (300, 0), "prompt": (300, 220), "denoise": (600, 0), "picture": (900, 0)}
COLUMNS, WIDTH, HEIGHT = 5, 1_300, 620
EDITS: dict[str, Any] = {
    "field": lambda k: [["input", "noise1", "seed", {"value": 1000 + k}]],
    "move": lambda k: [["layout", "noise1", "x", float(k)], ["layout", "noise1", "y", float(k)]],
    "unlink": lambda k: [["input", f"denoise{k}", "noise"]],
    "link": lambda k: [["input", f"denoise{k}", "noise", {"links": [[f"noise{k + 1}", "noise"]]}]],
    "add": lambda k: [
        ["node", f"new{k}", "", {"type": "noise"}],
        ["layout", f"new{k}", "x", 1.0],
        ["layout", f"new{k}", "y", 1.0],
    ],
    "delete": lambda k: [["node", f"noise{k}", ""]],
}


def picture_graph(size: int) -> Graph:
    """So many nodes, in groups of five that each make a picture from a text; five groups stand in a row."""
    pictures = []
    for number in range(size // 5):
        model = ModelLoader(id=f"model{number}", model="emoji")
        noise = Noise(id=f"noise{number}", unet=model, seed=number)
        prompt = Prompt(id=f"prompt{number}", text="a red apple", clip=model)
        denoise = DenoiseLatents(id=f"denoise{number}", unet=model, noise=noise, steps=4, cfg_scale=1, positive=prompt)
        pictures.append(LatentsToImage(id=f"picture{number}", latents=denoise, vae=model))
    graph = Graph.of(*pictures)
    graph.layout["nodes"] = {
        f"{name}{number}": {"x": x + number % COLUMNS * WIDTH, "y": y + number // COLUMNS * HEIGHT}
        for number in range(size // 5)
        for name, (x, y) in PLACES.items()
    }
    return graph


def edit_costs(editor: GraphEditor) -> dict[str, float]:
    """Milliseconds of processor time from a page's message to its answer, by the kind of edit, and of undoing one."""

    def tell(content: dict[str, Any]) -> float:
        began, revision = process_time(), editor.document.revision
        editor._handle_custom_msg({"base": revision, **content} if content["type"] == "edit" else content, [])
        assert editor.document.revision == revision + 1
        return (process_time() - began) * 1000

    costs = {
        kind: median(tell({"type": "edit", "changes": make(number)}) for number in range(TIMES))
        for kind, make in EDITS.items()
    }
    return {**costs, "undo": median(tell({"type": "undo"}) for _ in range(TIMES))}
