// A stock OAuth client (openid-client) at the token service. Arguments: issuer, client, private
// JWK, handle of a task, resource. Prints one JSON object with what it got.
import * as client from 'openid-client';

const [issuer, id, jwk, handle, resource] = process.argv.slice(2);
const { d: _, ...publicJwk } = JSON.parse(jwk);
const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
const key = await crypto.subtle.importKey('jwk', JSON.parse(jwk), algorithm, false, ['sign']);
const config = await client.discovery(
  new URL(issuer),
  id,
  undefined,
  client.PrivateKeyJwt({ key, kid: publicJwk.kid }),
  { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
);
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const parameters = {
  subject_token: handle,
  subject_token_type: 'urn:safeconduct:token-type:task-handle',
  resource,
};
const bearer = await client.genericGrantRequest(config, exchange, parameters);
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
const bound = await client.genericGrantRequest(config, exchange, parameters, { DPoP });
const protectedUrl = new URL('/v1/whoami', issuer);
const self = await client.genericGrantRequest(config, exchange, { ...parameters, resource: issuer }, { DPoP });
const whoami = await client.fetchProtectedResource(
  config, self.access_token, protectedUrl, 'GET', undefined, undefined, { DPoP },
);
const introspected = await client.tokenIntrospection(config, bearer.access_token);
await client.tokenRevocation(config, bearer.access_token);
const after = await client.tokenIntrospection(config, bearer.access_token);
let refused;
try {
  await client.genericGrantRequest(config, exchange, { ...parameters, scope: 'openid' });
} catch (error) {
  refused = error.error;
}
console.log(JSON.stringify({
  bearer: { type: bearer.token_type, expires_in: bearer.expires_in },
  bound: { type: bound.token_type },
  whoami: { status: whoami.status, body: await whoami.json() },
  introspected,
  after,
  refused,
}));
