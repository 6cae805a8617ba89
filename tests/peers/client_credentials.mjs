// A stock OAuth client (openid-client) that knows client credentials alone. Arguments: issuer,
// client, its secret, resource, scope. Prints one JSON object with what it got.
import * as client from 'openid-client';

const [issuer, id, secret, resource, scope] = process.argv.slice(2);
const config = await client.discovery(
  new URL(issuer), id, secret, client.ClientSecretBasic(secret),
  { execute: [client.allowInsecureRequests] },
);
const plain = await client.clientCredentialsGrant(config, { scope, resource });
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
const bound = await client.clientCredentialsGrant(config, { scope, resource }, { DPoP });
let refused;
try {
  await client.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token: plain.access_token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  });
} catch (error) {
  refused = error.error;
}
const exchanged = await client.genericGrantRequest(
  config, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token: plain.access_token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    resource,
  },
);
console.log(JSON.stringify({
  plain: { type: plain.token_type, expires_in: plain.expires_in, scope: plain.scope },
  bound: { type: bound.token_type },
  exchanged: { type: exchanged.token_type },
  refused,
}));
