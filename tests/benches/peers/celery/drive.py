"""Gives the worker tasks and waits for their results, so many at a time, whenever a line on standard input says so.

A line is `TASKS AT_A_TIME`; the answer is a line of JSON: the seconds that it took, and each task's latency in them.
"""

import json
import sys
import time
from collections import deque

from tasks import noop

TEXT = "where is my parcel? it was to arrive on Monday"


def run(tasks, at_a_time):
    latencies = []
    under_way = deque()

    def take():
        since, result = under_way.popleft()
        assert result.get(timeout=60) == "ok"
        latencies.append(time.perf_counter() - since)

    began = time.perf_counter()
    for _ in range(tasks):
        if len(under_way) == at_a_time:
            take()
        since = time.perf_counter()
        under_way.append((since, noop.delay(TEXT)))
    while under_way:
        take()
    return {"seconds": time.perf_counter() - began, "latencies": latencies}


for line in sys.stdin:
    print(json.dumps(run(*map(int, line.split()))), flush=True)
