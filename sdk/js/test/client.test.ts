import assert from "node:assert/strict";
import { test } from "node:test";
import { annotate, init, type Options, thumb } from "../src/index.js";
import { Stub } from "./stub.js";
import { client, eventually, hurryRetries, KEY, problems, start, stub, THUMB, until } from "./started.js";

test("a thumb is sent at once, as text/plain with key and sent_at in the body", async () => {
  const id = start({ labels: ["refund/late"] }).thumb({ ...THUMB, reasons: ["clear"] });
  await until(() => stub.events.length === 1);
  const [event] = stub.events;
  assert.equal(stub.types[0], "text/plain;charset=UTF-8");
  assert.equal(stub.bodies[0]!.key, KEY);
  assert.ok(Date.parse(stub.bodies[0]!.sent_at) >= Date.parse(event!.occurred_at as string));
  assert.equal(event!.event_id, id);
  assert.equal(event!.type, "thumb");
  assert.deepEqual(event!.actor, { id: "u-1", kind: "user" });
  assert.deepEqual(event!.labels, ["refund/late"]);
  assert.deepEqual(event!.sdk, { name: "thumbwheel-js", version: "test" });
});

test("the module answers labels with the latest client", async () => {
  start();
  const id = annotate({ interaction_id: "i-1", answers: { "tone/polite": false }, label_versions: { "tone/polite": 2 } });
  await until(() => stub.events.length === 1);
  const { event_id, type, answers } = stub.events[0]!;
  assert.deepEqual({ event_id, type, answers }, { event_id: id, type: "annotation", answers: { "tone/polite": false } });
});

test("only the events answered retry are sent again, under the same ids", async () => {
  hurryRetries();
  stub.answers.push({ status: 503 }, { status: 207, results: (event) => ({ status: event.candidate_id === "c-2" ? "retry" : "accepted" }) });
  start();
  for (const candidate_id of ["c-1", "c-2", "c-3"]) client.thumb({ ...THUMB, candidate_id });
  assert.equal(await eventually(() => client.flush()), true);
  const sent = stub.bodies.map((body) => body.events.map((event) => event.candidate_id));
  assert.deepEqual(sent, [["c-1"], ["c-1", "c-2", "c-3"], ["c-2"]]);
  assert.equal(stub.bodies[2]!.events[0]!.event_id, stub.bodies[1]!.events[1]!.event_id);
  assert.deepEqual(problems, []);
});

test("a cut connection, 408 and 429 are retried; other 4xx are not", async () => {
  hurryRetries();
  stub.answers.push({ cut: true }, { status: 408 }, { status: 429 }, {});
  start().thumb(THUMB);
  await until(() => stub.bodies.length === 4);
  const error = { code: "origin", message: "This origin may not use this key", hint: "Add it to the key" };
  stub.answers.push({ status: 403, body: JSON.stringify({ error }) });
  client.thumb(THUMB);
  await until(() => problems.length === 1);
  assert.deepEqual(problems[0], error);
  assert.deepEqual(client.dropped, { origin: 1 });
  assert.equal(await client.flush(), true);
  assert.equal(stub.bodies.length, 5);
});

test("Retry-After is a minimum, and flush does not break it", async () => {
  hurryRetries();
  stub.answers.push({ status: 429, headers: { "Retry-After": "1" } });
  start().thumb(THUMB);
  await until(() => stub.bodies.length === 1);
  const asked = Date.now();
  assert.equal(await client.flush(100), false);
  client.thumb({ ...THUMB, value: "down" });
  await until(() => stub.bodies.length === 2);
  assert.ok(Date.now() - asked >= 900, `sent again after ${Date.now() - asked} ms`);
  assert.equal(stub.bodies[1]!.events.length, 2);
});

test("an answer that is not the collector's, as behind a captive portal, is retried", async () => {
  hurryRetries();
  stub.answers.push({ status: 200, body: "<html>Log in to this network</html>" });
  start().thumb(THUMB);
  await until(() => stub.bodies.length === 2);
  assert.equal(await eventually(() => client.flush()), true);
});

test("413 halves the batch, then drops the one event that is too large", async () => {
  hurryRetries();
  stub.answers.push({ status: 503 }, { status: 413 }, {}, { status: 413 });
  start();
  for (const candidate_id of ["c-1", "c-2", "c-3", "c-4"]) client.thumb({ ...THUMB, candidate_id });
  await eventually(() => client.flush());
  const sent = stub.bodies.map((body) => body.events.map((event) => event.candidate_id));
  assert.deepEqual(sent.slice(1), [["c-1", "c-2", "c-3", "c-4"], ["c-1", "c-2"], ["c-3", "c-4"], ["c-3"], ["c-4"]]);
});

test("a text cut inside an emoji arrives, and costs no other event", async () => {
  const refuse = (events: Record<string, unknown>[]) => /\\ud[89a-f]/.test(JSON.stringify(events));
  stub.decide = (events) => (refuse(events) ? { status: 400, body: JSON.stringify({ error: BAD }) } : {});
  start();
  client.thumb({ ...THUMB, comment: "Great 👍".slice(0, -1) });
  client.thumb({ ...THUMB, candidate_id: "c-2" });
  assert.equal(await client.flush(), true);
  assert.deepEqual(stub.events.map((event) => event.comment), ["Great \ufffd", undefined]);
  assert.deepEqual(client.dropped, {});
});

const BAD = { code: "invalid_body", message: "The body is not valid", hint: "Send JSON" };

test("a request refused for one event goes again in halves until that one stands alone", async () => {
  hurryRetries();
  stub.answers.push({ status: 503 });
  stub.decide = (events) =>
    events.some((event) => event.candidate_id === "c-17") ? { status: 400, body: JSON.stringify({ error: BAD }) } : {};
  start();
  for (let i = 0; i < 41; i++) client.thumb({ ...THUMB, candidate_id: `c-${i}` });
  assert.equal(await eventually(() => client.flush()), true);
  assert.deepEqual(client.dropped, { invalid_body: 1 });
  assert.deepEqual(problems, [BAD]);
  const good = stub.bodies.slice(1).filter((body) => !body.events.some((event) => event.candidate_id === "c-17"));
  assert.equal(good.flatMap((body) => body.events).length, 40);
  assert.equal(new Set(good.flatMap((body) => body.events.map((event) => event.event_id))).size, 40);
});

for (const [name, answer] of Object.entries({
  "an HTML 404": { status: 404, body: "<html>Not found</html>" },
  "an HTML 403": { status: 403, body: "<html>Forbidden</html>" },
  "an HTML 400": { status: 400, body: "<html>Bad request</html>" },
  "an HTML 407": { status: 407, body: "<html>Who are you</html>" },
  "a gateway's own JSON": { status: 401, body: '{"error": {"code": "Unauthorized", "message": "No"}}' },
  "JSON without results": { status: 200, body: "{}" },
})) {
  test(`${name} is waited out`, async () => {
    hurryRetries();
    for (let n = 0; n < 4; n++) stub.answers.push(answer);
    start().thumb({ ...THUMB, candidate_id: "c-0" });
    assert.equal(await client.flush(1), false);
    for (let i = 1; i < 3; i++) client.thumb({ ...THUMB, candidate_id: `c-${i}` });
    assert.equal(await eventually(() => client.flush()), true);
    assert.deepEqual(client.dropped, {});
    const after = stub.bodies.slice(4).flatMap((body) => body.events.map((event) => event.candidate_id));
    assert.deepEqual(after.sort(), ["c-0", "c-1", "c-2"]);
  });
}

test("what a proxy refuses of one event holds up no other", async () => {
  hurryRetries();
  let blocks = true;
  stub.decide = (events) =>
    blocks && events.some((event) => event.comment === "<script>") ? { status: 403, body: "<html>Blocked</html>" } : {};
  start().thumb({ ...THUMB, comment: "<script>" });
  for (let i = 0; i < 5; i++) client.thumb({ ...THUMB, candidate_id: `c-${i}` });
  await until(() => new Set(arrived()).size === 5);
  assert.equal(await client.flush(100), false);
  blocks = false;
  assert.equal(await eventually(() => client.flush()), true);
  assert.deepEqual(client.dropped, {});
});

/** Ids of replies in requests that held no blocked event. */
function arrived(): unknown[] {
  const clean = stub.bodies.filter((body) => !body.events.some((event) => event.comment));
  return clean.flatMap((body) => body.events.map((event) => event.candidate_id));
}

test("a report counts as told only where the collector took it", async () => {
  hurryRetries();
  start();
  client.thumb({ ...THUMB, actor: { id: "" } });
  stub.answers.push({ status: 200, body: "<html>Log in</html>" });
  client.thumb(THUMB);
  assert.equal(await eventually(() => client.flush()), true);
  assert.deepEqual(stub.bodies.map((body) => body.dropped?.counts), [{ actor: 1 }, { actor: 1 }]);
  assert.equal(stub.bodies[0]!.dropped!.event_id, stub.bodies[1]!.dropped!.event_id);
});

test("init for another project leaves the first client at work", async () => {
  const first = start();
  const second = await new Stub().start();
  const other = init({ url: second.url, key: "tw_pub_other", actor: "u-2" });
  first.thumb(THUMB);
  other.thumb(THUMB);
  assert.equal(await first.flush(), true);
  assert.equal(await other.flush(), true);
  assert.deepEqual([stub.bodies[0]!.key, second.bodies[0]!.key], [KEY, "tw_pub_other"]);
  await other.shutdown(50);
  second.stop();
});

test("a rejected event is reported and not sent again", async () => {
  const error = { code: "unknown_field", message: "value must be up or down", field: "value" };
  stub.answers.push({ status: 207, results: () => ({ status: "rejected", error }) });
  start();
  const heard: string[] = [];
  client.subscribe((delivery) => heard.push(`${delivery.event_id} ${delivery.status}`));
  const id = client.thumb(THUMB);
  await until(() => problems.length === 1);
  assert.deepEqual(problems, [error]);
  assert.deepEqual(heard, [`${id} rejected`]);
  assert.equal(await client.flush(), true);
  assert.equal(stub.bodies.length, 1);
});

test("with consent required nothing is kept or sent before optIn, nor after optOut", async () => {
  start({ consent: "required" });
  assert.equal(client.thumb(THUMB), null);
  client.optIn();
  client.thumb({ ...THUMB, candidate_id: "c-2" });
  await until(() => stub.events.length === 1);
  assert.equal(stub.events[0]!.candidate_id, "c-2");
  client.optOut();
  assert.equal(client.thumb(THUMB), null);
  await client.flush();
  assert.equal(stub.events.length, 1);
  assert.deepEqual(client.dropped, { consent: 2 });
});

test("beforeSend changes or drops an event, and one that fails drops it", async () => {
  let mode = "change";
  start({
    beforeSend: (event) => {
      if (mode === "fail") throw new Error("host bug");
      return mode === "drop" ? null : { ...event, comment: "[masked]" };
    },
  });
  client.thumb({ ...THUMB, comment: "call me at 555" });
  await until(() => stub.events.length === 1);
  assert.equal(stub.events[0]!.comment, "[masked]");
  mode = "drop";
  assert.equal(client.thumb(THUMB), null);
  mode = "fail";
  assert.equal(client.thumb(THUMB), null);
  assert.deepEqual(client.dropped, { before_send: 1, failed: 1 });
});

test("nothing a host does wrong throws", async () => {
  assert.doesNotThrow(() => thumb(THUMB));
  assert.doesNotThrow(() => init(undefined as unknown as Options).thumb(THUMB));
  assert.doesNotThrow(() => init({ url: "not a url", key: KEY, actor: "u" }).thumb(THUMB));
  start({ onError: () => { throw new Error("host bug"); } });
  client.subscribe(() => { throw new Error("host bug"); });
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  assert.equal(client.thumb({ ...THUMB, context: circular }), null);
  assert.equal(client.thumb(undefined as never), null);
  assert.equal(start({ actor: undefined }).thumb(THUMB), null);
  assert.equal(problems.at(-1)!.code, "actor");
});

test("an interaction needs a secret key", async () => {
  const turn = { interaction_id: "i-1", messages: [{ role: "user", content: "Hi" }], candidates: [{ candidate_id: "c-1", content: "Hello" }] };
  assert.equal(start().interaction(turn), null);
  assert.equal(problems[0]!.code, "needs_secret_key");
  assert.ok(start({ key: "tw_sec_test" }).interaction(turn));
  await until(() => stub.events.length === 1);
});
