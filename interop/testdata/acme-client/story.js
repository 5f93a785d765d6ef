// Issues by each challenge, with both kinds of keys and with bindings, renews and revokes.
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const tls = require('node:tls');
const acme = require('acme-client');

const { OPEN, BOUND, EAB_EC, EAB_RSA, HTTP_PORT, TLS_PORT, NAMES, OUT } = process.env;

const files = new Map();
const site = http.createServer((q, a) => (files.has(q.url) ? a.end(files.get(q.url)) : a.writeHead(404).end()));
const contexts = new Map();
const shown = tls.createServer({
  ALPNProtocols: ['acme-tls/1'],
  SNICallback: (name, done) => done(null, contexts.get(name)),
});

async function tell(where, what) {
  const answer = await fetch(NAMES + where, { method: 'POST', body: JSON.stringify(what) });
  if (!answer.ok) throw new Error(`${where}: ${answer.status}`);
}

async function present(authz, challenge, keyAuthorization) {
  const name = authz.identifier.value;
  switch (challenge.type) {
    case 'http-01':
      files.set(`/.well-known/acme-challenge/${challenge.token}`, keyAuthorization);
      break;
    case 'dns-01':
      await tell('/set-txt', { host: `_acme-challenge.${name}.`, value: keyAuthorization });
      break;
    case 'tls-alpn-01': {
      const [key, cert] = await acme.crypto.createAlpnCertificate(authz, keyAuthorization);
      contexts.set(name, tls.createSecureContext({ key, cert }));
      break;
    }
  }
}

async function remove(authz, challenge) {
  if (challenge.type === 'dns-01') await tell('/clear-txt', { host: `_acme-challenge.${authz.identifier.value}.` });
}

async function get(client, file, name, type, key) {
  const [, csr] = await acme.crypto.createCsr({ altNames: [name] }, key);
  const cert = await client.auto({
    csr, email: 'me@example.com', termsOfServiceAgreed: true, challengePriority: [type], skipChallengeVerification: true,
    challengeCreateFn: present, challengeRemoveFn: remove,
  });
  fs.writeFileSync(path.join(OUT, `${file}.pem`), cert);
  return cert;
}

async function main() {
  await new Promise((done) => site.listen(HTTP_PORT, '127.0.0.1', done));
  await new Promise((done) => shown.listen(TLS_PORT, '127.0.0.1', done));
  const accountKey = await acme.crypto.createPrivateEcdsaKey();
  const client = new acme.Client({ directoryUrl: OPEN, accountKey, backoffMin: 500 });
  const ec = await acme.crypto.createPrivateEcdsaKey();
  const rsa = await acme.crypto.createPrivateRsaKey(2048);

  const first = await get(client, 'http.node.test', 'http.node.test', 'http-01', ec);
  await get(client, 'again.node.test', 'http.node.test', 'http-01', ec);
  await get(client, 'alpn.node.test', 'alpn.node.test', 'tls-alpn-01', rsa);
  const alpn = await get(client, 'alpn.node.test', 'alpn.node.test', 'tls-alpn-01', rsa);
  await get(client, '*.wild.node.test', '*.wild.node.test', 'dns-01', rsa);
  const wild = await get(client, '*.wild.node.test', '*.wild.node.test', 'dns-01', rsa);
  await client.revokeCertificate(wild);
  await client.revokeCertificate(first, { reason: 4 });
  await client.updateAccountKey(await acme.crypto.createPrivateRsaKey(2048));
  await client.revokeCertificate(alpn);
  const order = await client.createOrder({ identifiers: [{ type: 'dns', value: 'dropped.node.test' }] });
  const [authz] = await client.getAuthorizations(order);
  await client.deactivateAuthorization(authz);
  await client.updateAccount({ contact: ['mailto:you@example.com'] });
  await client.updateAccount({ status: 'deactivated' });

  const bindings = { ec: [EAB_EC, await acme.crypto.createPrivateEcdsaKey()], rsa: [EAB_RSA, await acme.crypto.createPrivateRsaKey(2048)] };
  for (const [kind, [given, key]] of Object.entries(bindings)) {
    const [kid, hmacKey] = given.split(' ');
    const bound = new acme.Client({ directoryUrl: BOUND, accountKey: key, backoffMin: 500, externalAccountBinding: { kid, hmacKey } });
    for (const [of, certKey] of Object.entries({ ec, rsa })) {
      await get(bound, `${kind}-${of}.eab.node.test`, `${kind}-${of}.eab.node.test`, 'http-01', certKey);
    }
  }
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
