// Verify a Sigstore bundle against a public key with sigstore-js.
//
//   node verify.mjs BUNDLE KEY.pem
//
// Prints the verified payload and exits 0; exits 1 where sigstore-js refuses the bundle.
// The trust root is empty: a managed key needs no certificate, log or timestamp.

import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";

const [bundlePath, keyPath] = process.argv.slice(2);
const pem = readFileSync(keyPath, "utf8");
const bundleText = readFileSync(bundlePath, "utf8");

const root = {
  mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
  tlogs: [],
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
};
const findKey = () => ({
  publicKey: createPublicKey(pem),
  validFor: () => true,
});

try {
  const bundle = bundleFromJSON(JSON.parse(bundleText));
  const verifier = new Verifier(toTrustMaterial(root, findKey), {
    tlogThreshold: 0,
    ctlogThreshold: 0,
    timestampThreshold: 0,
  });
  verifier.verify(toSignedEntity(bundle));
  process.stdout.write(bundle.content.dsseEnvelope.payload);
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 1;
}
