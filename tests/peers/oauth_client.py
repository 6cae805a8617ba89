"""A stock OAuth client (Authlib) at the token service.

Arguments: issuer, client, its registered token, handle of a task, resource. Prints one JSON
object with what it got."""

import json
import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwk, jwt

issuer, client, secret, handle, resource = sys.argv[1:]
metadata = AuthorizationServerMetadata(
    requests.get(issuer + "/.well-known/oauth-authorization-server", timeout=10).json()
)
metadata.validate_issuer()
metadata.validate_token_endpoint()
metadata.validate_jwks_uri()
session = OAuth2Session(client, secret, token_endpoint_auth_method="client_secret_basic")
token = session.fetch_token(
    metadata["token_endpoint"],
    grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token=handle,
    subject_token_type="urn:safeconduct:token-type:task-handle",
    resource=resource,
)
keys = jwk.KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())
read = jwt.decode(token["access_token"], keys, algorithms=["ES256", "EdDSA"])
before = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"])
revoked = session.revoke_token(metadata["revocation_endpoint"], token=token["access_token"])
after = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"])
print(
    json.dumps(
        {
            "header": read.header,
            "claims": read.claims,
            "introspected": before.json(),
            "revoked": revoked.status_code,
            "after": after.json(),
        }
    )
)
