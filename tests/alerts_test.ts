/** What deploy/ has for Prometheus and Grafana: alerts and a dashboard. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/yaml";
import { commandHandler } from "../lib/child/handler.ts";
import { COURSES, HEALTHY, STEP, STEPS } from "./_alerts.ts";
import { read, ROOT } from "./_deploy.ts";
import { assertPromtool, Prometheus } from "./_prometheus.ts";
import { ConfiguredSpawnd } from "./_services.ts";
import { ask, text } from "./_sockets.ts";
import { Shown, wanted } from "./_status.ts";
import { testWith } from "./_test_with.ts";
import { until } from "./_waiting.ts";

/** An alert in the file. */
interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

/** A panel of the dashboard. */
interface Panel {
  readonly id: number;
  readonly title: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets: readonly { readonly expr: string }[];
}

const RULES = (parse(await read("alerts.yml")) as { groups: { rules: Rule[] }[] }).groups
  .flatMap(({ rules }) => rules);
const PANELS: Panel[] = JSON.parse(await read("grafana.json")).panels;
/** The queries of the dashboard, with values for its variables. */
const QUERIES = PANELS.flatMap(({ title, targets }) =>
  targets.map(({ expr }) => ({
    title,
    expr: expr.replaceAll("$__rate_interval", "1m").replaceAll(/\$\w+/g, ".*"),
  }))
);

testWith(
  "promtool",
  "prometheus",
  "every alert fires on one side of its threshold, with or without services, and no other one does",
  async () => {
    for (const service of ["", "git"]) {
      const tests = COURSES.map(([name, different, ...alerts]) => ({
        name,
        interval: `${STEP}s`,
        input_series: seriesOf({ ...HEALTHY, ...different }, service),
        promql_expr_test: [{
          expr: 'count by (alertname, service) (ALERTS{alertstate="firing"})',
          eval_time: `${STEP * STEPS}s`,
          exp_samples: alerts.map((alertname) => {
            const isOfProcess = /Down|Absent|Restarts/.test(alertname);
            const labels = isOfProcess || !service ? "" : `, service="${service}"`;
            return { labels: `{alertname="${alertname}"${labels}}`, value: 1 };
          }),
        }],
      }));
      await assertPromtool("test", {
        rule_files: [`${ROOT}deploy/alerts.yml`],
        evaluation_interval: `${STEP}s`,
        tests,
      });
    }
    const fired = new Set(COURSES.flatMap(([, , ...alerts]) => alerts));
    assertEquals([...fired].sort(), RULES.map(({ alert }) => alert).sort());
  },
);

/** Series with the labels of a server; with a service, beside those of one that is healthy. */
function seriesOf(series: Readonly<Record<string, string | undefined>>, service: string) {
  return Object.entries(series).flatMap(([name, values]) => {
    const [, metric, own = ""] = /^(\w+)(?:{(.*)})?$/.exec(name)!;
    const services = service && metric!.startsWith("spawnd_") ? [service, "other"] : [""];
    return services.map((one) => {
      const labels = ['job="spawnd"', 'instance="one:9528"', own, one && `service="${one}"`];
      return {
        series: `${metric}{${labels.filter(Boolean).join()}}`,
        values: one === "other" ? HEALTHY[name] ?? `0+0x${STEPS}` : values,
      };
    }).filter(({ values }) => values !== undefined);
  });
}

Deno.test("an alert has a severity, and says what happened and what to do", () => {
  for (const { alert, labels, annotations } of RULES) {
    assertMatch(labels.severity, /^(critical|warning)$/, alert);
    assert(annotations.summary.length < 160 && annotations.description.length > 80, alert);
  }
});

testWith("promtool", "prometheus", "promtool can parse every query of the dashboard", async () => {
  const rules = QUERIES.map(({ expr }, i) => ({ record: `query_${i}`, expr }));
  await assertPromtool("check", { groups: [{ name: "dashboard", rules }] });
});

Deno.test("the metrics that alerts and dashboard name are there", async () => {
  const cat = { handler: commandHandler("cat") };
  await using shown = await Shown.start(wanted({ cat, other: cat }, 10));
  const metrics = await shown.get("metrics");
  for (
    const { title, expr } of [...QUERIES, ...RULES.map((rule) => ({ ...rule, title: rule.alert }))]
  ) {
    for (const [name] of expr.matchAll(/\b(?:spawnd|process)_\w+/g)) {
      assert(
        metrics.includes(`# TYPE ${name.replace(/_(bucket|count)$/, "")} `),
        `${name}: ${title}`,
      );
    }
  }
});

Deno.test("the panels of the dashboard have numbers of their own, and do not overlap", () => {
  assertEquals(new Set(PANELS.map(({ id }) => id)).size, PANELS.length);
  const taken = new Set<string>();
  for (const { title, gridPos: { x, y, w, h } } of PANELS) {
    assert(x >= 0 && x + w <= 24, title);
    for (let i = 0; i < w * h; i++) {
      const cell = `${x + i % w},${y + Math.floor(i / w)}`;
      assert(!taken.has(cell), `${title}: ${cell}`);
      taken.add(cell);
    }
  }
});

testWith(
  "prometheus",
  "prometheus",
  "Prometheus sees a service that is full and refuses clients, fills the dashboard, and sees the server go",
  async () => {
    await using configured = await ConfiguredSpawnd.start({
      full: { listen: ["127.0.0.1:0"], command: ["cat"], "max-connections": 1, queue: 0 },
      other: { listen: ["127.0.0.1:0"], command: ["cat"] },
    }, { status: 0, "max-children": 10 });
    const { spawnd } = configured;
    const portOf = async (name: string) =>
      Number((await configured.addresses(name))[0]!.split(":")[1]);
    assertEquals(text(await ask(await portOf("other"), "hello")), "hello");
    const port = await portOf("full");
    using _conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await spawnd.record({ message: "open", service: "full" });

    const { host } = await spawnd.statusUrl();
    await using prometheus = await Prometheus.start(host);
    const refused = 'rate(spawnd_connections_refused_total{reason="busy"}[1m]) > 0';
    await until("clients to be refused", async () => {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return (await prometheus.query(refused)).length > 0;
    });
    const { labels, annotations } = await prometheus.firing("SpawndRefusesClients");
    assertEquals([labels.service, labels.severity], ["full", "critical"]);
    assertMatch(
      annotations.summary!,
      new RegExp(`^${host}, service full refuses [\\d.]+% of its clients as busy$`),
    );
    const full = await prometheus.firing("SpawndFull");
    assertEquals([full.labels.instance, full.labels.service], [host, "full"]);

    for (const { title, expr } of QUERIES) {
      await until(`${title}: ${expr}`, async () => (await prometheus.query(expr)).length > 0);
    }

    spawnd.kill("SIGKILL");
    assertEquals(
      (await prometheus.firing("SpawndDown")).annotations.summary,
      `${host} does not answer`,
    );
  },
);
