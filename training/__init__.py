"""Offline work on models: data sets, distillation, the ranker's fit and evaluation. No worker runs it."""
