"""What schemathesis cannot know of a running platform: whose key it has, which tokens were given out, and rules that no schema can say."""

import os
import zlib

import schemathesis

TENANT = os.environ["DOMICILE_DOCS_TENANT"]
SPARE_KEY = os.environ["DOMICILE_DOCS_SPARE_KEY"]

# A token that was not given out is refused with TOKEN_INVALID, whatever its form. So a valid call has one that came back, or none.
given_out = set()


@schemathesis.hook
def after_call(context, case, response):
    given_out.update(response.headers.get("domicile-consistency") or [])
    try:
        body = response.json()
    except ValueError:
        return
    if isinstance(body, dict) and body.get("nextPageToken"):
        given_out.add(body["nextPageToken"])


@schemathesis.hook
def before_call(context, case, kwargs):
    # A header that names another tenant than the key is refused, and no document knows whose key it is.
    if "Domicile-Tenant" in (case.headers or {}):
        case.headers["Domicile-Tenant"] = TENANT
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    for values, name in ((case.headers, "Domicile-Consistency"), (case.query, "pageToken")):
        if values and name in values and values[name] not in given_out:
            del values[name]
    rule = RULES.get(case.operation.definition.raw.get("operationId"))
    if rule:
        rule(case)


@schemathesis.hook
def filter_case(context, case):
    # A header that nobody knows is ignored, as HTTP wants it.
    return "x-schemathesis-unknown-property" not in (case.headers or {})


def one_name(case):
    """Exactly one of three parameters is given."""
    given = {name: value for name, value in (case.query or {}).items() if value}
    case.query = dict([given.popitem()]) if given else {"id": TENANT}


def masked_fields_are_there(case):
    """A field that the mask names and the body does not have is cleared, and some cannot be."""
    mask = (case.query or {}).get("updateMask")
    if isinstance(mask, str):
        there = [path for path in mask.split(",") if isinstance(case.body, dict) and path in case.body]
        if there:
            case.query["updateMask"] = ",".join(there)
        else:
            del case.query["updateMask"]


def what_stays(case):
    """A tenant's id, home and standby are not changed by an update."""
    if isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name not in ("id", "home", "standby")}
    chosen(case)
    masked_fields_are_there(case)


def a_lawful_home(case):
    """Home and standby are regions of this platform, in one jurisdiction."""
    case.body = {**case.body, "home": "eu-central-1", "standby": "eu-west-1"}
    chosen(case)


def chosen(case):
    """A tenant's policies are chosen, where they are given."""
    for name, value in (("transit", "TRANSIT_FORWARD"), ("projections", "PROJECTIONS_NONE")):
        if isinstance(case.body, dict) and str(case.body.get(name)).endswith("_UNSPECIFIED"):
            case.body = {**case.body, name: value}


def a_key_that_is_there(case):
    """A tenant learns the ids of its keys from an operator."""
    case.path_parameters["id"] = SPARE_KEY


def one_kind_a_key(case):
    """An entry stays of the kind that its first operation made it, and a number is one of 64 bits, which its digits do not say."""
    for operation in case.body.get("operations", []):
        for name in ("increment", "raise"):
            if name in operation:
                operation[name] = operation[name][:18]
        if "intValue" in operation.get("set", {}):
            operation["set"]["intValue"] = operation["set"]["intValue"][:18]
        kind = next((name for name in operation if name != "key"), "")
        operation["key"] = f"{kind}-{zlib.crc32(operation['key'].encode('utf-8', 'replace'))}"


def ends_in_the_future(case):
    """A key that is made has not ended."""
    if isinstance(case.body, dict) and "expireTime" in case.body:
        case.body = {**case.body, "expireTime": "2126-01-01T00:00:00Z"}


def a_call_that_there_is(case):
    """A call has a method of a service here, and comes from a country or a region of this platform."""
    for name, value in (("method", "GetUser"), ("from", "eu-west-1")):
        if (case.query or {}).get(name):
            case.query[name] = value


RULES = {
    "ExplainOwnRoute": a_call_that_there_is,
    "ResolveTenant": one_name,
    "RevokeOwnApiKey": a_key_that_is_there,
    "UpdateUser": masked_fields_are_there,
    "UpdateSettings": one_kind_a_key,
    "UpdateTenant": what_stays,
    "CreateTenant": a_lawful_home,
    "CreateApiKey": ends_in_the_future,
}
