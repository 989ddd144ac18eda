"""What codes and bundles have in common: docs/code-format.md, over cwt (COSE) and cbor2."""

from base64 import urlsafe_b64decode

import cbor2
from cwt import COSE, COSEKey
from cwt.exceptions import VerifyError
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

LATEST = 253_402_207_200


class Refused(Exception):
    """The code is refused for this reason."""


def expect(holds):
    if not holds:
        raise Refused("malformed")


def is_uint(value):
    return type(value) is int and value >= 0


def is_seconds(value):
    return is_uint(value) and value < 2**63


def counts_as(seconds):
    return min(seconds, LATEST)


def is_bytes(value, length):
    return type(value) is bytes and len(value) == length


def cbor(data):
    """The one item that these bytes are, in deterministic encoding."""
    try:
        value = cbor2.loads(data)
        expect(cbor2.dumps(value, canonical=True) == data)
    except (cbor2.CBORDecodeError, ValueError, OverflowError):
        raise Refused("malformed") from None
    return value


def key_of(point, key_id=b""):
    """A COSE key of a point of P-256 (SEC 1)."""
    numbers = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point).public_numbers()
    x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
    return COSEKey.new({1: 2, 2: key_id, 3: -7, -1: 1, -2: x, -3: y})


def issuers_of(jwks):
    """The keys of a JSON Web Key Set by their ids."""
    decoded = lambda text: urlsafe_b64decode(text + "=" * (-len(text) % 4))
    keys = [(decoded(key["kid"]), b"\x04" + decoded(key["x"]) + decoded(key["y"])) for key in jwks["keys"]]
    return {key_id: key_of(point, key_id) for key_id, point in keys}


def read_sign1(data):
    """Key id and payload of a COSE_Sign1."""
    sign1 = cbor(data)
    expect(type(sign1) is list and len(sign1) == 4)
    protected, unprotected, payload, signature = sign1
    expect(type(protected) is bytes and unprotected == {} and type(payload) is bytes and is_bytes(signature, 64))
    header = cbor(protected)
    expect(type(header) is dict and list(header) == [1, 4] and header[1] == -7 and type(header[4]) is bytes)
    return header[4], cbor(payload)


def verify_sign1(data, key_id, issuers, external_aad=b""):
    if key_id not in issuers:
        raise Refused("unknown_issuer")
    try:
        # As a tagged COSE_Sign1, which this library asks for.
        COSE.new().decode(b"\xd2" + data, issuers[key_id], external_aad=external_aad)
    except VerifyError:
        raise Refused("forged") from None
