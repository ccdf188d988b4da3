import { strict as assert } from "node:assert";
import { choosePort, requireFreePorts } from "./free_ports.ts";

Deno.test("requireFreePorts() accepts free ports, and leaves them free", () => {
  const ports = [choosePort("127.0.0.1"), choosePort("127.0.0.1")];
  requireFreePorts("127.0.0.1", [...ports, 0, 0]);
  requireFreePorts("127.0.0.1", ports);
});

Deno.test("requireFreePorts() names every port that is in use, with a remedy", () => {
  using first = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using second = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [a, b] = [first, second].map((listener) => (listener.addr as Deno.NetAddr).port) as [number, number];
  const free = choosePort("127.0.0.1");
  const line = (port: number) =>
    `Cannot listen on 127.0.0.1:${port}: the port is in use; stop the process that has it, or choose another with --port`;
  assert.throws(() => requireFreePorts("127.0.0.1", [a, free, b]), {
    name: "UsageError",
    message: `${line(a)}\n${line(b)}`,
  });
  // Two interfaces on one port would be in each other's way.
  assert.throws(() => requireFreePorts("127.0.0.1", [free, free]), { name: "UsageError", message: line(free) });
  requireFreePorts("127.0.0.1", [free]);
});

Deno.test("requireFreePorts() refuses an address that is not this machine's, once", () => {
  assert.throws(() => requireFreePorts("192.0.2.1", [0, 0, choosePort("127.0.0.1")]), {
    name: "UsageError",
    message: "Cannot listen on 192.0.2.1: this machine has no such address; choose another with --host",
  });
});
