import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseAll } from "@std/yaml";
import { parseCommandLine } from "../lib/cli/command_line.ts";
import { instruction, longestStopMs, read, ROOT, settingsOf } from "./_deploy.ts";
import { freePort } from "./_service.ts";
import { Spawnd } from "./_spawnd.ts";

const KUBERNETES = await read("kubernetes.yaml");

Deno.test("the Kubernetes manifest agrees with itself and the program", async () => {
  const documents = parseAll(KUBERNETES);
  const [deployment, service, autoscaler, budget] = documents;
  assertEquals(documents.length, 4);
  assertEquals([deployment, service, autoscaler, budget].map(({ kind }) => kind), [
    "Deployment",
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
  ]);
  const { metadata, spec: pod } = deployment.spec.template;
  assertEquals(pod.containers.length, 1);
  const [container] = pod.containers;
  const settings = settingsOf(container.args);
  const { maxConnections, port, statusPort, warm } = settings;

  for (const selector of [deployment, budget].map(({ spec }) => spec.selector)) {
    assertEquals(selector, { matchLabels: metadata.labels });
  }
  assertEquals(service.spec.selector, metadata.labels);
  const { kind, name, apiVersion } = autoscaler.spec.scaleTargetRef;
  assertEquals([kind, name, apiVersion], [
    deployment.kind,
    deployment.metadata.name,
    deployment.apiVersion,
  ]);
  assertEquals(deployment.spec.replicas, undefined);

  assertEquals(container.ports, [
    { name: "clients", containerPort: port },
    { name: "status", containerPort: statusPort },
  ]);
  assertEquals(service.spec.ports, [{ name: "clients", port, targetPort: "clients" }]);
  assertEquals(container.livenessProbe.httpGet, { path: "/healthz", port: "status" });
  assertEquals(container.readinessProbe.httpGet, { path: "/readyz", port: "status" });
  assertEquals(metadata.annotations["prometheus.io/port"], `${statusPort}`);
  // The kubelet and Prometheus connect from outside the pod.
  assertEquals(parseCommandLine(container.args).status?.hostname, "0.0.0.0");

  const [sleep, seconds] = container.lifecycle.preStop.exec.command;
  assertEquals(sleep, "sleep");
  const graceMs = pod.terminationGracePeriodSeconds * 1000;
  assert(graceMs > Number(seconds) * 1000 + longestStopMs(settings), `${graceMs}`);

  const [user, group] = instruction("USER").split(":").map(Number);
  assertEquals(pod.securityContext, {
    runAsNonRoot: true,
    runAsUser: user,
    runAsGroup: group,
    seccompProfile: { type: "RuntimeDefault" },
  });
  assertEquals(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });

  const [, megabytes] = /A Deno process takes about (\d+) MB/.exec(
    await Deno.readTextFile(`${ROOT}docs/operations.md`),
  )!;
  const { requests, limits } = container.resources;
  assertEquals([requests.memory, limits.memory], ["1Gi", "1Gi"]);
  assert(2 ** 30 > ((maxConnections + warm) * Number(megabytes) + 200) * 1e6);

  const { metrics: [{ pods }], minReplicas, maxReplicas } = autoscaler.spec;
  const target = Number(pods.target.averageValue);
  assertEquals(target, Math.round(0.7 * maxConnections));
  assert(1 < minReplicas && minReplicas < maxReplicas);
  assertEquals(pods.metric.name, "spawnd_connections_active");
});

Deno.test("the server exports the metric that the autoscaler uses", async () => {
  const port = freePort();
  await using spawnd = await Spawnd.start("--status", `${port}`);
  using _conn = await spawnd.connect();
  await spawnd.record({ message: "open" });
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const [, name] = /\bname: (spawnd_\w+)/.exec(KUBERNETES)!;
  assertMatch(metrics, new RegExp(`^# TYPE ${name} gauge\\n${name} 1$`, "m"));
});
