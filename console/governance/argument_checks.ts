/**
 * What is wrong with the arguments of an action, as far as their shape tells: at once, before a node is asked.
 *
 * In: a form and arguments. Out: sentences, by field. The constitution's own `validate`, by a dry run, has the last word.
 * Format: governance.md §4.1
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { FormatError } from "../../shared/assert.ts";
import { toHex, toUtf8 } from "../../shared/bytes.ts";
import { parsePem } from "../../shared/crypto/pem.ts";
import { parseCertificateBundle } from "../../shared/crypto/x509.ts";
import type { ActionForm, Field } from "./action_forms.ts";

export interface ArgumentProblem {
  /** undefined: of the arguments as a whole. */
  readonly field: string | undefined;
  /** A sentence without a full stop. */
  readonly message: string;
}

/** @param args as in the JSON: undefined where the action has none */
export function argumentProblems(form: ActionForm, args: unknown): readonly ArgumentProblem[] {
  if (args === undefined || args === null) {
    return form.fields.some(({ isOptional }) => !isOptional)
      ? [{ field: undefined, message: "This action needs arguments" }]
      : [];
  }
  if (typeof args !== "object" || Array.isArray(args)) {
    return [{ field: undefined, message: "The arguments are no JSON object" }];
  }
  const given = args as Readonly<Record<string, unknown>>;
  const problems: ArgumentProblem[] = [];
  for (const field of form.fields) {
    const message = problemOf(field, given[field.name], Object.hasOwn(given, field.name));
    if (message !== undefined) problems.push({ field: field.name, message });
  }
  for (const name of Object.keys(given)) {
    if (form.fields.some((field) => field.name === name)) continue;
    problems.push({ field: undefined, message: `${name} is no argument of this action that this page knows` });
  }
  return [...problems, ...(problems.length === 0 ? across(form.name, given) : [])];
}

function problemOf(field: Field, value: unknown, isGiven: boolean): string | undefined {
  if (!isGiven) return field.isOptional ? undefined : "It is missing";
  switch (field.kind) {
    case "text":
      return asText(value) ?? (value === "" ? "It is empty" : undefined);
    case "time":
      return asText(value) ?? (isTime(value as string) ? undefined : "It is no time");
    case "source":
      return asText(value) ?? (value === "" && field.name !== "security_policy" ? "It is empty" : undefined);
    case "certificate":
      return asText(value) ?? certificateProblem(value as string);
    case "public key":
      return asText(value) ?? pemProblem(value as string, "PUBLIC KEY");
    case "id":
      return asText(value) ?? (/^[0-9a-fA-F]{64}$/.test(value as string) ? undefined : "It is not 64 hex digits");
    case "hex":
      return asText(value) ?? hexProblem(value as string, field.digits);
    case "integer":
      return integerProblem(value, field.min, field.max);
    case "boolean":
      return typeof value === "boolean" ? undefined : "It is neither true nor false";
    case "choice":
      return field.choices.includes(value as string) ? undefined : `It is none of ${field.choices.join(", ")}`;
    case "json":
      return field.isObject && typeof value !== "object" ? "It is no JSON object" : undefined;
    case "bundle":
      return bundleProblem(value);
  }
}

/** ISO 8601, or as certificates have it: UTCTime, GeneralizedTime. */
const isTime = (text: string) => /^\d{12}(\d\d)?Z$/.test(text) || !Number.isNaN(Date.parse(text));

const asText = (value: unknown) => typeof value === "string" ? undefined : "It is no text";

function certificateProblem(text: string): string | undefined {
  if (text.trim() === "") return "It is empty";
  try {
    return parseCertificateBundle(text).length === 0 ? "There is no certificate in it" : undefined;
  } catch (error) {
    if (error instanceof FormatError) return `It is no certificate in PEM: ${error.message}`;
    throw error;
  }
}

function pemProblem(text: string, label: string): string | undefined {
  try {
    return parsePem(text).some((block) => block.label === label) ? undefined : `There is no ${label} in it`;
  } catch (error) {
    if (error instanceof FormatError) return `It is no PEM: ${error.message}`;
    throw error;
  }
}

function hexProblem(text: string, digits: number): string | undefined {
  if (/^[0-9a-f]*$/.test(text) && text.length === digits) return undefined;
  return `It is not ${digits} hex digits in lower case, but ${text.length} characters`;
}

function integerProblem(value: unknown, min = -Infinity, max = Infinity): string | undefined {
  if (!Number.isInteger(value)) return "It is no whole number";
  if ((value as number) < min) return `It is below ${min}`;
  return (value as number) > max ? `It is above ${max}` : undefined;
}

function bundleProblem(value: unknown): string | undefined {
  const { modules, metadata } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  if (!Array.isArray(modules)) return "It has no list of modules";
  const names = new Set<unknown>();
  for (const module of modules as { name?: unknown; module?: unknown }[]) {
    if (typeof module?.name !== "string" || typeof module.module !== "string") {
      return "A module has no name or no source";
    }
    names.add(module.name);
  }
  const endpoints = (metadata as { endpoints?: unknown } | undefined)?.endpoints;
  if (typeof endpoints !== "object" || endpoints === null) return "Its metadata has no endpoints";
  for (const [path, verbs] of Object.entries(endpoints)) {
    for (const [verb, endpoint] of Object.entries(verbs as Record<string, { js_module?: unknown } | null> ?? {})) {
      if (!names.has(endpoint?.js_module)) return `${verb} ${path} names a module that is not in the bundle`;
    }
  }
  return undefined;
}

/** What only several arguments together tell. */
function across(name: string, args: Readonly<Record<string, unknown>>): readonly ArgumentProblem[] {
  const problem = (field: string, message: string) => [{ field, message }];
  if (name === "set_member" && args.recovery_role !== undefined && !args.encryption_pub_key) {
    return problem("recovery_role", "It needs an encryption key");
  }
  if ((name === "add_snp_host_data" || name === "add_tdx_host_data") && args.security_policy !== "") {
    const tail = name === "add_tdx_host_data" ? "0".repeat(32) : "";
    const digest = toHex(sha256(toUtf8(args.security_policy as string))) + tail;
    if ((args.host_data as string).toLowerCase() !== digest) {
      return problem("host_data", `It is not the digest of the security policy, ${digest}`);
    }
  }
  if (name === "set_jwt_issuer" && args.auto_refresh === true) {
    if (!args.ca_cert_bundle_name) return problem("ca_cert_bundle_name", "Nodes need it to fetch keys");
    if (!/^https:[^?#]*\??#?$/.test(args.issuer as string)) {
      return problem("issuer", "To fetch keys it must be a URL that starts with https:, without query and fragment");
    }
  }
  return [];
}
