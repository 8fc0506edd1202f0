// Speaks the language server protocol with yaml-language-server: `node check.mjs PATH-OF-THE-SERVER`, from the repository's root.
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import assert from "node:assert/strict";

const server = spawn(process.argv[2], ["--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const answers = new Map(); // id → what waits for it
const told = new Map(); // address → what waits for its diagnostics
let received = Buffer.alloc(0);
let asked = 0;

server.stdout.on("data", (bytes) => {
  received = Buffer.concat([received, bytes]);
  for (;;) {
    const end = received.indexOf("\r\n\r\n");
    const length = end < 0 ? NaN : Number(/Content-Length: (\d+)/i.exec(received.subarray(0, end).toString())[1]);
    if (!(received.length >= end + 4 + length)) return;
    const message = JSON.parse(received.subarray(end + 4, end + 4 + length).toString());
    received = received.subarray(end + 4 + length);
    if (message.method === "textDocument/publishDiagnostics") {
      told.get(message.params.uri)?.(message.params.diagnostics);
    } else if (message.method && message.id !== undefined) {
      // It asks for settings; there are none.
      const result = message.method === "workspace/configuration" ? message.params.items.map(() => null) : null;
      send({ id: message.id, result });
    } else if (message.id !== undefined) {
      answers.get(message.id)?.(message.result);
    }
  }
});

function send(message) {
  const text = JSON.stringify({ jsonrpc: "2.0", ...message });
  server.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

function ask(method, params) {
  asked += 1;
  const id = asked;
  return new Promise((resolve) => {
    answers.set(id, resolve);
    send({ id, method, params });
  });
}

/// Opens a text as if it stood at `path`; returns what is wrong with it, as `line: message`.
function open(path, text) {
  const uri = pathToFileURL(path).href;
  return new Promise((resolve) => {
    told.set(uri, (found) => resolve(found.map((one) => `${one.range.start.line + 1}: ${one.message}`)));
    send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version: 1, text } } });
  });
}

/// Asks about the place marked `|` in a text.
async function at(method, path, marked) {
  const before = marked.slice(0, marked.indexOf("|")).split("\n");
  await open(path, marked.replace("|", ""));
  const position = { line: before.length - 1, character: before.at(-1).length };
  return ask(method, { textDocument: { uri: pathToFileURL(path).href }, position });
}

await ask("initialize", { processId: process.pid, rootUri: pathToFileURL(".").href, capabilities: {} });
send({ method: "initialized", params: {} });

const head = "# yaml-language-server: $schema=../schemas/workflow.json\nversion: 1\n";
let checks = 0;

// Every workflow of the repository is right.
for (const name of readdirSync("workflows").filter((name) => name.endsWith(".yaml"))) {
  assert.deepEqual(await open(`workflows/${name}`, readFileSync(`workflows/${name}`, "utf8")), [], name);
  checks += 1;
}

// What another plugin takes is not known.
assert.deepEqual(
  await open("workflows/other.yaml", head + "stages:\n  a: {kind: filter, with: {plugin: p, config: {max_words: no, other: [1]}}}\n"),
  [],
);

// Mistakes are flagged in their line.
for (const [line, message, text] of [
  [4, "Value is not accepted", "stages:\n  a: {kind: sampel}\n"],
  [4, "Property temprature is not allowed", "stages:\n  a: {kind: sample, with: {model: base, temprature: 1}}\n"],
  [4, 'Missing property "split"', "stages:\n  a: {kind: scenes, with: {count: 3}}\n"],
  [4, "Incorrect type", "stages:\n  a: {kind: sample, with: {model: base, n: many}}\n"],
  [3, "Property stage is not allowed", "stage: {}\nstages:\n  a: {kind: sample}\n"],
  [3, "Value is not accepted", "models: {m: {kind: vml}}\nstages:\n  a: {kind: sample}\n"],
]) {
  const found = await open(`workflows/wrong-${checks}.yaml`, head + text);
  assert(found.some((one) => one.startsWith(`${line}: ${message}`)), `${text}\n${found.join("\n")}`);
  checks += 1;
}

// What can stand at a place is offered.
for (const [labels, text] of [
  [["sample", "detect", "train"], "stages:\n  a:\n    kind: |\n"],
  [["temperature", "n", "top_p"], "stages:\n  a:\n    kind: sample\n    with:\n      |\n"],
  [["max_per_image", "distinct"], "stages:\n  a:\n    kind: filter\n    with:\n      plugin: p\n      config:\n        |\n"],
  [["alpaca", "sharegpt"], "stages:\n  a:\n    kind: convert\n    with:\n      plugin: p\n      config:\n        layout: |\n"],
  [["layout"], "stages:\n  a:\n    kind: convert\n    with:\n      plugin: p\n      config:\n        |\n"],
  [["paper", "compat"], "stages:\n  a:\n    kind: pair\n    with:\n      mode: |\n"],
  [["vlm", "detector"], "models:\n  m:\n    kind: |\nstages: {}\n"],
  [["matrix", "params", "plugins"], "|\nstages: {}\n"],
]) {
  const offered = await at("textDocument/completion", `workflows/offer-${checks}.yaml`, head + text);
  const names = offered.items.map((item) => item.label);
  for (const label of labels) assert(names.includes(label), `${label} is not offered in\n${text}\nbut ${names}`);
  checks += 1;
}

// What stands at a place is explained.
for (const [story, text] of [
  ["Candidates for each description", "stages:\n  a: {kind: sample, with: {model: base, |n: 3}}\n"],
  ["most pairs of one picture", "stages:\n  a: {kind: filter, with: {plugin: p, config: {|max_per_image: 3}}}\n"],
]) {
  const hover = await at("textDocument/hover", `workflows/hover-${checks}.yaml`, head + text);
  assert(JSON.stringify(hover).includes(story), `${text}\n${JSON.stringify(hover)}`);
  checks += 1;
}

console.log(`yaml-language-server: ${checks} checks, all as they should be`);
server.kill();
