"""One campaign, every channel, every village, and every count true."""

__version__ = "0.1.0"
