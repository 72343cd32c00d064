"""Publishes the tasks, in the peers' own environment. Run: python celery_enqueue.py TASK RECIPIENTS CHUNK

Prints "ready" when the worker answers, waits for a line on stdin, publishes, prints "published".
"""

import sys
import time

import celery_tasks

PATIENCE = 60.0


def main(name: str, recipients: int, size: int) -> None:
    """Publishes what covers recipients 1 to `recipients`."""
    task = getattr(celery_tasks, name)
    until = time.monotonic() + PATIENCE
    while not celery_tasks.app.control.ping(timeout=0.5):
        if time.monotonic() > until:
            raise SystemExit("no worker answers")
    with celery_tasks.app.producer_pool.acquire(block=True) as producer:
        print("ready", flush=True)
        sys.stdin.readline()
        for first in range(1, recipients + 1, size):
            words = (first,) if size == 1 else (first, min(recipients, first + size - 1))
            task.apply_async(words, producer=producer)
    print("published", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
