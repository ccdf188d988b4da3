import { strict as assert } from "node:assert";
import { concat } from "../shared/bytes.ts";
import { SNAPSHOT_RANGE_BYTES } from "../shared/limits.ts";
import { teamData, teamTest } from "../tests/team_data.ts";
import { makeTlsService } from "../tests/tls_service.ts";
import type { HttpRequest, HttpResponse } from "../enclave/messages.ts";
import { listenTls, RecordingSink, textResponse } from "./listener_fixtures.ts";
import { fetchSnapshot, type SnapshotFetchOptions } from "./snapshot_fetch.ts";
import { SnapshotFiles } from "./snapshot_files.ts";
import { directoryContent, TestFileSystem, withTempDirectory } from "./test_file_system.ts";

const NAME = "snapshot_12_14.committed";
const service = makeTlsService("Service");
/** Three ranges, the last a short one. */
const snapshot: Uint8Array = new Uint8Array(2 * SNAPSHOT_RANGE_BYTES + 5).map((_, i) => i % 251);

/** Answers a request, which is the n-th; `port` is the server's own. */
type Answer = (request: HttpRequest, n: number, port: number) => HttpResponse;

const rangeHeader = ({ headers }: HttpRequest) => headers.find(([name]) => name === "range")![1];

/** As a node does: the end of a range exclusive, or inclusive as newer ones do it. */
function range(request: HttpRequest, endsWithin = 0, bytes = snapshot): HttpResponse {
  const [from, end] = rangeHeader(request).slice("bytes=".length).split("-").map(Number) as [number, number];
  const to = Math.min(end + endsWithin, bytes.length);
  return {
    status: 206,
    headers: [["content-range", `bytes ${from}-${to - endsWithin}/${bytes.length}`]],
    body: bytes.slice(from, to),
  };
}

const toSnapshot = (port: number): HttpResponse => ({
  status: 308,
  headers: [["location", `https://127.0.0.1:${port}/node/snapshot/${NAME}`]],
  body: new Uint8Array(),
});

const node: Answer = (request, _, port) =>
  request.target.startsWith(`/node/snapshot/${NAME}`) ? range(request) : toSnapshot(port);

interface Fetched {
  readonly asked: readonly string[];
  readonly log: readonly string[];
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly outcome: string;
}

async function fetchFrom(answer: Answer, more: Partial<SnapshotFetchOptions> = {}): Promise<Fetched> {
  const asked: string[] = [];
  const log: string[] = [];
  const sink = new RecordingSink(({ request }) => {
    asked.push(`${request.target} ${rangeHeader(request)}`);
    return { ...answer(request, asked.length, listener.port), close: true };
  });
  const listener = await listenTls(sink, {
    identity: { certificateChainPem: service.certificate, privateKeyPem: service.key },
  });
  try {
    let fetched: Fetched | undefined;
    await withTempDirectory(async (directory) => {
      const snapshots = more.snapshots ?? new SnapshotFiles(directory);
      const result = await fetchSnapshot({
        targetAddress: `127.0.0.1:${listener.port}`,
        servicePem: service.service,
        maxAttempts: 1,
        retryIntervalMs: 1,
        maxBytes: snapshot.length,
        log: (level, message) => log.push(`${level} ${message.replaceAll(String(listener.port), "PORT")}`),
        ...more,
        snapshots,
      });
      const outcome = result.file === null ? result.reason.replaceAll(String(listener.port), "PORT") : result.file.name;
      fetched = { asked, log, files: directoryContent(directory), outcome };
    });
    return fetched!;
  } finally {
    await listener.stop();
  }
}

Deno.test("fetchSnapshot() follows the redirection and writes the file, range by range", async () => {
  const { asked, log, files, outcome } = await fetchFrom(node);
  assert.equal(outcome, NAME);
  assert.deepEqual(files, new Map([[NAME, snapshot]]));
  assert.deepEqual(asked, [
    "/node/snapshot bytes=0-4194304",
    `/node/snapshot/${NAME} bytes=0-4194304`,
    `/node/snapshot/${NAME} bytes=4194304-8388608`,
    `/node/snapshot/${NAME} bytes=8388608-12582912`,
  ]);
  assert.deepEqual(log.filter((line) => !line.startsWith("debug")), [
    "info Fetching a snapshot from 127.0.0.1:PORT (attempt 1 of 1)",
    `info Fetching ${NAME}, 8388613 bytes, from 127.0.0.1:PORT`,
    `info Fetched 4194304 of 8388613 bytes of ${NAME}`,
    `info Fetched 8388608 of 8388613 bytes of ${NAME}`,
    `info Fetched 8388613 of 8388613 bytes of ${NAME}`,
  ]);
});

interface Recorded {
  readonly request: { readonly line: string; readonly headers: [string, string][] };
  readonly response: { readonly status: number; readonly headers: [string, string][] };
}

teamTest("fetchSnapshot() gets the snapshot of a real CCF node from the answers that it gave", async () => {
  const recordings = Deno.readTextFileSync(teamData("ccf/transcripts/one_node_get.jsonl")).trim().split("\n")
    .map((line) => JSON.parse(line) as Recorded);
  const file = Deno.readFileSync(teamData("ccf/transcripts/snapshots/snapshot_13_14.committed"));
  const whole = recordings.filter(({ response }) =>
    response.headers.some(([, value]) => value === `bytes 0-${file.length}/${file.length}`)
  );
  const redirect = recordings.find(({ request }) => request.line === "GET /node/snapshot HTTP/1.1")!.response;
  assert.ok(whole.length > 0);
  const { files, outcome, asked } = await fetchFrom((request, _, port) => {
    const isFile = request.target === "/node/snapshot/snapshot_13_14.committed";
    const { status, headers } = isFile ? whole[0]!.response : redirect;
    const ours = headers.map(([name, value]) => [name, value.replace(":22400", `:${port}`)] as const);
    return {
      status,
      headers: ours.filter(([name]) => name !== "content-length"),
      body: isFile ? file : new Uint8Array(),
    };
  });
  assert.equal(outcome, "snapshot_13_14.committed");
  assert.deepEqual(files, new Map([["snapshot_13_14.committed", file]]));
  assert.equal(asked.length, 2);
});

Deno.test("fetchSnapshot() takes ranges with an inclusive end too, as newer nodes send them", async () => {
  const { files, asked } = await fetchFrom((request, n, port) => n === 1 ? toSnapshot(port) : range(request, 1));
  assert.deepEqual(files, new Map([[NAME, snapshot]]));
  assert.equal(asked[2], `/node/snapshot/${NAME} bytes=4194305-8388609`);
});

Deno.test("fetchSnapshot() takes the name from the answer where there was no redirection, and asks for newer ones", async () => {
  const small = new Uint8Array([1, 2, 3]);
  const { files, asked } = await fetchFrom(
    (request) => ({
      ...range(request, 0, small),
      headers: [...range(request, 0, small).headers, ["x-ms-ccf-snapshot-name", NAME]],
    }),
    { since: 7 },
  );
  assert.deepEqual(files, new Map([[NAME, small]]));
  assert.deepEqual(asked, ["/node/snapshot?since=7 bytes=0-4194304"]);
});

Deno.test("fetchSnapshot() is content where there is none, and tries again after other failures", async () => {
  const none = await fetchFrom(() => textResponse("none", { status: 404 }), { maxAttempts: 3 });
  assert.equal(none.outcome, "127.0.0.1:PORT has no snapshot to start from");
  assert.equal(none.asked.length, 1);

  // The first attempt fails in its second range.
  const late = await fetchFrom(
    (request, n, port) => n === 3 ? textResponse("busy", { status: 503 }) : node(request, n, port),
    {
      maxAttempts: 2,
    },
  );
  assert.equal(late.outcome, NAME);
  assert.deepEqual(late.files, new Map([[NAME, snapshot]]));
  assert.equal(late.asked.length, 3 + 4);
  assert.deepEqual(late.log.filter((line) => line.startsWith("fail")), [
    `fail No snapshot was fetched: Cannot fetch the snapshot at https://127.0.0.1:PORT/node/snapshot/${NAME}: ` +
    'it answers 503 instead of 206: "busy"',
  ]);

  const never = await fetchFrom(() => textResponse("", { status: 500 }), { maxAttempts: 3 });
  assert.match(never.outcome, /answers 500 instead of 308/);
  assert.equal(never.asked.length, 3);
});

Deno.test("fetchSnapshot() refuses answers that do not fit, and leaves nothing behind", async () => {
  const found =
    (change: (response: HttpResponse, request: HttpRequest) => HttpResponse): Answer => (request, n, port) =>
      n === 1 ? toSnapshot(port) : change(range(request), request);
  const withRange = (text: string) => found((response) => ({ ...response, headers: [["content-range", text]] }));
  const to = (location: string): Answer => () => ({
    status: 308,
    headers: [["location", location]],
    body: new Uint8Array(),
  });
  const bad: [Answer, RegExp, Partial<SnapshotFetchOptions>?][] = [
    [node, /has 8388613 bytes, of 8388612 at most$/, { maxBytes: snapshot.length - 1 }],
    [found((response) => ({ ...response, headers: [] })), /answers with the range ""$/],
    [withRange("bytes 0-4194304/*"), /answers with the range "bytes 0-4194304\/\*"$/],
    [withRange("bytes 1-4194305/8388613"), /asked from 0 on$/],
    [withRange("bytes 0-4194302/8388613"), /answers with 4194304 bytes for the range/],
    [withRange("bytes 0-4194306/8388613"), /answers with 4194304 bytes for the range/],
    [withRange("bytes 0-4194304/4194303"), /answers with 4194304 bytes for the range/],
    [
      found((response) => ({ ...response, headers: [["content-range", "bytes 0-0/0"]], body: new Uint8Array() })),
      /answers with 0 bytes for the range/,
    ],
    [found((response) => ({ ...response, body: concat(response.body, new Uint8Array(2)) })), /of 4194305 at most$/],
    [
      found((response, request) =>
        rangeHeader(request).startsWith("bytes=0") ? response : range(request, 0, concat(snapshot, snapshot))
      ),
      /changes while it is fetched$/,
    ],
    [(request) => range(request), /names its snapshot "snapshot", which is no name of a committed one$/],
    [to("http://127.0.0.1/node/snapshot/x"), /redirects to "http:\/\/127/],
    [to("https://"), /redirects to "https:\/\/"$/],
    [() => textResponse("", { status: 308 }), /redirects to null$/],
    [
      (request, n) => to(`https://127.0.0.1:1/node/snapshot/${"../".repeat(3)}x`)(request, n, 0),
      /^Cannot ask 127\.0\.0\.1:1: nothing listens there/,
    ],
    [(_, n, port) => to(`https://127.0.0.1:${port}/${n}`)(_, n, port), /\/21: it is not there after 20 redirections$/],
  ];
  for (const [answer, reason, more] of bad) {
    const { outcome, files } = await fetchFrom(answer, more);
    assert.match(outcome, reason);
    assert.deepEqual(files, new Map());
  }
});

Deno.test("fetchSnapshot() ends when it is told to", async () => {
  const ending = new AbortController();
  const { outcome, asked, files } = await fetchFrom((request, n, port) => {
    if (n === 3) ending.abort(new Error("the node is stopped"));
    return node(request, n, port);
  }, { signal: ending.signal, maxAttempts: 5 });
  assert.equal(outcome, "Fetching a snapshot was ended: the node is stopped");
  assert.equal(asked.length, 3);
  assert.deepEqual(files, new Map());
});

Deno.test("fetchSnapshot() throws where the snapshot cannot be written", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    // Its second range.
    fileSystem.failCall(2, "half stored");
    await assert.rejects(
      fetchFrom(node, { snapshots: new SnapshotFiles(directory, undefined, fileSystem), maxAttempts: 3 }),
      { name: "StorageError", message: /the disk is full/ },
    );
    assert.deepEqual(fileSystem.calls, ["create", "write", "write", "remove"]);
    assert.equal(fileSystem.openFiles, 0);
  });
});
