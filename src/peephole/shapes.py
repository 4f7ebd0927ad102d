"""Shape annotations (``Float[ndarray, "T B H"]``) that cost nothing where jaxtyping is not installed.

The runtime needs NumPy and safetensors alone. Where jaxtyping is there, the annotations are what it makes of them, and
a test runs every pass of :mod:`peephole.equations` with them checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ImportError:

        class _AnyShape:
            """Stands in for a jaxtyping dtype: ``Float[ndarray, "T B H"]`` is then simply ``ndarray``."""

            def __class_getitem__(cls, item: tuple[type, str]) -> Any:
                return item[0]

        Bool = Float = Int = _AnyShape

__all__ = ["Bool", "Float", "Int"]
