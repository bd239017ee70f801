"""The demo: replays real purchases through a real broker and a real worker, live in the terminal."""
