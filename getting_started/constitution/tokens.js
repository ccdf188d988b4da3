/**
 * Actions on who may vouch for users: issuers of tokens (JSON Web Tokens), and the authorities by which their web sites
 * are recognised.
 */

const caCertBundles = () => jsonTable("public:ccf.gov.tls.ca_cert_bundles");
const jwtIssuers = () => jsonTable("public:ccf.gov.jwt.issuers");

/**
 * Stores certificates of authorities under a name. A node that fetches an issuer's keys talks to a web site only if one
 * of these authorities vouches for it. Replaces what had the name before.
 */
actions.set("set_ca_cert_bundle", {
  check(args) {
    checkType("string", args.name, "name");
    checkCertificate(args.cert_bundle, "cert_bundle");
  },
  perform({ name, cert_bundle }) {
    caCertBundles().set(name, cert_bundle);
  },
});

/** Forgets these authorities: keys of issuers that name them are not fetched any more. Keys that are here stay. */
actions.set("remove_ca_cert_bundle", {
  check(args) {
    checkType("string", args.name, "name");
  },
  perform({ name }) {
    caCertBundles().delete(name);
  },
});

/**
 * Accepts users whom this issuer vouches for: the app serves holders of tokens that were signed with one of its keys.
 * `jwks` gives the keys; with `auto_refresh` the nodes fetch them from the issuer's web site, again and again, so that
 * from then on the issuer alone decides which keys those are.
 */
actions.set("set_jwt_issuer", {
  check(args) {
    checkType("string", args.issuer, "issuer");
    checkOptional("boolean", args.auto_refresh, "auto_refresh");
    checkOptional("string", args.ca_cert_bundle_name, "ca_cert_bundle_name");
    if (!isAbsent(args.jwks)) checkJwks(args.jwks, "jwks");
    if (!args.auto_refresh) return;
    must(args.ca_cert_bundle_name, "auto_refresh needs a ca_cert_bundle_name");
    // A lone "?" or "#" is no query and no fragment.
    must(
      /^https:[^?#]*\??#?$/.test(args.issuer),
      "auto_refresh needs an issuer that is a URL starting with https:, without query and fragment",
    );
  },
  perform({ jwks, ...issuer }) {
    if (issuer.auto_refresh) {
      const name = issuer.ca_cert_bundle_name;
      must(caCertBundles().has(name), `There is no CA certificate bundle with the name '${name}'`);
    }
    if (!isAbsent(jwks)) ccf.setJwtPublicSigningKeys(issuer.issuer, issuer, jwks);
    jwtIssuers().set(issuer.issuer, issuer);
  },
});

/**
 * Replaces an issuer's keys. Tokens signed with keys that are not among the new ones stop being accepted, so users who
 * hold them must ask the issuer for others.
 */
actions.set("set_jwt_public_signing_keys", {
  check(args) {
    checkType("string", args.issuer, "issuer");
    checkJwks(args.jwks, "jwks");
  },
  perform({ issuer, jwks }) {
    const metadata = jwtIssuers().get(issuer);
    must(metadata !== undefined, `issuer ${issuer} not found`);
    ccf.setJwtPublicSigningKeys(issuer, metadata, jwks);
  },
});

/** Stops accepting users whom this issuer vouches for. What they wrote stays. */
actions.set("remove_jwt_issuer", {
  check(args) {
    checkType("string", args.issuer, "issuer");
  },
  perform({ issuer }) {
    if (!jwtIssuers().has(issuer)) return; // Already gone.
    jwtIssuers().delete(issuer);
    ccf.removeJwtPublicSigningKeys(issuer);
  },
});

/**
 * Clears the tables in which older versions kept issuers' keys. Nobody reads them now, so nobody sees a difference.
 * With `ensure_new_records_exist` it fails where no key is in today's table.
 */
actions.set("cleanup_legacy_jwt_records", {
  check(args) {
    checkArguments(args);
    checkOptional("boolean", args.ensure_new_records_exist, "ensure_new_records_exist");
  },
  perform({ ensure_new_records_exist }) {
    const current = jsonTable("public:ccf.gov.jwt.public_signing_keys_metadata_v2");
    must(!ensure_new_records_exist || current.size() > 0, "No issuer has a key in the table that is read today");
    for (const name of ["public_signing_keys", "public_signing_keys_metadata", "public_signing_key_issuer"]) {
      textTable(`public:ccf.gov.jwt.${name}`).clear();
    }
  },
});

/** A JSON Web Key Set. Each key is a certificate, or the numbers of an RSA key, or the point of an elliptic-curve one. */
function checkJwks(jwks, name) {
  checkType("object", jwks, name);
  checkArray(jwks?.keys, `${name}.keys`);
  for (const [index, key] of jwks.keys.entries()) checkJwk(key, `${name}.keys[${index}]`);
}

function checkJwk(key, name) {
  const checkTexts = (...members) => {
    for (const member of members) checkType("string", key?.[member], `${name}.${member}`);
  };
  checkTexts("kid", "kty");
  if (key.x5c) {
    checkArray(key.x5c, `${name}.x5c`);
    must(key.x5c.length > 0, `${name}.x5c must not be empty`);
    for (const [index, base64] of key.x5c.entries()) {
      checkType("string", base64, `${name}.x5c[${index}]`);
      const pem = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----`;
      must(ccf.crypto.isValidX509CertBundle(pem), `${name}.x5c[${index}] must be an X.509 certificate in base64`);
    }
  } else if (key.n && key.e) checkTexts("n", "e");
  else if (key.x && key.y) checkTexts("x", "y", "crv");
  else {must(
      false,
      `${name} must have either x5c, or n and e for an RSA key, or x, y and crv for an elliptic-curve key`,
    );}
}
