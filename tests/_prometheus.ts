/**
 * promtool(1), and a Prometheus on the loopback that reads the metrics of one server by
 * deploy/prometheus.yml and watches it by deploy/alerts.yml, every second.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { parse } from "@std/yaml";
import { ROOT } from "./_deploy.ts";
import { freePort, makeFolder, run } from "./_service.ts";
import { until } from "./_waiting.ts";

/** What Prometheus says of a series, at one moment. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [seconds: number, value: string];
}

/** An alert, pending or firing. */
export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

/** Asserts that promtool(1) succeeds with this data, which it gets as a file. */
export async function assertPromtool(what: "check" | "test", data: unknown): Promise<void> {
  await using folder = await makeFolder();
  const path = `${folder.path}/rules.json`; // JSON is YAML
  await Deno.writeTextFile(path, JSON.stringify(data));
  const { code, stdout, stderr } = await run(["promtool", what, "rules", path]);
  assertEquals(code, 0, stdout + stderr);
}

/** A running Prometheus. */
export class Prometheus implements AsyncDisposable {
  readonly #url: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(url: string, stack: AsyncDisposableStack) {
    this.#url = url;
    this.#stack = stack;
  }

  /** Starts it, for the metrics at this host and port, and waits until it answers. */
  static async start(target: string): Promise<Prometheus> {
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(await makeFolder());
    const rules = await Deno.readTextFile(`${ROOT}deploy/alerts.yml`);
    await Deno.writeTextFile(`${path}/alerts.yml`, rules.replace(/^( +for:) .*$/gm, "$1 1s"));
    // deno-lint-ignore no-explicit-any
    const config: any = parse(await Deno.readTextFile(`${ROOT}deploy/prometheus.yml`));
    const every = { scrape_interval: "1s", scrape_timeout: "1s" };
    Object.assign(config.scrape_configs[0], every, { static_configs: [{ targets: [target] }] });
    config.global = { evaluation_interval: "1s" };
    await Deno.writeTextFile(`${path}/prometheus.yml`, JSON.stringify(config));

    const address = `127.0.0.1:${freePort()}`;
    const process = new Deno.Command("prometheus", {
      args: [
        `--config.file=${path}/prometheus.yml`,
        `--storage.tsdb.path=${path}/data`,
        `--web.listen-address=${address}`,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    stack.defer(async () => {
      process.kill("SIGKILL");
      await process.status;
    });
    const url = `http://${address}/`;
    await until("Prometheus to answer", () =>
      fetch(`${url}-/ready`).then(async (response) => {
        await response.body?.cancel();
        return response.ok;
      }, () => false));
    return new Prometheus(url, stack.move());
  }

  /** The result of an expression. */
  async query(expression: string): Promise<Sample[]> {
    const query = new URLSearchParams({ query: expression });
    return (await this.#get<{ result: Sample[] }>(`query?${query}`)).result;
  }

  /** Waits until an alert fires. */
  firing(name: string): Promise<Alert> {
    return until(`${name} to fire`, async () => {
      const { alerts } = await this.#get<{ alerts: Alert[] }>("alerts");
      return alerts.find(({ labels, state }) => labels.alertname === name && state === "firing");
    });
  }

  async #get<T>(path: string): Promise<T> {
    const answer = await (await fetch(`${this.#url}api/v1/${path}`)).json();
    assertEquals(answer.status, "success", answer.error);
    return answer.data;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
