"""Quality of ranked lists, and its statistical uncertainty. No I/O."""

from inference.evaluation.quality import Quality, quality

__all__ = ["Quality", "quality"]
