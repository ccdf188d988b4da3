/**
 * Who is asking, as authentication found out (http-api.md §8).
 */

import type { GovernanceRequestHeader } from "../../shared/crypto/cose_headers.ts";

/** Who proved what, by one policy. `data` is user_data or member_data, null if none. */
export type PolicyCaller =
  | { readonly policy: "no_auth" }
  | { readonly policy: "any_cert"; readonly cert: string }
  | {
    readonly policy: "user_cert" | "member_cert";
    /** Hex SHA-256 of the certificate's DER. */
    readonly id: string;
    readonly data: unknown;
    /** PEM. */
    readonly cert: string;
  }
  | {
    readonly cose: { readonly content: Uint8Array };
    readonly policy: "user_cose_sign1";
    readonly id: string;
    readonly data: unknown;
    readonly cert: string;
  }
  | {
    readonly policy: "jwt";
    readonly jwt: { readonly keyIssuer: string; readonly header: unknown; readonly payload: unknown };
  };

/** Several policies that all succeeded: their names, sorted, and what each found under its name. */
export interface AllOfCaller {
  readonly policy: readonly string[];
  readonly [name: string]: PolicyCaller | readonly string[];
}

/** Another node of the service, for what apps never see. */
export interface NodeCaller {
  readonly policy: "node_cert";
  readonly id: string;
}

/** A member who signed the body of the request, for what apps never see. */
export interface MemberCoseCaller {
  readonly policy: "member_cose_sign1" | "active_member_cose_sign1";
  /** Member ID. */
  readonly id: string;
  readonly header: GovernanceRequestHeader;
  readonly payload: Uint8Array;
  /** r ‖ s */
  readonly signature: Uint8Array;
  /** The whole COSE_Sign1 message, as it was sent. */
  readonly envelope: Uint8Array;
}

/** The first two are the shapes that apps see as `request.caller` (js-apps.md §4). */
export type Caller = PolicyCaller | AllOfCaller | NodeCaller | MemberCoseCaller;
