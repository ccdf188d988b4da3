import { strict as assert } from "node:assert";

Deno.test("the script engine works in a Worker without permissions", async () => {
  const worker = new Worker(new URL("./permissionless_worker.ts", import.meta.url), {
    type: "module",
    deno: { permissions: "none" },
  });
  try {
    const told = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
    assert.deepEqual(told, {
      outcomes: [
        "200 1",
        "500 Exception thrown while executing.",
        "500 Exception thrown while executing. InternalError: out of memory\n    at f (/m.js:6)\n",
        "500 Operation took too long to complete. InternalError: interrupted\n    at f (/m.js:7)\n",
        "200 1",
      ],
      records: ["hello", "recurse", "fill", "loop", "again"],
    });
  } finally {
    worker.terminate();
  }
});
