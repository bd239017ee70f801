"""The commands of `intentstream`, a module each, loaded when asked for."""
