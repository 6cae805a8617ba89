// A person at a browser: Chromium with a virtual authenticator, and the OpenID provider (`oidc-provider`)
// that they sign in at. Prints the provider's address, then does what each line of standard input says,
// and answers each with one line of JSON. Ends with its standard input.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';
import { chromium } from 'playwright-core';

const [executablePath, base, secret] = process.argv.slice(2);
const server = createServer().listen(0, '127.0.0.1');
await new Promise((ready) => server.once('listening', ready));
const issuer = `http://localhost:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [{ client_id: 'safeconduct-web', client_secret: secret, redirect_uris: [`${base}/sign-in/callback`] }],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: ['a key of tests'] },
  ttl: { IdToken: 300 },
});
server.on('request', provider.callback());

const profile = mkdtempSync(join(tmpdir(), 'safeconduct-browser-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
  viewport: { width: 1000, height: 900 },
});
const page = browser.pages()[0] ?? await browser.newPage();
page.setDefaultTimeout(20_000);
const complaints = [];
page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
page.on('pageerror', (error) => complaints.push(String(error)));
const devtools = await browser.newCDPSession(page);
await devtools.send('WebAuthn.enable');
let authenticator;

// Signs in at the provider, and consents where it asks.
async function atProvider(person) {
  for (let page_ = 0; page_ < 5 && page.url().startsWith(issuer); page_ += 1) {
    const login = page.locator('input[name="login"]');
    if (await login.count()) {
      await login.fill(person);
      await page.locator('input[name="password"]').fill('any');
    }
    await Promise.all([page.waitForNavigation(), page.locator('button[type="submit"]').first().click()]);
  }
}

async function seen(response) {
  // The provider's lie under the same name of a host.
  const ours = (await browser.cookies(base)).filter(({ name }) => name.includes('safeconduct'));
  const cookies = ours.map(({ name, secure, httpOnly, sameSite, path }) => (
    { name, secure, httpOnly, sameSite, path }));
  return {
    status: response?.status(), url: page.url(), title: await page.title(), text: await page.locator('body').innerText(),
    headers: response?.headers(), cookies, complaints: complaints.splice(0),
  };
}

// Presses a button whose form leads to another page.
async function press(button) {
  const [response] = await Promise.all([page.waitForNavigation(), button.click()]);
  return response;
}

const steps = {
  // A device of the person's, with a person at it who is verified, or not.
  async authenticator({ verified = true }) {
    if (authenticator) await devtools.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: authenticator });
    ({ authenticatorId: authenticator } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
        isUserVerified: verified, automaticPresenceSimulation: true,
      },
    }));
    return {};
  },
  async verified({ verified }) {
    await devtools.send('WebAuthn.setUserVerified', { authenticatorId: authenticator, isUserVerified: verified });
    return {};
  },
  async open({ path }) {
    return seen(await page.goto(`${base}${path}`));
  },
  async sign_in({ path, person }) {
    await page.goto(`${base}${path}`);
    await page.locator('a', { hasText: 'Sign in' }).first().click();
    await page.waitForLoadState();
    await atProvider(person);
    return seen();
  },
  async press_link({ name, person }) {
    await page.getByRole('link', { name, exact: true }).click();
    await page.waitForLoadState();
    await atProvider(person);
    return seen();
  },
  async press({ name, fill = {} }) {
    const button = page.getByRole('button', { name, exact: true });
    const form = page.locator('form').filter({ has: button });
    for (const [field, value] of Object.entries(fill)) await form.locator(`[name="${field}"]`).fill(value);
    return seen(await press(button));
  },
  // Asks for the passkey, of which nothing comes: the page stays.
  async press_in_vain({ name }) {
    await page.getByRole('button', { name, exact: true }).click();
    await page.waitForFunction(() => /again|already/.test(document.querySelector('[data-say]')?.textContent ?? ''));
    return seen();
  },
  // What another site's page could have the browser send.
  async forge({ path, fields }) {
    const other = createServer((_, answer) => {
      const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`).join('');
      answer.setHeader('content-type', 'text/html');
      answer.end(`<form method="post" action="${base}${path}">${inputs}<button>Win</button></form>`);
    }).listen(0, '127.0.0.1');
    await new Promise((ready) => other.once('listening', ready));
    await page.goto(`http://127.0.0.1:${other.address().port}/`);
    const response = await press(page.getByRole('button', { name: 'Win' }));
    other.close();
    return seen(response);
  },
  // What something does that opens links to look at them, with the person's cookies.
  async scan({ paths }) {
    const statuses = [];
    for (const path of paths) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await browser.request.fetch(`${base}${path}`, { method, maxRedirects: 0 });
        statuses.push(answer.status());
      }
    }
    return { statuses };
  },
  async fields() {
    return page.evaluate(() => Object.fromEntries([...document.querySelectorAll('form')].map((form) => (
      [form.querySelector('button').textContent, Object.fromEntries(new FormData(form))]))));
  },
  async shot({ file, width = 1000, dark = false, full = true }) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
    await page.screenshot({ path: file, fullPage: full });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    await page.setViewportSize({ width: 1000, height: 900 });
    return { wider_than_the_screen: wide };
  },
};

console.log(JSON.stringify({ issuer }));
for await (const line of createInterface({ input: process.stdin })) {
  const { step, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = await steps[step](rest);
  } catch (error) {
    answer = { error: String(error), url: page.url(), text: await page.locator('body').innerText().catch(() => '') };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
rmSync(profile, { recursive: true, force: true });
process.exit(0);
