// Makes an account, with a binding if there is one, and says why it gets none.
const acme = require('acme-client');

const { BOUND, EAB_ID, EAB_KEY } = process.env;

async function main() {
  const binding = EAB_ID ? { externalAccountBinding: { kid: EAB_ID, hmacKey: EAB_KEY } } : {};
  const client = new acme.Client({ directoryUrl: BOUND, accountKey: await acme.crypto.createPrivateEcdsaKey(), ...binding });
  await client.createAccount({ termsOfServiceAgreed: true });
}

main().then(() => process.exit(0), (err) => { console.error(err.message); process.exit(1); });
