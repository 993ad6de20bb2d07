"""Make the pictures of the gallery, or those named on the command line, in docs/_static/gallery."""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run the scripts, and store each picture with 256 colours."""
    scripts = sorted((ROOT / "examples" / "gallery").glob("*.py"))
    for script in [s for s in scripts if not sys.argv[1:] or s.stem in sys.argv[1:]]:
        started = time.process_time()
        out = ROOT / "docs" / "_static" / "gallery" / f"{script.stem}.png"
        runpy.run_path(str(script))["main"](out)
        Image.open(out).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)
        print(f"{script.stem}: {time.process_time() - started:.0f} s, {out.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
