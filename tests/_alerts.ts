/**
 * Courses of the metrics, each with the alerts that have to fire at its end.
 *
 * @module
 */

/** Numbers that rise by this in every step of {@linkcode STEP}, or stay the same. */
const rising = (by: number) => `0+${by}x${STEPS}`;
const constant = (value: number) => `${value}+0x${STEPS}`;

/** The time between two samples, in seconds. */
export const STEP = 60;
/** How many steps a course has: an hour. */
export const STEPS = 60;

const START_FAILURES = "spawnd_children_spawn_failures_total";

/** A busy service without any trouble: 60 connections in every step, most of them fast. */
export const HEALTHY: Readonly<Record<string, string>> = {
  up: constant(1),
  process_start_time_seconds: constant(1e9),
  spawnd_connections_accepted_total: rising(60),
  'spawnd_connections_refused_total{reason="busy"}': rising(0),
  'spawnd_connections_refused_total{reason="handshake"}': rising(0),
  'spawnd_connections_refused_total{reason="denied"}': rising(40),
  spawnd_connections_active: constant(10),
  spawnd_connections_limit: constant(100),
  spawnd_connections_waiting: constant(0),
  spawnd_queue_limit: constant(64),
  spawnd_children_spawned_total: rising(60),
  [START_FAILURES]: rising(0),
  'spawnd_children_exited_total{code="0"}': rising(60),
  'spawnd_children_killed_total{signal="SIGKILL"}': rising(0),
  'spawnd_first_byte_duration_seconds_bucket{le="1"}': rising(60),
  'spawnd_first_byte_duration_seconds_bucket{le="2"}': rising(60),
  'spawnd_first_byte_duration_seconds_bucket{le="+Inf"}': rising(60),
  spawnd_first_byte_duration_seconds_count: rising(60),
};

const BUSY = 'spawnd_connections_refused_total{reason="busy"}';
const HANDSHAKE = 'spawnd_connections_refused_total{reason="handshake"}';
const exits = (how: string) => `spawnd_children_exited_total{${how}}`;
const SECOND = 'spawnd_first_byte_duration_seconds_bucket{le="1"}';

/** What is different from {@linkcode HEALTHY}, and what fires. */
type Course = readonly [
  name: string,
  different: Readonly<Record<string, string | undefined>>,
  ...alerts: string[],
];

/** All of them; those on both sides of a threshold are next to each other. */
export const COURSES: readonly Course[] = [
  ["nothing is wrong", {}],
  ["it has not answered for two minutes", { up: `1+0x${STEPS - 3} 0+0x2` }, "SpawndDown"],
  ["it has not answered for a minute", { up: `1+0x${STEPS - 2} 0+0x1` }],
  ["it is not known", { up: undefined }, "SpawndAbsent"],
  [
    "three restarts in an hour",
    { process_start_time_seconds: "1+0x14 2+0x14 3+0x14 4+0x15" },
    "SpawndRestarts",
  ],
  ["two restarts in an hour", { process_start_time_seconds: "1+0x19 2+0x19 3+0x20" }],
  ["5.2 % are refused as busy", { [BUSY]: rising(3.1) }, "SpawndRefusesClients"],
  ["4.8 % are refused as busy", { [BUSY]: rising(2.9) }],
  ["a burst is refused as busy", { [BUSY]: `0+0x${STEPS - 5} 500+0x4` }],
  ["91 of 100 slots are taken", { spawnd_connections_active: constant(91) }, "SpawndFull"],
  ["90 of 100 slots are taken", { spawnd_connections_active: constant(90) }],
  [
    "91 of 100 slots were taken for four minutes",
    { spawnd_connections_active: `10+0x${STEPS - 5} 91+0x4` },
  ],
  ["a client always waits", { spawnd_connections_waiting: constant(1) }, "SpawndFull"],
  [
    "a client waits now and then",
    { spawnd_connections_waiting: Array.from({ length: STEPS + 1 }, (_, i) => i % 2).join(" ") },
  ],
  [
    "1.1 % of the children do not start",
    { [START_FAILURES]: rising(0.66) },
    "SpawndChildrenDoNotStart",
  ],
  ["0.9 % of the children do not start", { [START_FAILURES]: rising(0.54) }],
  [
    "no child starts",
    { [START_FAILURES]: rising(1), spawnd_children_spawned_total: rising(0) },
    "SpawndChildrenDoNotStart",
  ],
  ["26 % of the children exit with 3", { [exits('code="3"')]: rising(21) }, "SpawndChildrenFail"],
  ["24 % of the children exit with 3", { [exits('code="3"')]: rising(19) }],
  ["a third crashes", { [exits('signal="SIGSEGV"')]: rising(30) }, "SpawndChildrenFail"],
  ["all are stopped", { [exits('signal="SIGTERM"')]: rising(60), [exits('code="0"')]: rising(0) }],
  ["all are stopped by SIGHUP", {
    [exits('signal="SIGHUP"')]: rising(60),
    [exits('code="0"')]: rising(0),
  }],
  ["all end themselves when they are stopped", {
    [exits('code="143"')]: rising(60),
    [exits('code="0"')]: rising(0),
  }],
  ["all lose their clients", {
    [exits('signal="SIGPIPE"')]: rising(60),
    [exits('code="0"')]: rising(0),
  }],
  ["five of few children exit with 3", {
    [exits('code="3"')]: `0+0x${STEPS - 10} 5+0x9`,
    [exits('code="0"')]: rising(0),
  }],
  [
    "one of the children is killed",
    { [exits('signal="SIGKILL"')]: `1+0x${STEPS - 6} 2+0x5` },
    "SpawndChildrenKilled",
  ],
  ["the server kills children", {
    [exits('signal="SIGKILL"')]: rising(1),
    'spawnd_children_killed_total{signal="SIGKILL"}': rising(1),
  }],
  ["1.2 % wait for more than a second", { [SECOND]: rising(59.3) }, "SpawndFirstByteSlow"],
  ["0.8 % wait for more than a second", { [SECOND]: rising(59.5) }],
  ["few clients, who wait for more than a second", {
    [SECOND]: rising(0),
    'spawnd_first_byte_duration_seconds_bucket{le="2"}': rising(8),
    'spawnd_first_byte_duration_seconds_bucket{le="+Inf"}': rising(8),
    spawnd_first_byte_duration_seconds_count: rising(8),
  }],
  ["52 % of the handshakes fail", { [HANDSHAKE]: rising(31) }, "SpawndHandshakesFail"],
  ["48 % of the handshakes fail", { [HANDSHAKE]: rising(29) }],
  ["all of few handshakes fail", {
    [HANDSHAKE]: rising(1.2),
    spawnd_connections_accepted_total: rising(1.2),
  }],
];
