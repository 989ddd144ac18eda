#!/usr/bin/env python3
"""Makes foreign.json: codes of other systems with the outcome of each, and the trust list by which they are read; or
foreign-revoked.json, with the revocations too.

The issuers are made up, and their keys are thrown away. An implementation of its own: cbor2 and cryptography from PyPI.
Usage: make_foreign.py > foreign.json
       make_foreign.py revoked > foreign-revoked.json
"""
import base64
import datetime
import hashlib
import json
import sys
import zlib

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
ES256, PS256, ES512 = -7, -37, -36
USAGES = {kind: ObjectIdentifier(f"1.3.6.1.4.1.1847.2021.1.{n}") for n, kind in enumerate("tvr", start=1)}


def base45(data):
    text = ""
    for i in range(0, len(data), 2):
        pair = data[i:i + 2]
        value = int.from_bytes(pair, "big")
        for _ in range(3 if len(pair) == 2 else 2):
            text += ALPHABET[value % 45]
            value //= 45
    return text


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def seconds(time):
    return int(time.timestamp())


def sign(key, message):
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    size = (key.curve.key_size + 7) // 8
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


class DccIssuer:
    """A document signer with its certificate."""

    def __init__(self, key, country, usages=(), until=NOW + 30_000 * DAY):
        name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, country)])
        number = x509.random_serial_number()
        builder = x509.CertificateBuilder(name, name, key.public_key(), number, NOW - 999 * DAY, until)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage([USAGES[kind] for kind in usages]), False)
        self.key, self.der = key, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        self.kid = hashlib.sha256(self.der).digest()[:8]

    def entry(self):
        return {"certificate": base64.b64encode(self.der).decode()}


def ec_key(curve=None):
    return ec.generate_private_key(curve or ec.SECP256R1())


DCC = DccIssuer(ec_key(), "AT")
DCC_RSA = DccIssuer(rsa.generate_private_key(65537, 2048), "SE")
DCC_P384 = DccIssuer(ec_key(ec.SECP384R1()), "ES")
DCC_TESTS = DccIssuer(ec_key(), "DE", "t")
DCC_ENDED = DccIssuer(ec_key(), "FR", until=NOW - DAY)
DCC_STRANGER = DccIssuer(ec_key(), "AT")

NAME = {"fn": "Musterfrau-Gößinger", "fnt": "MUSTERFRAU<GOESSINGER", "gn": "Gabriele", "gnt": "GABRIELE"}
COVID = "840539006"


def of(country="AT", ci="URN:UVCI:01:AT:0#B"):
    return {"co": country, "is": "Ministry of Health", "ci": ci}


def vaccination(dn=2, sd=2, ago=92 * DAY, mp="EU/1/20/1528", tg=COVID, **more):
    day = (NOW - ago).date().isoformat()
    entry = {"tg": tg, "vp": "1119349007", "mp": mp, "ma": "ORG-100030215", "dn": dn, "sd": sd, "dt": day, **of(**more)}
    return {"v": [entry]}


def test(tt="LP6464-4", tr="260415000", ago=24 * HOUR):
    sampled = (NOW - ago).isoformat().replace("+00:00", "Z")
    return {"t": [{"tg": COVID, "tt": tt, "tr": tr, "sc": sampled, "tc": "Centre 1", **of()}]}


def recovery(ago=61 * DAY, until=30 * DAY):
    day = lambda time: time.date().isoformat()
    entry = {"tg": COVID, "fr": day(NOW - ago), "df": day(NOW - ago + 11 * DAY), "du": day(NOW + until), **of()}
    return {"r": [entry]}


def hcert(statement, ver="1.3.0", nam=None, dob="1998-02-26"):
    return {1: {"ver": ver, "nam": nam or NAME, "dob": dob, **statement}}


def claims(content, iat=NOW - 10 * DAY, exp=NOW + 20_000 * DAY):
    return {1: "AT", 4: exp if isinstance(exp, float) else seconds(exp), 6: seconds(iat), -260: content}


def sign1(payload, issuer=DCC, alg=ES256, protected=None, unprotected=None, signer=None):
    header = cbor2.dumps({1: alg, 4: issuer.kid} if protected is None else protected)
    signature = sign((signer or issuer).key, cbor2.dumps(["Signature1", header, b"", payload]))
    return [header, unprotected or {}, payload, signature]


def hc1(cbor):
    return "HC1:" + base45(zlib.compress(cbor, 9))


def dcc(statement, issuer=DCC, alg=ES256, **times):
    content = statement if 1 in statement or 2 in statement else hcert(statement)
    payload = cbor2.dumps(claims(content, **times))
    return hc1(cbor2.dumps(cbor2.CBORTag(18, sign1(payload, issuer, alg))))


def nested(depth):
    return [nested(depth - 1)] if depth else 0


def pairs(*entries):
    """A map as its keys and values come, with those that come twice."""
    return bytes([0xA0 + len(entries)]) + b"".join(cbor2.dumps(part) for entry in entries for part in entry)


def dcc_vectors():
    good = cbor2.dumps(claims(hcert(vaccination())))
    statement = hcert(vaccination())
    twice = pairs((1, "AT"), (4, seconds(NOW + DAY)), (6, seconds(NOW - DAY)), (-260, statement), (-260, statement))
    inner = cbor2.dumps(statement[1])
    inner = bytes([inner[0] + 1]) + inner[1:] + cbor2.dumps("dob") + cbor2.dumps("1950-01-01")
    inner = bytes([0xA1, 0x01]) + inner
    times = [4, seconds(NOW + DAY), 6, seconds(NOW - DAY), -260]
    inner_twice = bytes([0xA3]) + b"".join(cbor2.dumps(part) for part in times) + inner
    tagged = test()
    tagged["t"][0]["sc"] = cbor2.CBORTag(0, tagged["t"][0]["sc"])
    parts = sign1(good)
    compressed = zlib.compress(cbor2.dumps(cbor2.CBORTag(18, parts)), 9)
    two = cbor2.CBORTag(98, [b"", {}, good, [[parts[0], {}, parts[3]], [parts[0], {}, parts[3]]]])
    cut = [*parts[:3], parts[3][:-1]]
    wrap = lambda parts: hc1(cbor2.dumps(cbor2.CBORTag(18, parts)))
    hidden = {**NAME, "gnt": "GABRIELE\u202e"}
    return {
        "vaccination": ("accepted", dcc(vaccination())),
        "vaccination, RSA": ("accepted", dcc(vaccination(), DCC_RSA, PS256)),
        "vaccination, P-384": ("accepted", dcc(vaccination(), DCC_P384)),
        "nucleic-acid test": ("accepted", dcc(test())),
        "test by a key for tests": ("accepted", dcc(test(), DCC_TESTS)),
        "antigen test of 20 h ago": ("accepted", dcc(test("LP217198-3", ago=20 * HOUR))),
        "recovery": ("accepted", dcc(recovery())),
        "booster of today": ("accepted", dcc(vaccination(3, 2, 0 * DAY))),
        "single dose": ("accepted", dcc(vaccination(1, 1, mp="EU/1/20/1525"))),
        "key id in the unprotected header": (
            "accepted", wrap(sign1(good, protected={1: ES256}, unprotected={4: DCC.kid}))),
        "tags of a CWT and of a COSE_Sign1": (
            "accepted", hc1(cbor2.dumps(cbor2.CBORTag(61, cbor2.CBORTag(18, parts))))),
        "no tag": ("accepted", hc1(cbor2.dumps(parts))),
        "time with a tag": ("accepted", dcc(tagged)),
        "year of birth alone": ("accepted", dcc(hcert(vaccination(), dob="1998"))),
        "antigen test of 30 h ago": ("too_old", dcc(test("LP217198-3", ago=30 * HOUR))),
        "vaccination 400 days ago": ("too_old", dcc(vaccination(ago=400 * DAY))),
        "recovery that has ended": ("too_old", dcc(recovery(until=-1 * DAY))),
        "vaccination 5 days ago": ("too_recent", dcc(vaccination(ago=5 * DAY))),
        "test of tomorrow": ("too_recent", dcc(test(ago=-24 * HOUR))),
        "recovery 5 days ago": ("too_recent", dcc(recovery(5 * DAY))),
        "positive test": ("positive", dcc(test(tr="260373001"))),
        "first of two doses": ("incomplete", dcc(vaccination(1))),
        "one dose of a vaccine of two": ("incomplete", dcc(vaccination(1, 1))),
        "unknown vaccine": ("not_listed", dcc(vaccination(mp="EU/9/99/9999"))),
        "another disease": ("not_listed", dcc(vaccination(tg="6142004"))),
        "unknown type of test": ("not_listed", dcc(test("LP1-1"))),
        "unknown result": ("not_listed", dcc(test(tr="NEGATIVE"))),
        "expired": ("expired", dcc(vaccination(), exp=NOW - DAY)),
        "certificate expired": ("expired", dcc(vaccination(), DCC_ENDED)),
        "from the future": ("not_yet_valid", dcc(vaccination(), iat=NOW + DAY)),
        "vaccination by a key for tests": ("key_usage", dcc(vaccination(), DCC_TESTS)),
        "unknown issuer": ("issuer_unknown", dcc(vaccination(), DCC_STRANGER)),
        "signed by another key": ("forged", wrap(sign1(good, signer=DCC_STRANGER))),
        "signature cut": ("forged", wrap(cut)),
        "algorithm of another key": ("forged", wrap(sign1(good, alg=PS256))),
        "another algorithm": ("unsupported", wrap(sign1(good, alg=ES512))),
        "no algorithm": ("unsupported", wrap(sign1(good, protected={4: DCC.kid}))),
        "critical header": ("unsupported", wrap(sign1(good, protected={1: ES256, 2: [-70001], 4: DCC.kid, -70001: 1}))),
        "schema 2": ("unsupported", dcc(hcert(vaccination(), ver="2.0.0"))),
        "another entry of hcert": ("unsupported", dcc({2: {"ver": "1.3.0"}})),
        "two statements": ("unsupported", dcc({**vaccination(), **test()})),
        "no statement": ("malformed", dcc(hcert({}))),
        "dose 0": ("malformed", dcc(vaccination(0))),
        "infinite expiry": ("malformed", dcc(vaccination(), exp=float("inf"))),
        "hidden character in the name": ("malformed", dcc(hcert(vaccination(), nam=hidden))),
        "claim twice": ("malformed", wrap(sign1(twice))),
        "member twice": ("malformed", wrap(sign1(inner_twice))),
        "nested deeply": ("malformed", dcc({1: nested(40)})),
        "two signatures": ("malformed", hc1(cbor2.dumps(two))),
        "bomb": ("malformed", hc1(cbor2.dumps(bytes(2_500_000)))),
        "bytes after the stream": ("malformed", "HC1:" + base45(compressed + b"\0")),
        "bytes after the array": ("malformed", hc1(cbor2.dumps(cbor2.CBORTag(18, parts)) + b"\0")),
        "stream cut": ("malformed", "HC1:" + base45(compressed[:-6])),
        "not compressed": ("malformed", "HC1:" + base45(cbor2.dumps(cbor2.CBORTag(18, parts)))),
        "wrong digit": ("malformed", dcc(vaccination())[:-3] + "a" + dcc(vaccination())[-2:]),
        "another version of the prefix": ("malformed", dcc(vaccination()).replace("HC1:", "HC2:")),
        "too long": ("malformed", "HC1:" + "0" * 5_000),
    }


class SmartIssuer:
    """An issuer of SMART Health Cards."""

    def __init__(self, url):
        self.url, self.key = url, ec_key()
        numbers = self.key.public_key().public_numbers()
        x, y = [base64url(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y)]
        members = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"))
        self.kid = base64url(hashlib.sha256(members.encode()).digest())
        self.jwk = {"kty": "EC", "kid": self.kid, "use": "sig", "alg": "ES256", "crv": "P-256", "x": x, "y": y}


SMART = SmartIssuer("https://cards.example/issuer")
SMART_STRANGER = SmartIssuer("https://other.example/issuer")


def resource(url, **members):
    return {"fullUrl": url, "resource": members}


def patient(url="resource:0"):
    name = [{"family": "Anyperson", "given": ["John", "B."]}]
    return resource(url, resourceType="Patient", name=name, birthDate="1951-01-20")


def dose(ago, cvx="208", status="completed", of="resource:0"):
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": cvx}]}
    return resource(
        "resource:1", resourceType="Immunization", status=status, vaccineCode=code, patient={"reference": of},
        occurrenceDateTime=(NOW - ago).date().isoformat(), lotNumber="0000001")


def observation(snomed="260415000", ago=24 * HOUR, loinc="94309-2"):
    coded = lambda system, code: {"coding": [{"system": system, "code": code}]}
    return resource(
        "resource:1", resourceType="Observation", status="final", code=coded("http://loinc.org", loinc),
        subject={"reference": "resource:0"}, effectiveDateTime=(NOW - ago).isoformat(),
        valueCodeableConcept=coded("http://snomed.info/sct", snomed))


def card(entries, issuer=SMART, iss=None, types=("https://smarthealth.cards#health-card",), nbf=NOW - 10 * DAY, **more):
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    vc = {"type": list(types), "credentialSubject": {"fhirVersion": "4.0.1", "fhirBundle": bundle}}
    return {"iss": iss or issuer.url, "nbf": seconds(nbf), **more, "vc": vc}


def jws(payload, issuer=SMART, signer=None, **header):
    header = {"zip": "DEF", "alg": "ES256", "kid": issuer.kid, **header}
    text = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(text) + deflate.flush()
    signed = base64url(json.dumps(header, separators=(",", ":")).encode()) + "." + base64url(body)
    return signed + "." + base64url(sign((signer or issuer).key, signed.encode()))


def digits(text):
    return "".join(f"{ord(character) - 45:02}" for character in text)


def shc(entries, **members):
    return "shc:/" + digits(jws(card(entries, **members)))


def shc_vectors():
    course = [patient(), dose(120 * DAY), dose(92 * DAY)]
    good = jws(card(course))
    half = len(good) // 2
    return {
        "two doses": ("accepted", shc(course)),
        "single dose of CVX 212": ("accepted", shc([patient(), dose(92 * DAY, "212")])),
        "three doses, the last today": ("accepted", shc([*course, dose(0 * DAY, "300")])),
        "nucleic-acid test": ("accepted", shc([patient(), observation()])),
        "prefix in capitals": ("accepted", shc(course).replace("shc", "SHC")),
        "influenza beside two doses": ("accepted", shc([*course, dose(9 * DAY, "158")])),
        "old test beside two doses": ("accepted", shc([*course, observation(ago=99 * HOUR)])),
        "one dose": ("incomplete", shc(course[:2])),
        "one dose told twice": ("incomplete", shc([patient(), dose(92 * DAY), dose(92 * DAY, "217")])),
        "influenza alone": ("not_listed", shc([patient(), dose(9 * DAY, "158")])),
        "test of 80 h ago": ("too_old", shc([patient(), observation(ago=80 * HOUR)])),
        "positive test beside two doses": ("positive", shc([*course, observation("260373001")])),
        "expired": ("expired", shc(course, exp=seconds(NOW - DAY))),
        "from the future": ("not_yet_valid", shc(course, nbf=NOW + DAY)),
        "unknown key": ("issuer_unknown", "shc:/" + digits(jws(card(course), SMART_STRANGER))),
        "another issuer's name": ("issuer_unknown", shc(course, iss="https://other.example")),
        "signed by another key": ("forged", "shc:/" + digits(jws(card(course), signer=SMART_STRANGER))),
        "first part of two": ("in_parts", "shc:/1/2/" + digits(good[:half])),
        "another algorithm": ("unsupported", "shc:/" + digits(jws(card(course), alg="ES384"))),
        "another compression": ("unsupported", "shc:/" + digits(jws(card(course), zip="GZ"))),
        "critical header": ("unsupported", "shc:/" + digits(jws(card(course), crit=["b64"], b64=True))),
        "two patients": ("unsupported", shc([*course, patient("resource:9")])),
        "nothing that counts": ("unsupported", shc([patient(), dose(92 * DAY, status="entered-in-error")])),
        "a dose of somebody else": ("malformed", shc([patient(), dose(92 * DAY, of="resource:9")])),
        "no patient": ("malformed", shc(course[1:])),
        "another type of credential": ("malformed", shc(course, types=["https://example.org#card"])),
        "member twice": ("malformed", "shc:/" + digits(jws(b'{"nbf":1,' + json.dumps(card(course)).encode()[1:]))),
        "bomb": ("malformed", "shc:/" + digits(jws(b" " * 1_500_000))),
        "not JSON": ("malformed", "shc:/" + digits(jws(b"card"))),
        "two parts of a JWS": ("malformed", "shc:/" + digits(good.rsplit(".", 1)[0])),
        "a second signature": ("malformed", "shc:/" + digits(good + "." + good.rsplit(".", 1)[1])),
        "an odd number of digits": ("malformed", ("shc:/" + digits(good))[:-1]),
        "too long": ("malformed", "shc:/" + "00" * 4_000),
    }


def hash16(data):
    return base64.b64encode(hashlib.sha256(data).digest()[:16]).decode()


def batch(kind, identifier, issuer=DCC):
    """As the EU's gateway has it."""
    kid = "UNKNOWN_KID" if issuer is None else base64.b64encode(issuer.kid).decode()
    expires = (NOW + 90 * DAY).isoformat().replace("+00:00", "Z")
    entries = [{"hash": hash16(identifier)}, {"hash": hash16(b"another one")}]
    return {"country": "AT", "expires": expires, "kid": kid, "hashType": kind, "entries": entries}


def revoked():
    """Vectors, and the list by which some of them are revoked."""
    uci = lambda name: f"URN:UVCI:01:AT:{name}#C"
    of_name = lambda name, issuer=DCC, alg=ES256, **times: dcc(vaccination(ci=uci(name)), issuer, alg, **times)
    payload = lambda name: cbor2.dumps(claims(hcert(vaccination(ci=uci(name)))))
    signed = {
        kind: sign1(payload(kind), issuer, alg)
        for kind, issuer, alg in [("P-256", DCC, ES256), ("RSA", DCC_RSA, PS256), ("P-384", DCC_P384, ES256)]
    }
    by_signature = {kind: hc1(cbor2.dumps(cbor2.CBORTag(18, array))) for kind, array in signed.items()}
    half = lambda kind: signed[kind][3][:len(signed[kind][3]) // 2]
    batches = [
        batch("UCI", uci("1").encode()), batch("COUNTRYCODEUCI", ("AT" + uci("2")).encode()),
        batch("UCI", uci("3").encode(), None), batch("UCI", uci("4").encode()),
        batch("COUNTRYCODEUCI", uci("5").encode()), batch("SIGNATURE", half("P-256")),
        batch("SIGNATURE", signed["RSA"][3], DCC_RSA), batch("SIGNATURE", half("P-384"), DCC_P384),
    ]
    moment = NOW - 10 * DAY
    rids = ["revoked-1", f"until_2.{seconds(moment)}", "other"]
    course = [patient(), dose(120 * DAY), dose(92 * DAY)]

    def with_rid(rid, **members):
        payload = card(course, **members)
        payload["vc"]["rid"] = rid
        return "shc:/" + digits(jws(payload))

    forged = dcc(vaccination(ci=uci("1")), DCC_STRANGER)
    vectors = {
        "EU: by the hash of its identifier": ("revoked", of_name("1")),
        "EU: by the hash of country and identifier": ("revoked", of_name("2")),
        "EU: by the hash of its identifier, whatever the key": ("revoked", of_name("3", DCC_RSA, PS256)),
        "EU: by the hash of its signature, P-256": ("revoked", by_signature["P-256"]),
        "EU: by the hash of its signature, RSA": ("revoked", by_signature["RSA"]),
        "EU: by the hash of its signature, P-384": ("revoked", by_signature["P-384"]),
        "EU: revoked and expired": ("revoked", of_name("1", exp=NOW - DAY)),
        "EU: revoked, and signed by a stranger": ("issuer_unknown", forged),
        "EU: its identifier under another key": ("accepted", of_name("4", DCC_RSA, PS256)),
        "EU: its identifier as another kind": ("accepted", of_name("5")),
        "EU: not revoked": ("accepted", of_name("6")),
        "SMART: revoked": ("revoked", with_rid("revoked-1")),
        "SMART: revoked and expired": ("revoked", with_rid("revoked-1", exp=seconds(NOW - DAY))),
        "SMART: issued before the moment": ("revoked", with_rid("until_2", nbf=moment - datetime.timedelta(seconds=1))),
        "SMART: issued at the moment": ("accepted", with_rid("until_2", nbf=moment)),
        "SMART: not revoked": ("accepted", with_rid("revoked-10")),
        "SMART: without an identifier": ("accepted", shc(course)),
    }
    lists = [{"kid": SMART.kid, "method": "rid", "ctr": 3, "rids": rids}]
    return vectors, {"dcc": batches, "smart_health_cards": lists}


def main():
    trusted = [DCC, DCC_RSA, DCC_P384, DCC_TESTS, DCC_ENDED]
    smart = {"issuer": SMART.url, "name": "Example cards", "country": "US", "keys": [SMART.jwk]}
    listed = [("EU: ", dcc_vectors()), ("SMART: ", shc_vectors())]
    vectors = [
        {"name": prefix + name, "outcome": outcome, "code": code}
        for prefix, of_kind in listed for name, (outcome, code) in of_kind.items()
    ]
    trust_list = {"dcc": [issuer.entry() for issuer in trusted], "smart_health_cards": [smart]}
    document = {"now": NOW.isoformat().replace("+00:00", "Z"), "trust_list": trust_list, "vectors": vectors}
    if sys.argv[1:] == ["revoked"]:
        codes, document["revocations"] = revoked()
        document["vectors"] = [{"name": name, "outcome": out, "code": code} for name, (out, code) in codes.items()]
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
