"""Measure how the code is cut: modules, arrows, comments, docstrings, types. `make house` prints the table.

Everything is read from the source by `ast` and `tokenize`; pyright is run once in strict mode.
"""

import ast
import io
import json
import subprocess
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nbgraph"
GRAPH = "nbgraph.services.shared.graph"
CLI = "nbgraph.cli"
PROCESSOR = "nbgraph.services.invocation_processor"
PUBLIC_CLASSES = {"Studio", "StudioBase", "Run", "Graph", "GraphFormats", "NodesAndEdges"}
LOADERS = {"widget_class": "nbgraph.widgets", "_part": "nbgraph.cli"}
"""Functions that import a module of a package by its last name."""
DOOR = "the entrance to a subject, loaded when it is first used: "
VIEW = "the view of one service: "
SUBJECT = "a subject of nbgraph.diffusion, which loads it by its name there: "
REASONS = {
    "nbgraph.cli.figure": "loads matplotlib, which only drawings with --out and notebooks need",
    "nbgraph.cli.form_program": DOOR + "nbgraph form",
    "nbgraph.cli.magics": DOOR + "%load_ext nbgraph",
    "nbgraph.cli.run_program": DOOR + "nbgraph run",
    "nbgraph.cli.worker_program": DOOR + "nbgraph worker",
    "nbgraph.diffusion.adapter_kinds": "kinds of adapters by their tensors, as denoiser_kinds; what_is has 260 lines",
    "nbgraph.diffusion.batch_parts": "a batch computed in parts; knows nothing of adapters, as steering does",
    "nbgraph.diffusion.compact_upscaler": "the network of the upscaler that ships; its files have 150 lines",
    "nbgraph.diffusion.convert": SUBJECT + "pickles to safetensors",
    "nbgraph.diffusion.header_index": "a file that keeps facts; only the list of studio.models reads many headers",
    "nbgraph.diffusion.image_readers": SUBJECT + "depth, segments, captions",
    "nbgraph.diffusion.loras": "the layers of LoRAs; patches knows all kinds of patches, and none in particular",
    "nbgraph.diffusion.metric_models": SUBJECT + "scores of images",
    "nbgraph.diffusion.mixed_conditioning": SUBJECT + "average and join prompts",
    "nbgraph.diffusion.noise": SUBJECT + "noise and sizes of latents",
    "nbgraph.diffusion.offloading": "where weights are while they compute; the model cache has 380 lines",
    "nbgraph.diffusion.scheduler_fixes": "corrections of diffusers' schedulers; knows nothing of the loop",
    "nbgraph.diffusion.steering": "a denoiser for one run; knows nothing of latents and steps, denoising has 320 lines",
    "nbgraph.diffusion.step_caches": "caches of diffusers over a denoiser; pipelines knows nothing of them",
    "nbgraph.diffusion.thread_count": "threads of OpenMP, without models; the model cache has 380 lines",
    "nbgraph.diffusion.token_counts": "what tokenizers cut off, tested by itself; with prompt it would have 320 lines",
    "nbgraph.diffusion.tool_prompt": SUBJECT + "prompts as other tools encode them",
    "nbgraph.diffusion.tool_sampling": SUBJECT + "samplers of other tools",
    "nbgraph.diffusion.upscalers": SUBJECT + "upscalers from files",
    "nbgraph.doctor": DOOR + "nbgraph doctor; a person may import it to report without the program",
    "nbgraph.experiments.ablation": DOOR + "studio.ablate",
    "nbgraph.experiments.batch": "values for the inputs of one graph; axes say it in the terms of sweeps",
    "nbgraph.experiments.live": "what a cell shows of a sweep that runs; with the sweep it would have 430 lines",
    "nbgraph.experiments.regressions": "finds what became slower; the Studio that offers it has 380 lines",
    "nbgraph.experiments.summaries": "sums of stats, on frames alone; the Studio that offers them has 380 lines",
    "nbgraph.experiments.sweep_plots": DOOR + "sweep.plot, which loads matplotlib",
    "nbgraph.grammar.graph_from_python": "Python code as a graph; the grammar of the shell is another one",
    "nbgraph.mcp_server": DOOR + "nbgraph mcp, which needs the package mcp",
    "nbgraph.recipes.a1111_text": "one format of other programs; reading decides which it is",
    "nbgraph.recipes.comfy_export": DOOR + "graph.to_comfyui",
    "nbgraph.recipes.comfy_reader": "how any workflow of ComfyUI is walked; its readers know the node types",
    "nbgraph.recipes.diffusers_script": DOOR + "graph.to_diffusers",
    "nbgraph.recipes.invoke_import": "one format of another program; reading decides which it is",
    "nbgraph.recipes.lock": DOOR + "studio.lock",
    "nbgraph.recipes.parameters": "the text that A1111 began; a recipe of nbgraph is another format",
    "nbgraph.recipes.script_text": "lines of a script, without nodes; with the walk over nodes it has 560 lines",
    "nbgraph.recipes.script_values": "values that the walk passes on; with it 480 lines",
    "nbgraph.services.archive_file": "what a zip may hold, against hostile files; with studio_archive it has 500 lines",
    "nbgraph.services.invocation_cache.code_parts": "labels and hashes of a walk, which has 400 lines",
    "nbgraph.services.invocation_cache.code_values": "how values are hashed; the walk decides which, in 400 lines",
    "nbgraph.services.invocation_cache.code_walk": "the walk; its entrance code_hash explains it and keeps the results",
    "nbgraph.services.invocation_cache.dropping_base": "a third of the cache's base class, which has 250 lines",
    "nbgraph.services.invocation_cache.entries_base": "a third of the cache's base class, which has 250 lines",
    "nbgraph.services.invocation_cache.local_index": "what a kernel knows of a folder; with the cache 380 lines",
    "nbgraph.services.invocation_cache.entry_pages": "lists for people; with the rest of the table 410 lines",
    "nbgraph.services.invocation_cache.read_ahead": "guesses which rows come next; knows the table alone",
    PROCESSOR + ".cluster_ends": "what ends or runs again, beside what is sent; with the head it would have 430 lines",
    PROCESSOR + ".cluster_head": "the thread that talks to Dask; with the processor it would have 610 lines",
    PROCESSOR + ".cluster_intake": "what workers send, taken over; with the head and the ends 780 lines",
    PROCESSOR + ".cluster_legs": "runs legs on a worker; with the host it would have 590 lines",
    PROCESSOR + ".cluster_link": "a worker's line to its head; with the worker it would have 490 lines",
    PROCESSOR + ".cluster_outbox": "cuts what happened into batches, tested alone; with the legs 420 lines",
    PROCESSOR + ".cluster_parts": "which ranges of indices run apart: arithmetic, tested without Dask",
    GRAPH: "the room itself, whose modules are imported by their names",
    "nbgraph.services.shared.default_graphs": "the graphs of a new library, as data; imported by people too",
    "nbgraph.services.shared.drawing.text": "a drawing in characters, beside that in SVG; only the shell shows it",
    GRAPH + ".compiled_graph": "what is known of a graph, and when that is out of date; with the graph 470 lines",
    "nbgraph.services.shared.graph.dispatcher": "what runs next; with the session it has 700 lines",
    "nbgraph.services.shared.graph.graph_formats": "a part of the class Graph, which would have 600 lines",
    "nbgraph.services.shared.graph.inputs": "what arrives at a node; with the dispatcher it has 590 lines",
    "nbgraph.services.shared.graph.nodes_and_edges": "a part of the class Graph, which would have 600 lines",
    "nbgraph.services.shared.sqlite.folder_log": "a logging handler; it knows nothing of databases",
    "nbgraph.services.shared.sqlite.folder_watch": "tells displays that another kernel has written; a thread",
    "nbgraph.services.shared.sqlite.format_steps": "released steps never change; it grows by one per format",
    "nbgraph.services.shared.sqlite.locks": "what kernels know of each other; with the database it has 600 lines",
    "nbgraph.services.studio_archive": "export and import of runs; only the studio offers them",
    "nbgraph.studio_base": "a third of the class Studio, which would have 860 lines",
    "nbgraph.studio_experiments": "a third of the class Studio, which would have 860 lines",
    "nbgraph.sweep": "the grid of runs that studio.sweep returns, and its sheet of images",
    "nbgraph.threads": "runs before anything that loads torch, so it may import nothing",
    "nbgraph.views.cache": VIEW + "studio.cache",
    "nbgraph.views.cluster": VIEW + "studio.cluster",
    "nbgraph.views.disk": VIEW + "studio.disk",
    "nbgraph.views.graphs": VIEW + "studio.graphs",
    "nbgraph.views.queue": VIEW + "studio.queue",
    "nbgraph.views.stats": VIEW + "studio.stats_view",
    "nbgraph.views.studio": VIEW + "studio itself",
    "nbgraph.widgets.cache_table": DOOR + "the widget of studio.cache, which loads ipywidgets",
    "nbgraph.widgets.code_pane": "the graph as code beside the canvas; with the editor it would have 460 lines",
    "nbgraph.widgets.derived": "facts about a document, which itself knows nothing of problems and types",
    "nbgraph.widgets.form": DOOR + "studio.form",
    "nbgraph.widgets.form_pictures": "controls of images and masks; the other controls have 350 lines",
    "nbgraph.widgets.kernel_banner": "one widget; its TypeScript has the same name",
    "nbgraph.widgets.open_editors": DOOR + "studio.edit",
    "nbgraph.widgets.painted": "images and masks of the brush, without the widget; with it 450 lines",
    "nbgraph.widgets.run_remix": f"{DOOR}the buttons of ended runs, of which a studio that shows none needs nothing",
    "nbgraph.widgets.run_feed": "the runs on a canvas, tested without a canvas; the editor has 340 lines",
    "nbgraph.widgets.stats_view": DOOR + "the widget of studio.stats_view, which loads matplotlib",
    "nbgraph.widgets.subgraph": "changes to graphs that need no widget; the editor has 340 lines",
}
"""Why a module with one importer is a module of its own. Every other one is a candidate for a merge."""


def sources() -> dict[str, Path]:
    """Return module name -> file of all modules of the package but the training of the shipped model."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "node_modules" in parts or parts[1] == "models":
            continue
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST, modules: set[str], within: str) -> set[str]:
    """Return the modules of the package that a module imports, strings given to a lazy import included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{each.name}" for each in node.names} | {node.module}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("nbgraph."):
            found.add(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOADERS:
            name = node.args[0]
            if isinstance(name, ast.Constant):
                found.add(f"{LOADERS[node.func.id]}.{name.value}")
    return (found & modules) - {within}


def single_importers(arrows: dict[str, set[str]], sizes: dict[str, int]) -> list[str]:
    """Return the modules with exactly one importer, without the node library and implementations of services."""
    importers: dict[str, set[str]] = defaultdict(set)
    for module, reached in arrows.items():
        for each in reached:
            importers[each].add(module)
    return sorted(
        module
        for module, by in importers.items()
        if len(by) == 1
        and sizes[module]
        and not module.startswith("nbgraph.invocations")
        and not module.endswith(("_memory", "_sqlite", "_default", "_remote", "_dask"))
    )


def room(arrows: dict[str, set[str]], folder: str) -> tuple[int, int]:
    """Return the number of modules below `folder` and of imports among them."""
    inside = {module for module in arrows if module.startswith(folder + ".")}
    return len(inside), sum(len(arrows[module] & inside) for module in inside)


def comments_per_100_lines(paths: list[Path]) -> float:
    lines = comments = 0
    for path in paths:
        text = path.read_text(encoding="utf-8")
        lines += text.count("\n")
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments += sum(
            1
            for token in tokens
            if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type:", "# pyright:", "#!"))
        )
    return 100 * comments / lines


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def long_functions(trees: dict[str, ast.Module]) -> list[str]:
    """Return the functions over 50 lines, their docstring not counted."""
    found = []
    for module, tree in trees.items():
        for each in functions(tree):
            first = each.body[1] if ast.get_docstring(each) and len(each.body) > 1 else each.body[0]
            lines = (each.end_lineno or 0) - first.lineno + 1
            if lines > 50:
                found.append(f"{module}.{each.name} ({lines})")
    return found


def takes_something(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return any(each.arg not in ("self", "cls") for each in arguments)


def has_sections(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    text = ast.get_docstring(function) or ""
    return any(f"{name}\n---" in text for name in ("Parameters", "Returns", "Raises", "Yields"))


def public_methods(trees: dict[str, ast.Module]) -> list[tuple[str, bool]]:
    """Return the public methods with arguments of Studio, Run, Graph and service bases; True where one has sections."""
    found = []
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and (node.name in PUBLIC_CLASSES or module.endswith("_base")):
                for each in node.body:
                    if isinstance(each, ast.FunctionDef) and not each.name.startswith("_") and takes_something(each):
                        found.append((f"{module}.{node.name}.{each.name}", has_sections(each)))
    return found


def any_in_signatures(trees: dict[str, ast.Module]) -> list[str]:
    """Return the signatures of the processor, the cache and the services that say `Any`."""
    found = []
    for module, tree in trees.items():
        if not module.startswith("nbgraph.services"):
            continue
        for each in functions(tree):
            arguments = [
                *each.args.posonlyargs,
                *each.args.args,
                *each.args.kwonlyargs,
                each.args.vararg,
                each.args.kwarg,
            ]
            notes = [argument.annotation for argument in arguments if argument] + [each.returns]
            if any(
                isinstance(name, ast.Name) and name.id == "Any" for note in notes if note for name in ast.walk(note)
            ):
                found.append(f"{module}.{each.name}")
    return found


def strict_messages() -> dict[str, int]:
    """Run pyright in strict mode over the whole package and return the number of messages by module."""
    settings = ROOT / ".pyright_strict.json"
    text = {
        "include": ["nbgraph"],
        "exclude": ["nbgraph/widgets/js"],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "venvPath": ".",
        "venv": ".venv",
        "reportMissingTypeStubs": False,
        "reportPrivateImportUsage": False,
    }
    settings.write_text(json.dumps(text), encoding="utf-8")
    try:
        command = [sys.executable, "-m", "pyright", "-p", str(settings), "--outputjson"]
        said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603
    finally:
        settings.unlink()
    counts: dict[str, int] = defaultdict(int)
    for each in json.loads(said.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            counts[str(Path(each["file"]).relative_to(ROOT))] += 1
    return dict(counts)


def main(verbose: bool) -> None:
    paths = sources()
    trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in paths.items()}
    arrows = {module: imported(tree, set(paths), module) for module, tree in trees.items()}
    sizes = {module: len(tree.body) for module, tree in trees.items()}
    single = single_importers(arrows, sizes)
    explained = [module for module in single if module in REASONS]
    stale = sorted(REASONS.keys() - set(single))
    documented = public_methods(trees)
    without = [name for name, has in documented if not has]
    untyped = any_in_signatures(trees)
    long = long_functions(trees)
    strict = strict_messages()
    rows = [
        ("modules", f"{len(paths)}", "", []),
        (
            "modules with exactly one importer",
            f"{len(single)}",
            f"<= 15; {len(explained)} of them with a reason",
            [f"{module}: {REASONS.get(module, 'NO REASON')}" for module in single]
            + [f"{module}: has a reason and needs none" for module in stale],
        ),
        ("rooms, arrows of services/shared/graph", "{}, {}".format(*room(arrows, GRAPH)), "<= 17, <= 50", []),
        ("rooms, arrows of cli", "{}, {}".format(*room(arrows, CLI)), "<= 17, <= 40", []),
        ("comments per 100 lines", f"{comments_per_100_lines(list(paths.values())):.2f}", "2 to 5", []),
        ("public methods with sections", f"{100 * (1 - len(without) / len(documented)):.0f} %", "all", without),
        ("signatures of services with Any", f"{len(untyped)}", "0", untyped),
        (
            "pyright strict, messages without plots.py",
            f"{sum(strict.values()) - strict.get('nbgraph/plots.py', 0)}",
            "0",
            [f"{file}: {count}" for file, count in sorted(strict.items(), key=lambda each: -each[1])],
        ),
        ("functions over 50 lines", f"{len(long)}", "0", long),
    ]
    for name, value, goal, names in rows:
        print(f"{name:45} {value:>10}   {goal}")
        if verbose:
            print(*(f"    {each}" for each in names), sep="\n", end="\n" if names else "")


if __name__ == "__main__":
    main("-v" in sys.argv[1:])
