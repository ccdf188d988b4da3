/**
 * The host: sockets, files and timers around the enclave. It moves bytes, and is never asked a question of trust.
 *
 * In: a configuration with its files. Out: a node that runs until it is stopped.
 * Outputs of the enclave are performed in order, in one switch; what each means stands in `enclave/messages.ts`.
 */

import { dirname, join } from "node:path";
import { unreachable } from "../shared/assert.ts";
import { MAX_ENCLAVE_STOP_MS, METRICS_INTERVAL_MS } from "../shared/limits.ts";
import type {
  EnclaveOutput,
  HttpRequest,
  HttpResponse,
  InterfaceMetrics,
  LogLevel,
  RpcInterface,
  SnapshotRange,
} from "../enclave/messages.ts";
import type { ConfigFiles } from "./config_files.ts";
import { resolveRpcInterface } from "./config.ts";
import { EnclaveWorker } from "./enclave_worker.ts";
import { choosePort } from "./free_ports.ts";
import { HostIndex } from "./host_index.ts";
import { firstDirectoryInUse } from "./ledger_directory.ts";
import { denoFileSystem } from "./ledger_file_system.ts";
import { LedgerFiles } from "./ledger_files.ts";
import {
  errorResponse,
  type Exchange,
  nextSessionId,
  RequestBatcher,
  type RequestSink,
  type Session,
} from "./listener.ts";
import type { NodeLog } from "./log.ts";
import type { NodeConfig, RpcInterfaceConfig } from "./node_config.ts";
import { removePidFile, writeAddresses, writeCertificates, writePidFile } from "./output_files.ts";
import { SnapshotDrafts } from "./snapshot_drafts.ts";
import { SnapshotFiles } from "./snapshot_files.ts";
import { startConfig } from "./start_config.ts";
import { StartFailure } from "./start_failure.ts";
import { StorageError } from "./storage_error.ts";
import { checkTls } from "./tls_check.ts";
import { type TlsIdentity, TlsListener } from "./tls_server.ts";
import { formatAddress } from "./units.ts";
import { welcomePage } from "./welcome_page.ts";
import { WebListener } from "./web_server.ts";

export interface HostOptions {
  readonly config: NodeConfig;
  readonly files: ConfigFiles;
  readonly log: NodeLog;
  readonly logLevel: LogLevel;
}

/** Where the log says that lines of the enclave come from: the first thread, as in CCF. */
const ENCLAVE_ORIGIN = { threadId: 0, file: "enclave/enclave.ts", line: 0 };

const STOPPED = "The node was stopped";

/** An interface with its listener. */
interface Door {
  readonly config: RpcInterfaceConfig;
  readonly listener: TlsListener | WebListener;
}

export class Host {
  readonly #options: HostOptions;
  readonly #ledger: LedgerFiles;
  readonly #snapshots: SnapshotFiles;
  readonly #drafts: SnapshotDrafts;
  readonly #index: HostIndex;
  readonly #doors: Door[] = [];
  readonly #exchanges = new Map<number, Exchange>();
  #enclave: EnclaveWorker | undefined;
  #nextExchange = 1;
  #peakSessions = 0;
  #peakHeapBytes = 0;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #nodeId = "";
  #servicePem = "";
  #batcher: RequestBatcher | undefined;
  /** Questions of the host's own that are not answered yet. */
  readonly #waiting = new Set<PromiseWithResolvers<HttpResponse>>();
  /** Resolves when outputs so far are as lasting as the configuration asks for. */
  #durable: Promise<void> = Promise.resolve();
  #mustWait = false;
  readonly #enclaveStopped = Promise.withResolvers<void>();
  readonly #started = Promise.withResolvers<void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<string | undefined>();
  #identities: Promise<void> = Promise.resolve();
  #stopping = false;

  private constructor(options: HostOptions, ledger: LedgerFiles, snapshots: SnapshotFiles, index: HostIndex) {
    this.#options = options;
    this.#ledger = ledger;
    this.#snapshots = snapshots;
    this.#drafts = new SnapshotDrafts(
      snapshots,
      (written) => this.#enclave?.send(written),
      (message) => options.log.write("fail", "host", message),
    );
    this.#index = index;
    // Whoever waits hears of a failure; where nobody does it is told by `stopped`.
    this.#started.promise.catch(() => {});
    this.#opened.promise.catch(() => {});
  }

  /**
   * Starts a new service and waits until it answers.
   *
   * @throws an Error with a sentence for people: a port in use, a directory that cannot be written, …
   */
  static async start(options: HostOptions): Promise<Host> {
    const { config, log } = options;
    const directories = [config.ledger.directory, ...config.ledger.readOnlyDirectories];
    const inUse = await firstDirectoryInUse(denoFileSystem, directories);
    if (inUse !== undefined) {
      throw new StorageError(
        `Cannot start a new service: the ledger directory ${inUse} is not empty; ` +
          "choose another directory, or recover the service from it",
      );
    }
    let host: Host | undefined;
    const ledger = await LedgerFiles.open({
      directory: config.ledger.directory,
      readOnlyDirectories: config.ledger.readOnlyDirectories,
      durability: config.durability,
      // A service whose ledger cannot be written must not go on saying that transactions are committed.
      onFailure: ({ message }) => {
        log.write("fatal", "host", message);
        void host?.stop(message);
      },
    });
    for (const notice of ledger.notices) log.write("info", "host", notice);
    try {
      const indexPath = join(dirname(config.ledger.directory), "index.kv");
      const index = await HostIndex.open(indexPath, ledger, (sentence) => log.write("info", "host", sentence));
      const snapshots = new SnapshotFiles(config.snapshots.directory);
      await snapshots.removeDrafts();
      host = new Host(options, ledger, snapshots, index);
      writePidFile(config.outputFiles.pidFile);
      await host.#run();
      return host;
    } catch (error) {
      if (host === undefined) await ledger.close();
      else await host.stop();
      throw error;
    }
  }

  /** "name" → URL of every interface. */
  get urls(): ReadonlyMap<string, string> {
    return new Map(this.#doors.map(({ config, listener }) => [
      config.name,
      `https://${formatAddress({ host: config.publishedAddress.host, port: listener.port })}`,
    ]));
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  /** Resolves once the service is open, and what made it so is signed. */
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
    const interfaceName = this.#doors[0]!.config.name;
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
    if (this.#stopping) return;
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#doors.map(({ listener }) => listener.stop()));
    await this.#stopEnclave(reason);
    await this.#drafts.close();
    // The ledger last: the index reads from it to the end.
    const unwritten = [await this.#close(this.#index), await this.#close(this.#ledger)].find((why) =>
      why !== undefined
    );
    reason ??= unwritten;
    removePidFile(this.#options.config.outputFiles.pidFile);
    const failure = new StartFailure(reason ?? STOPPED);
    this.#started.reject(failure);
    this.#opened.reject(failure);
    for (const { reject } of this.#waiting) reject(failure);
    this.#stopped.resolve(reason);
  }

  /** @returns why something could not be closed, which is logged too */
  async #close(storage: { close(): Promise<void> }): Promise<string | undefined> {
    try {
      await storage.close();
      return undefined;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#options.log.write("fail", "host", message);
      return message;
    }
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

  async #run(): Promise<void> {
    const { config, files } = this.#options;
    this.#enclave = await EnclaveWorker.start(
      (outputs) => this.#perform(outputs),
      (message) => void this.stop(`The enclave failed: ${message}`),
    );
    const batcher = this.#batcher = new RequestBatcher(this.#sink(this.#enclave));
    const interfaces: Record<string, RpcInterface> = {};
    for (const door of config.network.rpcInterfaces.values()) {
      const listener = await this.#listen(door, batcher);
      this.#doors.push({ config: door, listener });
      interfaces[door.name] = resolveRpcInterface(door, listener.port);
    }
    writeAddresses(config.outputFiles, new Map(this.#doors.map((d) => [d.config.name, d.listener.port])), config);
    this.#enclave.send({
      kind: "start",
      config: startConfig(config, files, interfaces, this.#options.logLevel),
    });
    this.#timers.push(
      setInterval(() => this.#enclave?.send({ kind: "tick" }), config.tickIntervalMs),
      setInterval(() => this.#reportMetrics(), METRICS_INTERVAL_MS),
    );
    await this.#started.promise;
  }

  async #listen(door: RpcInterfaceConfig, batcher: RequestBatcher): Promise<TlsListener | WebListener> {
    const { host: hostname, port } = door.bindAddress;
    const common = {
      interfaceName: door.name,
      hostname,
      limits: door.http,
      maxOpenSessionsSoft: door.maxOpenSessionsSoft,
      maxOpenSessionsHard: door.maxOpenSessionsHard,
      batcher,
    };
    if (door.clientCertificates || door.authority === "Unsecured") {
      return await TlsListener.listen({
        ...common,
        port,
        identity: door.authority === "Unsecured" ? "unsecured" : null,
        idleTimeoutMs: this.#options.config.idleConnectionTimeoutMs ?? null,
        onConnectionError: (message) => this.#options.log.write("debug", "host", message),
      });
    }
    return await WebListener.listen({
      ...common,
      port: port === 0 ? choosePort(hostname) : port,
      identity: null,
      page: () => welcomePage({ nodeId: this.#nodeId, urls: this.urls }),
    });
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

  #perform(outputs: readonly EnclaveOutput[]): void {
    try {
      for (const output of outputs) this.#performOne(output);
    } catch (error) {
      void this.stop(error instanceof Error ? error.message : String(error));
    }
  }

  #performOne(output: EnclaveOutput): void {
    switch (output.kind) {
      case "ledgerAppend":
        this.#ledger.append(output.seqno, output.entry, output.committable);
        if (this.#options.config.durability === "always") this.#mustWait = true;
        return;
      case "ledgerCommit":
        this.#ledger.commit(output.seqno);
        this.#index.advance(output.seqno);
        if (this.#options.config.durability !== "none") this.#mustWait = true;
        return;
      case "ledgerTruncate":
        return this.#ledger.truncate(output.seqno);
      case "ledgerRead":
        return void this.#readLedger(output.from, output.to);
      case "nodeOutbound":
      case "peerAddress":
      case "httpRequest":
        return;
      case "response":
        return this.#respond(output.id, output.response);
      case "tlsIdentity":
        this.#identities = this.#identities.then(() => this.#setIdentity(output.authority, output));
        return;
      case "certificates":
        this.#nodeId = output.nodeId;
        this.#servicePem = output.servicePem;
        writeCertificates(this.#options.config, output);
        return;
      case "serviceOpened":
        return this.#opened.resolve();
      case "snapshotBegin":
        return this.#drafts.begin(output.seqno);
      case "snapshotPart":
        return this.#drafts.append(output.seqno, output.bytes);
      case "snapshotCommit":
        return this.#drafts.commit(output.seqno, output.name, output.receipt);
      case "snapshotDiscard":
        return this.#drafts.discard(output.seqno);
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
  #respond(id: number, response: HttpResponse): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    this.#exchanges.delete(id);
    if (response.snapshot !== undefined) return void this.#respondSnapshot(exchange, response, response.snapshot);
    if (this.#options.config.durability === "none") return exchange.respond(response);
    if (this.#mustWait) {
      this.#mustWait = false;
      this.#durable = this.#durable.then(() => this.#ledger.flush());
      this.#durable.catch((error) => void this.stop(error instanceof Error ? error.message : String(error)));
    }
    void this.#durable.then(() => exchange.respond(response), () => {});
  }

  async #respondSnapshot(exchange: Exchange, response: HttpResponse, { name, from, to }: SnapshotRange): Promise<void> {
    let body: Uint8Array | undefined;
    try {
      body = await this.#snapshots.read(name, from, to);
    } catch (error) {
      this.#options.log.write("fail", "host", error instanceof Error ? error.message : String(error));
    }
    if (body?.length === to - from) return exchange.respond({ ...response, body });
    exchange.respond(errorResponse(404, "ResourceNotFound", `This node does not have a snapshot named ${name}`));
  }

  async #readLedger(from: number, to: number): Promise<void> {
    let entries: Uint8Array | null = null;
    try {
      const range = await this.#ledger.read(from, to);
      if (range?.to === to) entries = range.bytes;
    } catch (error) {
      this.#options.log.write("fail", "host", error instanceof Error ? error.message : String(error));
    }
    this.#enclave?.send({ kind: "ledgerEntries", from, to, entries });
  }

  /** Certificates are given out one after the other; the last authority to get its own ends the start. */
  async #setIdentity(authority: "Service" | "Node", identity: TlsIdentity): Promise<void> {
    try {
      if (authority === "Service") await this.#requireWorkingTls(identity);
      for (const { config, listener } of this.#doors) {
        if (config.authority === authority) await listener.setIdentity(identity);
      }
      if (authority === "Node") this.#started.resolve();
    } catch (error) {
      await this.stop(error instanceof Error ? error.message : String(error));
    }
  }

  /** A runtime that lost or invented client certificates would let in anybody, or nobody. */
  async #requireWorkingTls(identity: TlsIdentity): Promise<void> {
    if (!this.#doors.some(({ config }) => config.clientCertificates)) return;
    const check = await checkTls(identity);
    if (!check.ok) throw new StartFailure(`Cannot serve client certificates on this runtime: ${check.reason}`);
  }

  #reportMetrics(): void {
    const interfaces: Record<string, InterfaceMetrics> = {};
    let active = 0;
    for (const { config, listener } of this.#doors) {
      interfaces[config.name] = listener.counters.snapshot();
      active += listener.counters.active;
    }
    this.#peakSessions = Math.max(this.#peakSessions, active);
    const { heapUsed, rss } = Deno.memoryUsage();
    this.#peakHeapBytes = Math.max(this.#peakHeapBytes, heapUsed);
    this.#enclave?.send({
      kind: "metrics",
      sessions: { active, peak: this.#peakSessions, interfaces },
      heapBytes: { current: heapUsed, peak: this.#peakHeapBytes, max: Math.max(rss, this.#peakHeapBytes) },
    });
  }
}
