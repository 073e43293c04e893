"""Record what a build step consumed and produced, and verify who built what.

    import custody

    with custody.step("train") as step:
        data = step.input("data/train.parquet")
        step.params(epochs=3)
        model = step.output("model.bin")
        fit(data, model)

Importing this package costs nothing: names are loaded when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from custody.errors import ClientError, ServiceError
    from custody.steps import Step, step

__version__ = "0.1.0"

__all__ = ["ClientError", "ServiceError", "Step", "__version__", "step"]

_HOMES = {
    "ClientError": "custody.errors",
    "ServiceError": "custody.errors",
    "Step": "custody.steps",
    "step": "custody.steps",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
