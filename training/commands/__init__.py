"""The offline commands of `intentstream`, one for each module. `streams.cli` imports them on first use."""
