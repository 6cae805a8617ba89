"""A stock OAuth client (Authlib) that knows client credentials alone.

Arguments: issuer, client, its secret, the reader of the resource, its secret, resource, scope.
Prints one JSON object with what it got."""

import json
import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwk, jwt

issuer, client, secret, reader, readers, resource, scope = sys.argv[1:]
metadata = requests.get(issuer + "/.well-known/openid-configuration", timeout=10).json()
session = OAuth2Session(client, secret, scope=scope)
token = session.fetch_token(
    metadata["token_endpoint"], grant_type="client_credentials", resource=resource
)
keys = jwk.KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())
read = jwt.decode(token["access_token"], keys, algorithms=["ES256"])
introspected = OAuth2Session(reader, readers).introspect_token(
    metadata["introspection_endpoint"], token=token["access_token"]
)
print(
    json.dumps(
        {
            "type": token["token_type"],
            "header": read.header,
            "claims": read.claims,
            "introspected": introspected.json(),
        }
    )
)
