"""The rules of who may import whom, held by walking the imports of every module."""

import ast
import re
from pathlib import Path

import pytest

import nbgraph

ROOT = Path(nbgraph.__file__).parent
GRAPH = "services.shared"

_STUDIO = {
    "readable_frames",
    "studio_base",
    "targets",
    "experiments",
    "sweep",
    "views",
    "run",
    "recipes",
    "progress",
    "frames",
    "errors",
    "loading",
    "services",
    GRAPH,
    "invocations",
}
"""What both halves of the class Studio may import."""

ALLOWED = {
    "texts": set(),
    "errors": set(),
    "latch": set(),
    "gc_pause": set(),
    "loading": {"latch", "gc_pause"},
    "config": {"errors"},
    "image_modes": set(),
    "diffusion": {"loading", "errors", "image_modes", "threads"},
    "invocations": {"loading", "errors", "diffusion", "image_modes"},
    GRAPH: {"errors", "gc_pause", "invocations"},
    "services": {
        "errors",
        "latch",
        "gc_pause",
        "loading",
        "config",
        "image_modes",
        "notebook",
        "invocations",
        "diffusion",
        GRAPH,
    },
    "grammar": {"errors", "gc_pause", "invocations", GRAPH},
    "frames": {"loading", "services", GRAPH, "invocations", "diffusion", "errors"},
    "plots": {"frames", "errors"},
    "readable_frames": {"frames"},
    "file_writing": {"errors"},
    "html": set(),
    "notebook": {"loading"},
    "progress": {"services", GRAPH, "errors", "loading", "notebook"},
    "results": {"services", GRAPH, "invocations", "errors", "html", "recipes"},
    "recipes": {"errors", "config", "loading", "image_modes", "invocations", "diffusion", "services", GRAPH},
    "run_profile": {"errors", "file_writing", "frames", "loading", "plots", "readable_frames", "services"},
    "run": {
        "readable_frames",
        "run_profile",
        "recipes",
        "loading",
        "services",
        GRAPH,
        "invocations",
        "frames",
        "results",
        "plots",
        "progress",
        "errors",
        "notebook",
    },
    "views": {
        "readable_frames",
        "recipes",
        "loading",
        "services",
        GRAPH,
        "invocations",
        "diffusion",
        "image_modes",
        "frames",
        "run",
        "errors",
        "html",
        "notebook",
    },
    "models": {"errors", "diffusion"},
    "painting": {"errors"},
    "threads": set(),
    "templates": {"errors", "invocations", GRAPH},
    "experiments": {
        "readable_frames",
        "recipes",
        "run",
        "frames",
        "plots",
        "html",
        "image_modes",
        "loading",
        "errors",
        "services",
        GRAPH,
        "invocations",
    },
    "targets": {"errors", "invocations", GRAPH},
    "sweep": {
        "experiments",
        "file_writing",
        "run",
        "frames",
        "loading",
        "html",
        "image_modes",
        "errors",
        "services",
        GRAPH,
        "invocations",
    },
    "widgets": {
        "experiments",
        "run",
        "templates",
        "recipes",
        "views",
        "grammar",
        "progress",
        "frames",
        "plots",
        "html",
        "notebook",
        "image_modes",
        "errors",
        "loading",
        "services",
        GRAPH,
        "invocations",
    },
    "studio_base": {
        "painting",
        "readable_frames",
        "targets",
        "run",
        "recipes",
        "views",
        "frames",
        "config",
        "errors",
        "notebook",
        "loading",
        "services",
        GRAPH,
        "invocations",
    },
    "studio_experiments": {"run_profile", *_STUDIO},
    "studio": {"studio_experiments", "notebook", *_STUDIO},
    "doctor": {"config", "services", GRAPH},
    "mcp_server": {
        "studio",
        "run",
        "recipes",
        "grammar",
        "image_modes",
        "errors",
        "services",
        GRAPH,
        "invocations",
    },
    "cli": {
        "experiments",
        "mcp_server",
        "studio",
        "templates",
        "run",
        "recipes",
        "results",
        "progress",
        "grammar",
        "doctor",
        "diffusion",
        "errors",
        "loading",
        "services",
        GRAPH,
        "invocations",
    },
    "__init__": {
        "painting",
        "experiments",
        "studio",
        "recipes",
        "run",
        "templates",
        "config",
        "errors",
        "loading",
        "threads",
        "cli",
        "services",
        GRAPH,
        "invocations",
    },
}
"""For each layer, the layers it may import beside its own."""

LAZY = {
    GRAPH: {"recipes"},
    "studio": {"widgets"},
    "studio_base": {"widgets"},
    "run": {"widgets"},
    "experiments": {"widgets"},
    "studio_experiments": {"widgets"},
    "doctor": {"widgets"},
    "painting": {"invocations", "results", "widgets"},
}
"""What a layer may load by name, when something is shown, and import for type checkers."""

BELOW_ALL = {"texts", "html"}
"""What every layer may import; they import nothing of nbgraph."""
NO_MODULES = {"__version__"}
PANDAS_ALLOWED = {"frames"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def layer_of(module: str) -> str:
    if module.startswith(GRAPH):
        return GRAPH
    return module.partition(".")[0]


def imports_of(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def loaded_by_name(tree: ast.AST) -> set[str]:
    """Return the names given to `load`, `import_module` and the like, and those in tables of names."""
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {text for text in texts if re.fullmatch(r"nbgraph(\.\w+)+", text) and is_module(text)}


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


def own(imported: set[str]) -> set[str]:
    return {name.removeprefix("nbgraph.") for name in imported if name.startswith("nbgraph.")}


def is_implementation(module: str) -> bool:
    parts = module.split(".")
    return (
        parts[0] == "services"
        and len(parts) == 3
        and parts[1] != "shared"
        and parts[2].startswith(parts[1])
        and not parts[2].endswith(("_base", "_common"))
    )


def violations(module: str, source: str) -> list[str]:
    """What a module of that name and source does against the rules."""
    tree = ast.parse(source)
    ours = own(imports_of(tree))
    imported = own(runtime_imports(source))
    named = own(loaded_by_name(tree)) | (ours - imported)
    layer = layer_of(module)
    if layer not in ALLOWED:
        return [f"{module} has no rule: give its layer a row in ALLOWED"]
    found = []
    for verb, names, allowed in (
        ("imports", imported, ALLOWED[layer]),
        ("loads", named, ALLOWED[layer] | LAZY.get(layer, set())),
    ):
        reached = {layer_of(name) for name in names} - {layer, ""} - BELOW_ALL - NO_MODULES
        found += [f"{module} {verb} {name}" for name in sorted(reached - allowed)]
    if module != "services.invocation_services":
        service = module.split(".")[1] if module.startswith("services.") else None
        found += [
            f"{module} imports the implementation {name}"
            for name in sorted(ours)
            if is_implementation(name) and name.split(".")[1] != service
        ]
    if module == "services.invocation_services":
        return [each for each in found if "implementation" not in each]
    if module not in PANDAS_ALLOWED and any(name.partition(".")[0] == "pandas" for name in runtime_imports(source)):
        found.append(f"{module} imports pandas")
    return found


def runtime_imports(source: str) -> set[str]:
    """Imports that happen, without those for type checkers."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return imports_of(tree)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: module_name(path))
def test_a_module_imports_only_what_its_layer_may(path):
    if "node_modules" not in path.parts:
        assert violations(module_name(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("invocations.math", "from nbgraph.services.images.images_memory import ImageServiceMemory"),
        ("invocations.math", "import nbgraph.services"),
        ("services.images.images_base", "from nbgraph.services.latents.latents_memory import LatentsServiceMemory"),
        ("services.shared.graph.plan", "from nbgraph.services.images import images_base"),
        ("services.images.images_base", "from nbgraph.studio import Studio"),
        ("widgets.gallery", "from nbgraph.studio import Studio"),
        ("diffusion.vae", "from nbgraph.invocations.base import BaseInvocation"),
        ("studio", "import pandas"),
        ("views.cache", "load('nbgraph.widgets.cache_table')"),
        ("studio", "from nbgraph.widgets.editor import GraphEditor"),
        ("novelty", ""),
    ],
)
def test_a_planted_violation_is_found(module, source):
    assert violations(module, source)
