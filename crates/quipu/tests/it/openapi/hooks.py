"""What the document's schemas cannot say. Such requests are left out; everything else is checked."""

import re

import schemathesis

STREAM = re.compile(r"[^;]+;seq=[1-9][0-9]{0,18}")


def items_of(body):
    """The body itself and the operations of a batch, as far as they are objects."""
    if not isinstance(body, dict):
        return []
    ops = body.get("ops")
    items = [body] + (ops if isinstance(ops, list) else [])
    return [item for item in items if isinstance(item, dict)]


def is_above(low, high):
    return isinstance(low, int) and isinstance(high, int) and low > high


def is_plain(item):
    """Bounds that fit, and no 1.0: JSON Schema calls it an integer, and a node refuses it, because
    beyond 2^53 floating point has lost digits already."""
    floats = [value for value in item.values() if isinstance(value, float)]
    return not is_above(item.get("min"), item.get("max")) and not any(
        value.is_integer() for value in floats
    )


def is_too_long(name):
    """A name has at most 256 bytes; JSON Schema counts characters."""
    return isinstance(name, str) and len(name.encode("utf-8", "replace")) > 256


def is_understood(body):
    """A batch whose operations are objects is answered item by item, with a 200 for the whole."""
    ops = body.get("ops") if isinstance(body, dict) else None
    return isinstance(ops, list) and all(isinstance(item, dict) for item in ops)


@schemathesis.deserializer("text/html", "text/css", "text/javascript")
def as_text(context, response):
    """The page and its parts are texts, whatever is in them."""
    return response.text


@schemathesis.hook
def filter_case(context, case):
    items = items_of(case.body)
    names = [item.get("counter") for item in items] + [(case.path_parameters or {}).get("name")]
    if not all(map(is_plain, items)) or any(map(is_too_long, names)):
        return False
    headers = {name.lower(): value for name, value in (case.headers or {}).items()}
    if {"idempotency-key", "quipu-stream"} <= headers.keys():
        return False
    mode = case.meta.generation.mode if case.meta else None
    if mode is not None and mode.is_negative:
        return not is_understood(case.body)
    # Of headers with a pattern, the tool's phase "coverage" makes values that do not match.
    return bool(STREAM.fullmatch(headers.get("quipu-stream", "name;seq=1")))


@schemathesis.deserializer("text/html", "text/css", "text/javascript")
def read_file(context, response):
    """A file of the page is its text."""
    return response.content.decode("utf-8")
