"""Drives a node with redis-py as an application would; the port is the argument."""

import sys

import redis


def expect(actual, wanted):
    if actual != wanted:
        raise SystemExit(f"got {actual!r} instead of {wanted!r}")


def refused(call, *words):
    try:
        answer = call()
    except redis.ResponseError as error:
        text = str(error)
        if not all(word in text for word in words):
            raise SystemExit(f"refused with {text!r}, which lacks {words!r}")
    else:
        raise SystemExit(f"not refused: {answer!r}")


def run(port, protocol):
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    name = f"py{protocol}"
    expect(client.ping(), True)
    expect(client.incr(name), 1)
    expect(client.incrby(name, 41), 42)
    expect(client.decr(name, 2), 40)
    expect(client.get(name), "40")
    expect(client.set(name, 7, ex=1000), True)
    expect(990 < client.ttl(name) <= 1000, True)
    expect(client.set(name, 8, nx=True), None)
    expect(client.mget(name, "absent"), ["7", None])

    with client.pipeline() as transaction:
        transaction.incr(name).incr(name).get(name)
        expect(transaction.execute(), [8, 9, "9"])
    with client.pipeline(transaction=False) as plain:
        for _ in range(500):
            plain.incr(name + ":plain")
        expect(plain.execute(), list(range(1, 501)))
    with client.pipeline() as failing:
        failing.set(name + ":full", 2**63 - 1).incr(name + ":full").get(name + ":full")
        answers = failing.execute(raise_on_error=False)
        expect(isinstance(answers[1], redis.ResponseError), True)
        expect(answers[2], str(2**63 - 1))

    for key in range(50):
        client.incr(f"{name}:scan:{key}")
    found = set(client.scan_iter(match=f"{name}:scan:*", count=7))
    expect(found, {f"{name}:scan:{key}" for key in range(50)})
    expect(client.delete(name, "absent"), 1)
    expect(client.exists(name), 0)
    refused(lambda: client.set(name, "text"), "not an integer")
    refused(lambda: client.lpush(name, 1), "unknown command")

    first = client.execute_command("QUIPU.ADD", name, 5, "TOKEN", name + "-token")
    again = client.execute_command("QUIPU.ADD", name, 5, "TOKEN", name + "-token")
    expect(first[:2], [5, 5])
    expect(again[:3], first[:3])
    expect((first[3], again[3]), ("none", "token"))
    expect(client.get(name), "5")
    try:
        client.execute_command("QUIPU.ADD", name, 6, "TOKEN", name + "-token")
        raise SystemExit("another operation with the same token was accepted")
    except redis.ResponseError as error:
        expect(str(error).startswith("CONFLICT"), True)

    info = client.info()
    expect(info["redis_version"], "7.4.0")
    expect("quipu_version" in info, True)
    expect(client.client_setname("tester"), True)
    expect(client.client_getname(), "tester")
    print(f"protocol {protocol} ok")


for version in (2, 3):
    run(int(sys.argv[1]), version)
