"""React Flow with plain nodes alone, in the same browser: what of a frame is not ours."""

import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

JS = Path(__file__).parents[3] / "nbgraph" / "widgets" / "js"
SOURCE = Path(__file__).with_name("bare_flow.jsx")
SETTLED_MILLISECONDS = 1500


def bundle() -> tuple[str, str] | None:
    """Return the script and the style of the page, built with the front end's tools; None where they are not here."""
    esbuild = JS / "node_modules" / "esbuild" / "bin" / "esbuild"
    if not esbuild.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bare.js"
        # The source lies outside of the folder whose packages it imports.
        packages = [f"--alias:{name}={JS / 'node_modules' / name}" for name in ("react", "react-dom", "@xyflow/react")]
        options = ["--bundle", "--minify", '--define:process.env.NODE_ENV="production"', f"--outfile={out}"]
        subprocess.run([str(esbuild), str(SOURCE), *options, *packages], check=True, capture_output=True)
        return out.read_text(), out.with_suffix(".css").read_text()


def open_bare_flow(browser: Browser, built: tuple[str, str], size: int, probe: Path) -> Page:
    """Open a page with so many plain nodes."""
    script, style = built
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.add_init_script(path=probe)
    page.goto("data:text/html,<title>bare</title>")
    page.add_style_tag(content=style)
    page.add_script_tag(content=script)
    page.evaluate("(size) => showBareFlow(size)", size)
    page.locator(".react-flow__node").first.wait_for()
    page.wait_for_timeout(SETTLED_MILLISECONDS)
    return page
