// An OpenID provider (`oidc-provider`) on loopback, and tokens from it: an access token that a program
// got for itself, and the ID token of a person who signed in by the authorization code flow with PKCE.
// Prints one line of JSON, and serves until its standard input ends.
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const AUDIENCE = process.argv[2];
const server = createServer().listen(0, '127.0.0.1');
await new Promise((ready) => server.once('listening', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'batch', client_secret: 'a secret of tests', redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'],
    },
    {
      client_id: 'safeconduct-web', token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback'], application_type: 'native',
    },
  ],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'decide', audience: AUDIENCE, accessTokenFormat: 'jwt', accessTokenTTL: 300,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  ttl: { IdToken: 300 },
});
server.on('request', provider.callback());

async function post(path, body, headers = {}) {
  const answer = await fetch(`${issuer}${path}`, {
    method: 'POST', body: new URLSearchParams(body), headers, redirect: 'manual',
  });
  if (answer.status >= 400) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

async function accessToken() {
  const basic = Buffer.from(`batch:${encodeURIComponent('a secret of tests')}`).toString('base64');
  const answer = await post(
    '/token',
    { grant_type: 'client_credentials', resource: AUDIENCE, scope: 'decide' },
    { authorization: `Basic ${basic}` },
  );
  return (await answer.json()).access_token;
}

async function idToken(person) {
  const verifier = randomBytes(32).toString('base64url');
  const jar = new Map();
  const request = new URLSearchParams({
    client_id: 'safeconduct-web', response_type: 'code', scope: 'openid',
    redirect_uri: 'http://127.0.0.1/callback', code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  });
  let next = new URL(`${issuer}/auth?${request}`);
  for (let step = 0; step < 20; step += 1) {
    if (next.pathname === '/callback') {
      const answer = await post('/token', {
        grant_type: 'authorization_code', code: next.searchParams.get('code'),
        client_id: 'safeconduct-web', code_verifier: verifier,
        redirect_uri: 'http://127.0.0.1/callback',
      });
      return (await answer.json()).id_token;
    }
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    let answer = await fetch(next, { headers: { cookie }, redirect: 'manual' });
    if (answer.status === 200) {
      // A page of the provider asks for something: the person signs in, then consents.
      const prompt = (await answer.text()).includes('name="login"') ? 'login' : 'consent';
      answer = await post(next.pathname, { prompt, login: person, password: 'any' }, { cookie });
    }
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
      jar.set(name, value);
    }
    next = new URL(answer.headers.get('location'), issuer);
  }
  throw new Error('the sign-in never ends');
}

const tokens = { issuer, access_token: await accessToken(), id_token: await idToken('u-ada') };
console.log(JSON.stringify(tokens));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
