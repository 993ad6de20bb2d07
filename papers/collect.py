"""Put the parts in papers/results/ together into papers/RESULTS.md."""

from __future__ import annotations

from common import HERE

ORDER = ["toy", "wine", "power", "bsds", "sampling", "made", "digits", "iaf"]


def main() -> None:
    """Write RESULTS.md."""
    parts = [(HERE / "results" / f"{name}.md") for name in ORDER]
    text = "\n".join(part.read_text() for part in parts if part.exists())
    head = (
        "# Results\n\nWhat each reproduction reached, beside the published number, with the command that prints it. "
        "Likelihoods in nats unless a table says otherwise. Written by `python papers/collect.py` from `papers/results/`.\n\n"
    )
    (HERE / "RESULTS.md").write_text(head + text)


if __name__ == "__main__":
    main()
