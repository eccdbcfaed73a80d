"""diffusers' tables of pipelines are read from their source, and are what importing them would give."""

import subprocess
import sys

from diffusers.pipelines import auto_pipeline

from nbgraph.diffusion.families import class_names, pipeline_class


def test_the_tables_hold_the_classes_that_diffusers_has_in_them():
    tables = {
        "text_to_image": auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
        "image_to_image": auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
        "inpaint": auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING,
    }
    found = {task: {key: pipeline_class(name) for key, name in names.items()} for task, names in class_names().items()}
    assert found == tables
    assert [list(names) for names in found.values()] == [list(table) for table in tables.values()]


def test_a_family_imports_its_own_pipelines_only():
    code = """
import sys
from nbgraph.diffusion.families import family_of_class
assert family_of_class("StableDiffusionPipeline").key == "stable-diffusion"
print("diffusers.pipelines.auto_pipeline" in sys.modules, "diffusers.pipelines.flux" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "False False\n", done.stderr
