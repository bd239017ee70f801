"""Attributes of items from their texts, and items that are the same product or variants of one."""
