"""The program over HTTP: pages, API, device feeds, health. Holds no rule."""
