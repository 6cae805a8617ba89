// The one script: asks the authenticator, puts what it says into the form, and sends the form.
'use strict';

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const button = form.querySelector('button');
  const say = form.querySelector('[data-say]');
  if (!window.PublicKeyCredential) {
    say.textContent = 'This browser has no passkeys.';
    continue;
  }
  say.textContent = '';
  button.disabled = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    say.textContent = 'Waiting for your authenticator …';
    try {
      const fields = form.dataset.passkey === 'create' ? await create(form.dataset) : await use(form.dataset);
      for (const [name, value] of Object.entries(fields)) form.elements[name].value = value;
      form.submit();
    } catch (error) {
      button.disabled = false;
      say.textContent = error.name === 'InvalidStateError'
        ? 'This authenticator has a passkey for you already.'
        : 'Nothing was signed. You can try again.';
    }
  });
}

async function create(data) {
  const { response } = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(data.challenge),
      rp: { id: data.rp, name: 'Safeconduct' },
      user: { id: bytes(data.user), name: data.name, displayName: data.name },
      pubKeyCredParams: data.algorithms.split(' ').map((alg) => ({ type: 'public-key', alg: Number(alg) })),
      excludeCredentials: known(data),
      authenticatorSelection: { userVerification: 'required', residentKey: 'preferred' },
      attestation: 'none',
      timeout: 110000,
    },
  });
  return { client_data: text(response.clientDataJSON), attestation_object: text(response.attestationObject) };
}

async function use(data) {
  const { rawId, response } = await navigator.credentials.get({
    publicKey: {
      challenge: bytes(data.challenge),
      rpId: data.rp,
      allowCredentials: known(data),
      userVerification: 'required',
      timeout: 110000,
    },
  });
  return {
    id: text(rawId),
    client_data: text(response.clientDataJSON),
    authenticator_data: text(response.authenticatorData),
    signature: text(response.signature),
  };
}

function known(data) {
  return data.known.split(' ').filter(Boolean).map((id) => ({ type: 'public-key', id: bytes(id) }));
}

function bytes(base64url) {
  return Uint8Array.from(atob(base64url.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
}

function text(buffer) {
  const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join('');
  return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}
