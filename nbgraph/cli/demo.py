"""The first picture: draw "a red apple" with the shipped model; write the image and its table of stats."""

import argparse
import sys
from pathlib import Path
from typing import Any

from nbgraph.studio import Studio
from nbgraph.templates import text_to_image

ENLARGED = 512


def main() -> None:
    """Run the demo; `--out` names the folder to write to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--prompt", default="a red apple")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {options.out} cannot be made ({error.strerror}); give a folder that may be written")
    image = text_to_image(options.prompt, seed=options.seed)
    with Studio() as studio:
        run = studio.run(image, progress="text")
        picture, table = options.out / "apple.png", options.out / "stats.csv"
        stats: Any = run.stats  # pandas' stubs leave the types of what it writes open
        drawn = run[image].image
        side = drawn.width
        drawn.save(picture)
        drawn.resize((ENLARGED, ENLARGED)).save(options.out / "apple_large.png")
        stats.to_csv(table, index=False)
        columns = ["node", "type", "seconds", "ram_peak_mb", "model_loads", "cached"]
        sys.stdout.write(stats[columns].to_string(index=False) + "\n")
    sys.stdout.write(
        f"picture: {picture} ({side}x{side}; {ENLARGED}x{ENLARGED} as apple_large.png)\nstats:   {table}\n"
    )


if __name__ == "__main__":
    main()
