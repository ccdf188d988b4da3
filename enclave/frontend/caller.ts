/**
 * Who is asking, as authentication found out (http-api.md §8).
 */

/** The shapes that apps see as `request.caller` (js-apps.md §4). `data` is user_data or member_data, null if none. */
export type Caller =
  | { readonly policy: "no_auth" }
  | { readonly policy: "any_cert"; readonly cert: string }
  | {
    readonly policy: "user_cert" | "member_cert";
    /** Hex SHA-256 of the certificate's DER. */
    readonly id: string;
    readonly data: unknown;
    /** PEM. */
    readonly cert: string;
  };
