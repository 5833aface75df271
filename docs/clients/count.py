"""Counts the event ids on standard input, each exactly once: HOST PORT COUNTER."""

import sys
import time

import redis


def add_once(client, counter, token):
    for attempt in range(100):
        try:
            return client.execute_command("QUIPU.ADD", counter, 1, "TOKEN", token)
        except (redis.ConnectionError, redis.TimeoutError):
            pass  # counted or not: the same token settles it
        except redis.ResponseError as error:
            if not str(error).startswith(("UNKNOWN", "BUSY")):
                raise
        time.sleep(min(0.02 * 2**attempt, 1))
    raise TimeoutError(f"no answer for {token}")


host, port, counter = sys.argv[1:]
client = redis.Redis(host=host, port=int(port), socket_timeout=10, decode_responses=True)
answers = [add_once(client, counter, line.strip()) for line in sys.stdin]
repeats = sum(repeat == "token" for value, applied, position, repeat in answers)
print(f"{len(answers)} events, {repeats} of them answered again")
