/**
 * The host: sockets, files and timers around the enclave. It moves bytes, and is never asked a question of trust.
 *
 * In: a configuration with its files. Out: a node that runs until it is stopped.
 * Outputs of the enclave are performed in order, in one switch; what each means stands in `enclave/messages.ts`.
 */

import { assert, unreachable } from "../shared/assert.ts";
import {
  MAX_ENCLAVE_STOP_MS,
  MAX_OUTBOUND_ANSWER_BYTES,
  MAX_OUTBOUND_REQUEST_MS,
  METRICS_INTERVAL_MS,
} from "../shared/limits.ts";
import type { EnclaveOutput, HttpRequest, HttpResponse, LogLevel } from "../enclave/messages.ts";
import type { ConfigFiles } from "./config_files.ts";
import { CONSOLE_FOLDER, consoleDocument, ConsoleFiles } from "./console_files.ts";
import { Doors } from "./doors.ts";
import { EnclaveWorker } from "./enclave_worker.ts";
import { type Exchange, nextSessionId, RequestBatcher, type RequestSink, type Session } from "./listener.ts";
import type { NodeLog } from "./log.ts";
import type { NodeConfig } from "./node_config.ts";
import type { NodePlatform } from "./node_platform.ts";
import { type JoinCommand, NodeStorage } from "./node_storage.ts";
import { request } from "./outbound_http.ts";
import { removePidFile, writeAddresses, writeCertificates, writePidFile } from "./output_files.ts";
import { Peers } from "./peers.ts";
import { SnapshotDrafts } from "./snapshot_drafts.ts";
import { fetchSnapshot } from "./snapshot_fetch.ts";
import { joinConfig, requireAvailable, startConfig, startNotices } from "./start_config.ts";
import { StartFailure } from "./start_failure.ts";
import type { SnapshotFile, SnapshotFiles } from "./snapshot_files.ts";
import type { TlsIdentity } from "./tls_server.ts";
import { formatAddress } from "./units.ts";
import { welcomePage } from "./welcome_page.ts";

export interface HostOptions {
  readonly config: NodeConfig;
  readonly files: ConfigFiles;
  readonly log: NodeLog;
  readonly logLevel: LogLevel;
  readonly platform: NodePlatform;
  /** Told of the host while it still starts, for whoever may want to stop it before it has. */
  readonly onCreated?: (host: Host) => void;
}

/** Where the log says that lines of the enclave come from: the first thread, as in CCF. */
const ENCLAVE_ORIGIN = { threadId: 0, file: "enclave/enclave.ts", line: 0 };

const STOPPED = "The node was stopped";

export class Host {
  readonly #options: HostOptions;
  readonly #exchanges = new Map<number, Exchange>();
  #storage: NodeStorage | undefined;
  #doors: Doors | undefined;
  #peers: Peers | undefined;
  #drafts: SnapshotDrafts | undefined;
  #enclave: EnclaveWorker | undefined;
  #batcher: RequestBatcher | undefined;
  #nextExchange = 1;
  #peakHeapBytes = 0;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #nodeId = "";
  #servicePem = "";
  /** What this node shows to others that it asks something. */
  #ownIdentity: TlsIdentity | undefined;
  /** Questions of the host's own that are not answered yet. */
  readonly #waiting = new Set<PromiseWithResolvers<HttpResponse>>();
  readonly #enclaveStopped = Promise.withResolvers<void>();
  readonly #started = Promise.withResolvers<void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<string | undefined>();
  #identities: Promise<void> = Promise.resolve();
  #isStarting = true;
  /** Ends the fetching of a snapshot, and the start with it. */
  readonly #fetching = new AbortController();
  #stopReason: string | undefined;
  #stopping = false;

  private constructor(options: HostOptions) {
    this.#options = options;
    // Whoever waits hears of a failure; where nobody does it is told by `stopped`.
    this.#started.promise.catch(() => {});
    this.#opened.promise.catch(() => {});
  }

  /**
   * Starts a new service, or begins to join one, and waits until the node answers on an interface: to join may take
   * until members have agreed.
   *
   * @throws an Error with a sentence for people: a port in use, a directory that cannot be written, …
   */
  static async start(options: HostOptions): Promise<Host> {
    const { config, log } = options;
    requireAvailable(config);
    // Who finds another node's mark must not take it away with his own things.
    writePidFile(config.outputFiles.pidFile);
    const host = new Host(options);
    options.onCreated?.(host);
    try {
      for (const { level, message } of [...startNotices(config), ...host.#options.platform.notices]) {
        log.write(level, "host", message);
      }
      host.#storage = await NodeStorage.open({
        config,
        log,
        fetchSnapshot: (command, snapshots) => host.#fetchSnapshot(command, snapshots),
        // A service whose ledger cannot be written must not go on saying that transactions are committed.
        onFailure: (message) => {
          log.write("fatal", "host", message);
          void host.stop(message);
        },
      });
      await host.#run(host.#storage);
      host.#isStarting = false;
      return host;
    } catch (error) {
      host.#isStarting = false;
      await host.stop(host.#stopReason);
      throw error;
    }
  }

  /** "name" → URL of every interface. */
  get urls(): ReadonlyMap<string, string> {
    return this.#doors?.urls ?? new Map();
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  /** Resolves once the service is open, and what made it so is signed. Where this node has started the service. */
  get serviceOpened(): Promise<void> {
    return this.#opened.promise;
  }

  /** PEM. */
  get servicePem(): string {
    return this.#servicePem;
  }

  /** Asks the node as a client without a certificate would, without a connection. */
  ask(request: HttpRequest): Promise<HttpResponse> {
    const answer = Promise.withResolvers<HttpResponse>();
    this.#waiting.add(answer);
    if (this.#stopping) answer.reject(new StartFailure(STOPPED));
    else this.#askEnclave(request, answer.resolve);
    return answer.promise.finally(() => this.#waiting.delete(answer));
  }

  #askEnclave(request: HttpRequest, respond: (response: HttpResponse) => void): void {
    const [interfaceName = ""] = this.urls.keys();
    const session = { id: nextSessionId(), interfaceName, callerCertificate: null };
    const batcher = this.#batcher!;
    batcher.opened(session);
    batcher.add({ session, request, respond });
    batcher.closed(session);
  }

  /** Resolves when the node has stopped: with undefined on request, or with the reason why it could not go on. */
  get stopped(): Promise<string | undefined> {
    return this.#stopped.promise;
  }

  /** The first SIGTERM under `ignore_first_sigterm`: the node says that it is about to stop, and goes on. */
  giveStopNotice(): void {
    this.#enclave?.send({ kind: "stopNotice" });
  }

  /** Answers what is under way, writes what is left, and lets go of everything. */
  async stop(reason?: string): Promise<void> {
    if (this.#isStarting) return this.#stopStart(reason);
    if (this.#stopping) return;
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#doors?.stop();
    await this.#stopEnclave(reason);
    await this.#peers?.stop();
    await this.#drafts?.close();
    const unwritten = await this.#storage?.close();
    reason ??= unwritten;
    removePidFile(this.#options.config.outputFiles.pidFile);
    const failure = new StartFailure(reason ?? STOPPED);
    this.#started.reject(failure);
    this.#opened.reject(failure);
    for (const { reject } of this.#waiting) reject(failure);
    this.#stopped.resolve(reason);
  }

  /** What is half started is stopped by `start`, which hears of it here or at its next step. */
  #stopStart(reason: string | undefined): void {
    this.#stopReason ??= reason;
    this.#fetching.abort(new Error(STOPPED));
    this.#started.reject(new StartFailure(reason ?? STOPPED));
  }

  #requireWanted(): void {
    if (this.#fetching.signal.aborted) throw new StartFailure(this.#stopReason ?? STOPPED);
  }

  /** Lets the enclave sign what is left, unless it is the one that failed. */
  async #stopEnclave(reason: string | undefined): Promise<void> {
    if (this.#enclave === undefined) return;
    if (reason === undefined) {
      this.#enclave.send({ kind: "stop" });
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, MAX_ENCLAVE_STOP_MS);
      await Promise.race([this.#enclaveStopped.promise, late.promise]);
      clearTimeout(timer);
    }
    this.#enclave.terminate();
  }

  async #run(storage: NodeStorage): Promise<void> {
    const { config, files, log, logLevel } = this.#options;
    this.#requireWanted();
    const enclave = this.#enclave = await EnclaveWorker.start(
      (outputs) => this.#perform(outputs, storage),
      (message) => void this.stop(`The enclave failed: ${message}`),
    );
    const { snapshots } = storage;
    this.#drafts = new SnapshotDrafts(
      snapshots,
      (written) => enclave.send(written),
      (why) => log.write("fail", "host", why),
    );
    this.#batcher = new RequestBatcher(this.#sink(enclave));
    const consoleFiles = openConsole(config);
    const doors = this.#doors = await Doors.open({
      interfaces: config.network.rpcInterfaces,
      batcher: this.#batcher,
      idleTimeoutMs: config.idleConnectionTimeoutMs ?? null,
      page: () =>
        welcomePage({
          nodeId: this.#nodeId,
          platform: this.#options.platform.told.kind,
          urls: this.urls,
          hasConsole: consoleFiles !== null,
        }),
      document: (path, headers) => consoleDocument(consoleFiles, path, headers),
      onConnectionError: (message) => log.write("debug", "host", message),
    });
    const { host: hostname, port } = config.network.nodeToNode.bindAddress;
    const peers = this.#peers = await Peers.listen({
      hostname,
      port,
      onMessage: (from, messageType, payload, connection) => {
        enclave.send({ kind: "nodeInbound", connection, from, messageType, payload });
        return enclave.caughtUp();
      },
      readEntries: (from, to) => storage.entriesFor(from, to),
      log: (level, message) => log.write(level, "host", message),
      connectMs: config.clientConnectionTimeoutMs,
    });
    writeAddresses(config.outputFiles, doors.ports, config, peers.port);
    this.#requireWanted();
    const told = [config, files, doors.describe(), this.#options.platform.told, logLevel, peers.port] as const;
    enclave.send(
      config.command.type === "Join"
        ? { kind: "join", config: joinConfig(...told), snapshot: storage.start }
        : { kind: "start", config: startConfig(...told) },
    );
    this.#timers.push(
      setInterval(() => enclave.send({ kind: "tick" }), config.tickIntervalMs),
      setInterval(() => this.#reportMetrics(enclave, doors), METRICS_INTERVAL_MS),
    );
    await this.#started.promise;
  }

  async #fetchSnapshot(command: JoinCommand, snapshots: SnapshotFiles): Promise<SnapshotFile | undefined> {
    const { files, log } = this.#options;
    assert(files.command.type === "Join", "The files read are those of the command");
    const result = await fetchSnapshot({
      targetAddress: formatAddress(command.targetRpcAddress),
      servicePem: files.command.serviceCertificatePem,
      snapshots,
      maxAttempts: command.fetchSnapshotMaxAttempts,
      retryIntervalMs: command.fetchSnapshotRetryIntervalMs,
      maxBytes: command.fetchSnapshotMaxBytes,
      log: (level, message) => log.write(level, "host", message),
      signal: this.#fetching.signal,
    });
    if (result.file !== null) return result.file;
    log.write("info", "host", `No snapshot of the service: ${result.reason}`);
    return undefined;
  }

  #sink(enclave: EnclaveWorker): RequestSink {
    return {
      sessionOpened: ({ id, interfaceName, callerCertificate }: Session) =>
        enclave.send({ kind: "sessionOpened", session: id, interfaceName, callerCertificate }),
      requests: (batch) => {
        for (const exchange of batch) {
          const id = this.#nextExchange++;
          this.#exchanges.set(id, exchange);
          enclave.send({ kind: "request", session: exchange.session.id, id, request: exchange.request });
        }
      },
      sessionClosed: ({ id }) => enclave.send({ kind: "sessionClosed", session: id }),
    };
  }

  #perform(outputs: readonly EnclaveOutput[], storage: NodeStorage): void {
    try {
      for (const output of outputs) this.#performOne(output, storage);
    } catch (error) {
      void this.stop(messageOf(error));
    }
  }

  #performOne(output: EnclaveOutput, storage: NodeStorage): void {
    switch (output.kind) {
      case "ledgerAppend":
        return storage.append(output.seqno, output.entry, output.committable);
      case "ledgerCommit":
        return storage.commit(output.seqno);
      case "ledgerTruncate":
        return storage.truncate(output.seqno);
      case "ledgerRead":
        return void this.#readLedger(output.from, output.to, storage);
      case "nodeOutbound":
        // Also what another node is told, that this one has an entry, rests on the disk.
        return storage.whenDurable(() =>
          this.#peers?.send(output.to, output.messageType, output.payload, output.entries)
        );
      case "peerAddress":
        return this.#peers?.setAddress(output.nodeId, output.address);
      case "peerConnection":
        return this.#peers?.heardOn(output.connection, output.nodeId, output.isProved);
      case "httpRequest":
        return void this.#askNode(output);
      case "quoteRequest":
        return void this.#attest(output.reportData);
      case "response":
        return this.#respond(output.id, output.response, storage);
      case "tlsIdentity":
        if (output.authority === "Node") this.#ownIdentity = output;
        this.#identities = this.#identities.then(() => this.#setIdentity(output.authority, output));
        return;
      case "certificates":
        if (this.#nodeId === "") this.#options.log.write("info", "host", `This is node ${output.nodeId}`);
        this.#nodeId = output.nodeId;
        this.#servicePem = output.servicePem;
        this.#peers!.ownId = output.nodeId;
        return writeCertificates(this.#options.config, output);
      case "serviceOpened":
        return this.#opened.resolve();
      case "snapshotBegin":
        return this.#drafts?.begin(output.seqno);
      case "snapshotPart":
        return this.#drafts?.append(output.seqno, output.bytes);
      case "snapshotCommit":
        return this.#drafts?.commit(output.seqno, output.name, output.receipt);
      case "snapshotDiscard":
        return this.#drafts?.discard(output.seqno);
      case "log":
        return this.#options.log.write(output.level, output.tag, output.message, ENCLAVE_ORIGIN);
      case "stopped":
        return this.#enclaveStopped.resolve();
      case "fatal":
        this.#options.log.write("fatal", "enclave", output.message);
        return void this.stop(output.message);
      default:
        unreachable(output);
    }
  }

  /** Answers a client, but not before what it is told is as lasting as the configuration asks for. */
  #respond(id: number, response: HttpResponse, storage: NodeStorage): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    this.#exchanges.delete(id);
    if (response.fromHost !== undefined) {
      void storage.bodies.complete(response).then((whole) => exchange.respond(whole));
    } else storage.whenDurable(() => exchange.respond(response));
  }

  async #readLedger(from: number, to: number, storage: NodeStorage): Promise<void> {
    const range = await storage.read(from, to);
    this.#enclave?.send({ kind: "ledgerEntries", from, to: range?.to ?? to, entries: range?.bytes ?? null });
  }

  async #askNode(output: EnclaveOutput & { readonly kind: "httpRequest" }): Promise<void> {
    const { id, address, servicePem } = output;
    try {
      if (this.#ownIdentity === undefined) throw new Error("this node has no certificate to show yet");
      const { certificateChainPem, privateKeyPem } = this.#ownIdentity;
      const response = await request({
        address,
        servicePem,
        clientCertificatePem: certificateChainPem,
        clientKeyPem: privateKeyPem,
        request: output.request,
        timeoutMs: MAX_OUTBOUND_REQUEST_MS,
        maxBodyBytes: MAX_OUTBOUND_ANSWER_BYTES,
      });
      this.#enclave?.send({ kind: "httpResult", id, response });
    } catch (error) {
      this.#enclave?.send({ kind: "httpResult", id, response: null, reason: messageOf(error) });
    }
  }

  /** Asks the hardware, and whoever endorses it, which may take long. */
  async #attest(reportData: Uint8Array): Promise<void> {
    const log = (level: LogLevel, message: string) => this.#options.log.write(level, "attestation", message);
    try {
      const evidence = await this.#options.platform.quote(reportData, log, this.#fetching.signal);
      this.#enclave?.send({ kind: "quote", evidence });
    } catch (error) {
      this.#enclave?.send({ kind: "quote", evidence: null, reason: messageOf(error) });
    }
  }

  /** Certificates are given out one after the other. The node's own is there first or last, and ends the start. */
  async #setIdentity(authority: "Service" | "Node", identity: TlsIdentity): Promise<void> {
    try {
      await this.#doors?.setIdentity(authority, identity);
      if (authority === "Node") this.#started.resolve();
    } catch (error) {
      await this.stop(messageOf(error));
    }
  }

  #reportMetrics(enclave: EnclaveWorker, doors: Doors): void {
    const { heapUsed, rss } = Deno.memoryUsage();
    this.#peakHeapBytes = Math.max(this.#peakHeapBytes, heapUsed);
    enclave.send({
      kind: "metrics",
      sessions: doors.metrics(),
      heapBytes: { current: heapUsed, peak: this.#peakHeapBytes, max: Math.max(rss, this.#peakHeapBytes) },
    });
  }
}

/** A page that the configuration names must be there; that of this checkout may not be built. */
function openConsole({ consoleDirectory }: NodeConfig): ConsoleFiles | null {
  const files = ConsoleFiles.open(consoleDirectory ?? CONSOLE_FOLDER);
  if (files === null && consoleDirectory !== undefined) {
    throw new StartFailure(`Cannot serve the console in ${consoleDirectory}: there is no such directory`);
  }
  return files;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
