"""How good ranked lists are, and how sure one can be of it. Pure."""

from inference.evaluation.quality import Quality, quality

__all__ = ["Quality", "quality"]
