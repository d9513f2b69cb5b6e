"""The results as Markdown tables."""

from __future__ import annotations

import re


def best_of(results: list[dict], engine: str) -> dict | None:
    own = [result for result in results if result["engine"] == engine]
    return min(own, key=lambda result: result["median"]) if own else None


def best_peer(results: list[dict]) -> dict | None:
    peers = [result for result in results if result["engine"] != "ravine"]
    return min(peers, key=lambda result: result["median"], default=None)


def ratio_of(results: list[dict]) -> float | None:
    """How many times longer the best peer takes than Ravine."""
    own, peer = best_of(results, "ravine"), best_peer(results)
    return peer["median"] / own["median"] if own and peer else None


def spread(result: dict) -> str:
    """Half the range of the rounds, as a share of the median."""
    return f"±{(result['max'] - result['min']) / 2 / result['median']:.0%}"


def milliseconds(result: dict | None) -> str:
    return "" if result is None else f"{result['median'] * 1e3:.4g} {spread(result)}"


def heading(report: dict) -> str:
    machine = report["machine"]
    versions = {r["engine"]: r["version"] for workload in report["workloads"] for r in workload["results"]}
    return (
        f"{machine['cpu']}, {machine['isa']}, {machine['threads']} threads, Python {machine['python']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
    )


def markdown(report: dict) -> str:
    """A row a workload: each engine's best mode in ms a step, and the ratio of the best peer to Ravine."""
    workloads = report["workloads"]
    names = list(dict.fromkeys(r["engine"] for workload in workloads for r in workload["results"]))
    lines = [
        heading(report),
        "",
        f"Milliseconds a step: median of {report['rounds']} rounds, ± half their range.",
        "",
        "| workload | " + " | ".join(names) + " | best peer | its mode | ratio |",
        "|---" * (len(names) + 4) + "|",
    ]
    for workload in workloads:
        results = workload["results"]
        peer, ratio = best_peer(results), ratio_of(results)
        cells = [milliseconds(best_of(results, name)) for name in names]
        cells += [peer["engine"], peer["mode"]] if peer else ["", ""]
        cells.append(f"{ratio:.2f}" if ratio else "")
        lines.append(f"| {workload['workload']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def sweep_markdown(report: dict) -> str:
    """Ratios of the best peer to Ravine, a row a width and a column a batch size; the worst is named."""
    ratios: dict[tuple[int, int], float] = {}
    peers: dict[tuple[int, int], dict] = {}
    for workload in report["workloads"]:
        match = re.fullmatch(r"dense(\d+)x(\d+)", workload["workload"])
        ratio, peer = ratio_of(workload["results"]), best_peer(workload["results"])
        if match and ratio and peer:
            shape = int(match[1]), int(match[2])
            ratios[shape], peers[shape] = ratio, peer
    widths = sorted({width for width, _ in ratios})
    batches = sorted({batch for _, batch in ratios})
    lines = [
        heading(report),
        "",
        "A training step of two square layers and ten outputs, SGD: the best peer's time by Ravine's, "
        f"medians of {report['rounds']} rounds.",
        "",
        "| width | " + " | ".join(f"batch {batch}" for batch in batches) + " |",
        "|---" * (1 + len(batches)) + "|",
    ]
    for width in widths:
        cells = [f"{ratios[width, b]:.2f}" if (width, b) in ratios else "" for b in batches]
        lines.append(f"| {width} | " + " | ".join(cells) + " |")
    if ratios:
        worst = min(ratios, key=ratios.__getitem__)
        peer = peers[worst]
        lines += [
            "",
            f"Worst: width {worst[0]}, batch {worst[1]}: {ratios[worst]:.2f}, "
            f"against {peer['engine']} ({peer['mode']}).",
        ]
    return "\n".join(lines) + "\n"
