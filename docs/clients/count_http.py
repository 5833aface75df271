"""Counts the event ids on standard input, each exactly once, over HTTP: HOST PORT COUNTER."""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def add_once(url, token):
    headers = {"Idempotency-Key": token, "Content-Type": "application/json"}
    request = urllib.request.Request(url, b'{"add": 1}', headers, method="POST")
    for attempt in range(100):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                raise
        except (OSError, ValueError):
            pass  # counted or not: the same token settles it
        time.sleep(min(0.02 * 2**attempt, 1))
    raise TimeoutError(f"no answer for {token}")


host, port, counter = sys.argv[1:]
url = f"http://{host}:{port}/v1/default/counters/{urllib.parse.quote(counter, safe='')}"
answers = [add_once(url, line.strip()) for line in sys.stdin]
repeats = sum(answer["repeat"] == "token" for answer in answers)
print(f"{len(answers)} events, {repeats} of them answered again")
