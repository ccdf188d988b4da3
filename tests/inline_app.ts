/**
 * Services with an app of a few lines, for tests of what stands between a request and its handler.
 *
 * In: routes, each with the body of a JavaScript function. Out: a running service; certificates of anybody.
 */

import { fromUtf8Lenient } from "../shared/bytes.ts";
import { generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { memberCertificate, randomSerial, signCertificate, type Validity } from "../shared/crypto/x509_build.ts";
import { nameFromConfiguration } from "../shared/crypto/x509_name.ts";
import type { AppBundle, HttpResponse } from "../enclave/messages.ts";
import { loadNativePowers } from "../enclave/native_powers.ts";
import type { EnclavePowers } from "../enclave/powers.ts";
import { InlineNode } from "./inline_node.ts";
import { type InlineService, type InlineServiceOptions, startInlineService } from "./inline_service.ts";

export interface AppRoute {
  /** What the function does with `request`. */
  readonly js?: string;
  readonly mode?: "readwrite" | "readonly" | "historical";
  readonly policies?: readonly (string | { readonly all_of: readonly string[] })[];
  readonly openapi?: Readonly<Record<string, unknown>>;
  readonly hidden?: boolean;
}

/** A bundle with one function a route; a route is verb and path, `GET /x/{y}`. */
export function appBundle(routes: Readonly<Record<string, AppRoute>>): AppBundle {
  const endpoints: Record<string, Record<string, unknown>> = {};
  const functions: string[] = [];
  Object.entries(routes).forEach(([route, { js = "return {}", mode, policies, openapi, hidden }], i) => {
    const [verb, path] = route.split(" ");
    functions.push(`export function f${i}(request) { ${js} }`);
    (endpoints[path!] ??= {})[verb!] = {
      js_module: "app.js",
      js_function: `f${i}`,
      forwarding_required: "sometimes",
      mode: mode ?? "readwrite",
      authn_policies: policies ?? [],
      ...(openapi !== undefined && { openapi }),
      ...(hidden !== undefined && { openapi_hidden: hidden }),
    };
  });
  return { metadata: { endpoints }, modules: [{ name: "app.js", module: functions.join("\n") }] };
}

/** What is common to the services of one test file: keys take longer to make than all the rest. */
interface Common {
  readonly service: InlineService;
  readonly powers: EnclavePowers;
}

let common: Promise<Common> | undefined;

async function makeCommon(): Promise<Common> {
  const workspace = await Deno.makeTempDir();
  try {
    const native = await loadNativePowers();
    const keyPair = native.rsaKeyPair();
    const powers = { ...native, rsaKeyPair: () => keyPair };
    return { service: await startInlineService(workspace, "native", { powers, closed: true }), powers };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

/** Registers a test over a service of its own, with the native logging app or an app of these routes. */
export function serviceTest(
  name: string,
  app: "native" | Readonly<Record<string, AppRoute>>,
  test: (service: InlineService) => void,
  { change = {}, closed = false }: Pick<InlineServiceOptions, "change" | "closed"> = {},
): void {
  Deno.test(name, async () => {
    const { service, powers } = await (common ??= makeCommon());
    const { nativeApp: _, ...config } = { ...service.config, ...change };
    const { members, users } = service.sandbox.opening;
    const opening = { members, users, ...(app !== "native" && { app: appBundle(app) }) };
    const node = InlineNode.start(
      powers,
      app === "native" ? { ...config, nativeApp: "logging" } : config,
      service.node.nowMs,
      closed ? undefined : opening,
    );
    test({ ...service, node, config });
  });
}

/** DER of a certificate that nobody has registered. */
export function strangerCertificate(random: (length: number) => Uint8Array, validity: Validity): Uint8Array {
  const key = generateEcPrivateKey("P-256", random);
  const subject = nameFromConfiguration("CN=stranger");
  return signCertificate(
    memberCertificate({ key: key.publicKey, subject, validity, serial: randomSerial(random) }),
    key,
  );
}

export function bodyText({ body }: HttpResponse): string {
  return fromUtf8Lenient(body);
}

export function headerOf({ headers }: HttpResponse, name: string): string | undefined {
  return headers.find((header) => header[0] === name)?.[1];
}

/** Code and message of an OData error. */
export function odataError(response: HttpResponse): { readonly code: string; readonly message: string } {
  return JSON.parse(bodyText(response)).error;
}
