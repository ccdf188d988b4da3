/**
 * Cases of the actions on issuers of tokens, their keys, and the authorities behind their web sites.
 */

import { type ActionCases, BAD_CERTS, CERT, json, OTHER_CERT } from "./cases.ts";

const ISSUER = "https://issuer.example/tenant";
const BASE64 = CERT.replaceAll(/-----[A-Z ]+-----|\n/g, "");
const RSA = { kid: "a", kty: "RSA", n: "nnnn", e: "AQAB" };
const EC = { kid: "b", kty: "EC", x: "xx", y: "yy", crv: "P-256", use: "sig" };
const CERTIFIED = { kid: "c", kty: "RSA", x5c: [BASE64] };
const JWKS = { keys: [RSA, EC, CERTIFIED] };

const GOOD_JWKS = [{ keys: [] }, { keys: [{ ...RSA, x5c: "" }] }, { keys: [{ ...CERTIFIED, x5c: [BASE64, BASE64] }] }];
const BAD_JWKS = [
  {},
  { keys: {} },
  ...[
    null,
    7,
    {},
    { ...RSA, kid: 7 },
    { ...RSA, kty: undefined },
    { ...RSA, e: undefined },
    { ...RSA, e: 65537 },
    { ...RSA, n: ["n"] },
    { ...EC, crv: undefined },
    { ...EC, y: "" },
    { ...EC, x: 7 },
    { ...RSA, x5c: [] },
    { ...RSA, x5c: "text" },
    { ...RSA, x5c: [7] },
    { ...RSA, x5c: ["AAAA"] },
    { ...RSA, x5c: [BASE64, "no certificate"] },
  ].map((key) => ({ keys: [RSA, key] })),
];

const REFRESHED = { issuer: ISSUER, auto_refresh: true, ca_cert_bundle_name: "ca" };
const OLD_TABLES = ["public_signing_keys", "public_signing_keys_metadata", "public_signing_key_issuer"];
const oldRows = (value: unknown) => Object.fromEntries(OLD_TABLES.map((name) => [`jwt.${name}`, { kid: value }]));

export const TOKEN_CASES: Readonly<Record<string, ActionCases>> = {
  set_ca_cert_bundle: {
    accepts: [{ name: "", cert_bundle: "" }],
    refuses: [
      undefined,
      { cert_bundle: CERT },
      { name: null, cert_bundle: CERT },
      ...BAD_CERTS.map((cert_bundle) => ({ name: "ca", cert_bundle })),
    ],
    effects: [{
      title: "stores certificates under a name",
      args: { name: "ca", cert_bundle: CERT + OTHER_CERT },
      before: { "tls.ca_cert_bundles": { ca: json("old") } },
      writes: { "tls.ca_cert_bundles": { ca: json(CERT + OTHER_CERT) } },
    }],
  },
  remove_ca_cert_bundle: {
    refuses: [undefined, {}, { name: 7 }],
    effects: [{
      title: "removes a name, known or not",
      args: { name: "ca" },
      writes: { "tls.ca_cert_bundles": { ca: null } },
    }],
  },
  set_jwt_issuer: {
    accepts: [
      REFRESHED,
      { ...REFRESHED, issuer: "https:issuer" },
      { ...REFRESHED, issuer: `${ISSUER}?` },
      { ...REFRESHED, issuer: `${ISSUER}#` },
      { ...REFRESHED, issuer: `${ISSUER}?#` },
      ...GOOD_JWKS.map((jwks) => ({ issuer: "x", jwks })),
    ],
    refuses: [
      undefined,
      {},
      { issuer: null },
      { issuer: ISSUER, auto_refresh: "yes" },
      { issuer: ISSUER, ca_cert_bundle_name: 7 },
      { issuer: ISSUER, jwks: "x" },
      { issuer: ISSUER, jwks: "" },
      ...BAD_JWKS.map((jwks) => ({ issuer: ISSUER, jwks })),
      ...[undefined, null, ""].map((ca_cert_bundle_name) => ({ ...REFRESHED, ca_cert_bundle_name })),
      ...["issuer.example", "http://issuer.example", "HTTPS://issuer.example", `${ISSUER}?a`, `${ISSUER}#a`, ""].map(
        (issuer) => ({ ...REFRESHED, issuer }),
      ),
    ],
    effects: [
      {
        title: "stores what was proposed, without keys where there are none",
        args: { issuer: "anything", auto_refresh: null, ca_cert_bundle_name: null, jwks: null, later: 1 },
        writes: {
          "jwt.issuers": { anything: { issuer: "anything", auto_refresh: null, ca_cert_bundle_name: null, later: 1 } },
        },
      },
      {
        title: "hands keys on with the rest",
        args: { issuer: ISSUER, jwks: JWKS, auto_refresh: false },
        writes: { "jwt.issuers": { [ISSUER]: { issuer: ISSUER, auto_refresh: false } } },
        calls: [["setJwtPublicSigningKeys", ISSUER, { issuer: ISSUER, auto_refresh: false }, JWKS]],
      },
      {
        title: "accepts an issuer whose keys are fetched",
        args: REFRESHED,
        before: { "tls.ca_cert_bundles": { ca: json(CERT) } },
        writes: { "jwt.issuers": { [ISSUER]: REFRESHED } },
      },
      { title: "fails where the authorities are not known by that name", args: REFRESHED, fails: true },
    ],
  },
  set_jwt_public_signing_keys: {
    accepts: GOOD_JWKS.map((jwks) => ({ issuer: "x", jwks })),
    refuses: [
      undefined,
      { jwks: JWKS },
      ...[undefined, null, "x", ...BAD_JWKS].map((jwks) => ({ issuer: ISSUER, jwks })),
    ],
    effects: [
      {
        title: "hands keys on with what is known of the issuer",
        args: { issuer: ISSUER, jwks: JWKS },
        before: { "jwt.issuers": { [ISSUER]: REFRESHED } },
        calls: [["setJwtPublicSigningKeys", ISSUER, REFRESHED, JWKS]],
      },
      { title: "fails for an unknown issuer", args: { issuer: ISSUER, jwks: JWKS }, fails: true },
    ],
  },
  remove_jwt_issuer: {
    refuses: [undefined, {}, { issuer: 7 }],
    effects: [
      {
        title: "removes an issuer and its keys",
        args: { issuer: ISSUER },
        before: { "jwt.issuers": { [ISSUER]: REFRESHED } },
        writes: { "jwt.issuers": { [ISSUER]: null } },
        calls: [["removeJwtPublicSigningKeys", ISSUER]],
      },
      { title: "does nothing where there is no such issuer", args: { issuer: ISSUER } },
    ],
  },
  cleanup_legacy_jwt_records: {
    accepts: [{ ensure_new_records_exist: null }],
    refuses: [undefined, null, { ensure_new_records_exist: "x" }],
    effects: [
      { title: "clears tables of older versions", args: {}, before: oldRows("old"), writes: oldRows(null) },
      {
        title: "clears them where today's table has a key",
        args: { ensure_new_records_exist: true },
        before: { ...oldRows("old"), "jwt.public_signing_keys_metadata_v2": { kid: [] } },
        writes: oldRows(null),
      },
      {
        title: "fails where today's table is empty and should not be",
        args: { ensure_new_records_exist: true },
        before: oldRows("old"),
        fails: true,
      },
    ],
  },
};
