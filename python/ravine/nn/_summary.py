"""The table that `Module.summary` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..record import Operand, Tensor, Trace, recording_into

if TYPE_CHECKING:
    from ._module import Module


def _shape_text(result: Any) -> str:
    if isinstance(result, Operand):
        return "[" + ", ".join(["N", *map(str, result.shape[1:])]) + "]" if result.shape else "[]"
    if isinstance(result, tuple | list):
        return ", ".join(_shape_text(item) for item in result)
    return type(result).__name__


def summary(model: Module, input_shape: tuple[int, ...], dtype: str | None) -> str:
    """Records one evaluation of a single sample and lists what each leaf module returned."""
    paths = {id(module): path for path, module in model.named_modules()}
    counted: set[int] = set()  # parameters already listed; a shared one counts once
    rows: list[tuple[str, str, int]] = []

    def own_parameters(module: Module) -> int:
        new = [p for p in module.parameters(recurse=bool(leaf(module))) if id(p) not in counted]
        counted.update(id(p) for p in new)
        return sum(p.numel() for p in new)

    def leaf(module: Module) -> bool:
        return not any(True for _ in module.children())

    def observe(module: Module, result: Any) -> None:
        if leaf(module) or any(True for _ in module.parameters(recurse=False)):
            label = f"{paths.get(id(module), '')}  ({type(module).__name__})".strip()
            rows.append((label, _shape_text(result), own_parameters(module)))

    modes = [(module, module.training) for module in model.modules()]
    trace = Trace()
    trace.observer = observe
    try:
        model.eval()  # a single sample has no batch statistics
        value = trace.graph.input((1, *input_shape), dtype or model._floating_dtype(), "input", None)
        with recording_into(trace):
            model(Tensor(value, trace))
    finally:
        for module, mode in modes:
            module.training = mode
    return _table(model, rows)


def _table(model: Module, rows: list[tuple[str, str, int]]) -> str:
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    size = sum(p.array.nbytes for p in parameters)
    header = ("Layer", "Output shape", "Parameters")
    name_width = max([len(header[0]), *(len(row[0]) for row in rows)])
    shape_width = max([len(header[1]), *(len(row[1]) for row in rows)])
    lines = [f"{header[0]:<{name_width}}  {header[1]:<{shape_width}}  {header[2]}"]
    for name, shape, count in rows:
        lines.append(f"{name:<{name_width}}  {shape:<{shape_width}}  {count:>{len(header[2])},}")
    lines.append(f"{total:,} parameters, {trainable:,} trainable, {size:,} bytes")
    return "\n".join(lines)
