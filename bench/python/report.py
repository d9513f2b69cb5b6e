"""The results as a Markdown table."""

from __future__ import annotations


def best_of(results: list[dict], engine: str) -> dict | None:
    own = [result for result in results if result["engine"] == engine]
    return min(own, key=lambda result: result["median"]) if own else None


def spread(result: dict) -> str:
    """Half the range of the rounds, as a share of the median."""
    return f"±{(result['max'] - result['min']) / 2 / result['median']:.0%}"


def milliseconds(result: dict | None) -> str:
    return "" if result is None else f"{result['median'] * 1e3:.4g} {spread(result)}"


def markdown(report: dict) -> str:
    """A row a workload: each engine's best mode in ms a step, and the ratio of the best peer to Ravine."""
    workloads = report["workloads"]
    names = list(dict.fromkeys(r["engine"] for workload in workloads for r in workload["results"]))
    versions = {r["engine"]: r["version"] for workload in workloads for r in workload["results"]}
    machine = report["machine"]
    lines = [
        f"{machine['cpu']}, {machine['isa']}, {machine['threads']} threads, Python {machine['python']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items()),
        "",
        f"Milliseconds a training step: median of {report['rounds']} rounds, ± half their range.",
        "",
        "| workload | " + " | ".join(names) + " | best peer | its mode | ratio |",
        "|---" * (len(names) + 4) + "|",
    ]
    for workload in workloads:
        results = workload["results"]
        own = best_of(results, "ravine")
        peers = [result for result in results if result["engine"] != "ravine"]
        peer = min(peers, key=lambda result: result["median"], default=None)
        cells = [milliseconds(best_of(results, name)) for name in names]
        cells += [peer["engine"], peer["mode"]] if peer else ["", ""]
        cells.append(f"{peer['median'] / own['median']:.2f}" if peer and own else "")
        lines.append(f"| {workload['workload']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
