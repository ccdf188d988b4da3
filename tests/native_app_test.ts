import { strict as assert } from "node:assert";
import { fromUtf8 } from "../shared/bytes.ts";
import { type InlineService, startInlineService } from "./inline_service.ts";

/** Every kind of call of the logging app, good and bad, in an order in which they matter. */
const CALLS: readonly (readonly [method: string, path: string, body?: string])[] = [
  ["GET", "/app/log/private?id=42"],
  ["POST", "/app/log/private", '{"id":42,"msg":"hello"}'],
  ["GET", "/app/log/private?id=42"],
  ["GET", "/app/log/private"],
  ["GET", "/app/log/private?id="],
  ["POST", "/app/log/private", '{"id":"é","msg":"ü"}'],
  ["GET", "/app/log/private?id=%C3%A9"],
  ["POST", "/app/log/private", "{"],
  ["POST", "/app/log/private", "[]"],
  ["POST", "/app/log/private", '{"id":1.5,"msg":"x"}'],
  ["POST", "/app/log/private", '{"id":"a&b","msg":"x"}'],
  ["POST", "/app/log/private", '{"id":1,"msg":2}'],
  ["POST", "/app/log/private", '{"id":1,"msg":""}'],
  ["GET", "/app/log/private/count"],
  ["POST", "/app/log/private/anonymous", '{"id":7,"msg":"who"}'],
  ["GET", "/app/log/private?id=7"],
  ["DELETE", "/app/log/private?id=42"],
  ["DELETE", "/app/log/private?id=42"],
  ["DELETE", "/app/log/private"],
  ["DELETE", "/app/log/private/all"],
  ["GET", "/app/log/private/count"],
  ["POST", "/app/log/public", '{"id":1,"msg":"all"}'],
  ["GET", "/app/log/public?id=1"],
  ["GET", "/app/log/public/count"],
  ["PUT", "/app/log/public"],
  ["GET", "/app/log/nothing"],
];

Deno.test("the native logging app and the JavaScript bundle give the same answers and write the same tables", async () => {
  const workspaces = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  try {
    const native = await startInlineService(workspaces[0]!, "native");
    const js = await startInlineService(workspaces[1]!, "js");
    const answer = (
      { node, userCertificate }: InlineService,
      as: boolean,
      [method, target, body]: typeof CALLS[number],
    ) => {
      const response = node.request({ method, target, body, ...(as && { certificate: userCertificate }) });
      return [response.status, response.headers, fromUtf8(response.body)];
    };
    for (const call of CALLS) {
      for (const as of [true, false]) {
        assert.deepEqual(answer(native, as, call), answer(js, as, call), `${call.join(" ")} ${as ? "as user0" : ""}`);
      }
    }
    assert.equal(native.node.entries.length, js.node.entries.length);
  } finally {
    for (const workspace of workspaces) await Deno.remove(workspace, { recursive: true });
  }
});
