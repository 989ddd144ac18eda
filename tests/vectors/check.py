"""Judges the vectors of code.json and bundle.json by an implementation of its own, over cwt (COSE) and cbor2. Ends with
1 if one of them is judged otherwise than the files say. `tests/run` runs it.
"""

import json
import sys
from base64 import b64decode
from datetime import datetime
from pathlib import Path

import ym1_bundle
import ym1_code
from ym1 import Refused, issuers_of

differing = 0


def read(name):
    return json.loads(Path(__file__).with_name(name).read_text())


def seconds(text):
    return int(datetime.fromisoformat(text).timestamp())


def judged(judge, *arguments):
    """`accepted` or the reason, and what it says or is."""
    try:
        return "accepted", judge(*arguments)
    except Refused as reason:
        return str(reason), None


def compare(name, found, expected):
    global differing
    if found != expected:
        differing += 1
        print(f"{name}: {found!s:.500}, expected {expected!s:.500}", file=sys.stderr)


def codes():
    vectors = read("code.json")
    issuers = issuers_of(vectors["issuers"])
    for vector in vectors["codes"]:
        found = judged(ym1_code.judge, vector["text"], issuers, seconds(vector["now"]))
        compare(vector["name"], found, (vector["offline"], vector.get("says")))
    return vectors["codes"]


def bundles():
    vectors = read("bundle.json")
    for vector in vectors["indexes"]:
        held = vector.get("held_released_at")
        arguments = b64decode(vector["index"]), issuers_of(vector["issuers"]), held and seconds(held)
        found = judged(ym1_bundle.open_index, *arguments)
        compare(vector["name"], found, (vector["expected"], vector.get("says")))
    parts = {}
    for vector in vectors["parts"]:
        verdict, part = judged(ym1_bundle.Part, b64decode(vector["part"]), vector["named"])
        compare(vector["name"], verdict, vector["expected"])
        if part:
            parts[vector["named"]["sha256"]] = part
            for tag, expected in [(tag, tag in vector["in"]) for tag in vector["in"] + vector["out"]]:
                compare(f"{vector['name']}: {tag}", part.matches(bytes.fromhex(tag)), expected)
    index = vectors["indexes"][0]["says"]
    for vector in vectors["denials"]:
        found = ym1_bundle.denies(index, parts, vector["slot"], bytes.fromhex(vector["tag"]))
        compare(f"{vector['slot']}, {vector['tag']}", found, vector["denied"])
    for vector in vectors["covers"]:
        compare(vector["name"], ym1_bundle.cover(vector["parts"], vector["held"], vector["released_at"]), vector["cover"])
    return [entry for name in ("indexes", "parts", "denials", "covers") for entry in vectors[name]]


read_codes, read_bundles = codes(), bundles()
print(f"{len(read_codes)} codes, {len(read_bundles)} vectors of bundles, {differing} judged otherwise than expected")
sys.exit(differing > 0 or not read_codes or not read_bundles)
