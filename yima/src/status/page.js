// The operator's page: the state of all nodes, and the level of this one.
const EVERY_MS = 2_000;
const LEVELS = [
  "nothing is left out", "no live displays", "no histories", "no look-ups by document",
  "no tokens for phones that have some left", "pages ask less often", "no vaccination", "identity and colour only",
  "scans only",
];

const byId = (id) => document.getElementById(id);

function make(tag, text, name) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function span(seconds) {
  if (seconds === null) return "unknown";
  const units = [[172_800, 86_400, "d"], [7_200, 3_600, "h"], [120, 60, "min"]];
  for (const [from, unit, name] of units) if (seconds >= from) return `${Math.round(seconds / unit)} ${name}`;
  return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}

function row(...cells) {
  const row = document.createElement("tr");
  row.append(...cells.map((cell) => make("td", String(cell))));
  return row;
}

function nodeRow({ address, status }) {
  if (!status) return row(address, "?", "?", "no", "", "", "", "", "", "", "");
  const regions = Object.entries(status.regions_lag_s).map(([region, lag]) => `${region} ${span(lag)}`);
  const reads = ["everything", "read-api"].includes(status.role);
  return row(
    address, status.role, status.region, status.ready ? "yes" : "no", status.level ?? "",
    `${Math.round(status.utilization * 100)} %`, reads ? span(status.lag_s) : "", regions.join(", "),
    ["everything", "writer"].includes(status.role) ? status.marks_waiting : "", span(status.up_s), status.version,
  );
}

function findingItem({ node, severity, text, alert }) {
  const runbook = alert ? ` (runbook: ${alert})` : "";
  return make("li", `${severity}: ${node ?? "all nodes"}: ${text}${runbook}`, severity);
}

async function json(path, options = {}) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5_000), ...options });
  const body = await response.json();
  if (!response.ok) throw new Error(body.errors?.[0]?.detail ?? body.detail ?? `status ${response.status}`);
  return body;
}

/** null: this node has no such thing, as a writer has no level. */
const own = (path) => json(path).catch(() => null);

async function draw() {
  const { nodes, findings } = await json("/status/nodes");
  byId("nodes").replaceChildren(...nodes.map(nodeRow));
  byId("findings").replaceChildren(...(findings.length ? findings.map(findingItem) : [make("li", "nothing")]));
  drawLevel(await own("/level"));
  drawCache(await own("/cache"));
}

function drawLevel(level) {
  byId("level").hidden = level === null;
  if (level === null) return;
  const { by_hand: hand } = level;
  const set = hand ? `, by hand until ${hand.until} (${hand.why}); automatic: ${level.automatic}` : "";
  byId("level-now").textContent =
    `${level.level}: ${LEVELS[level.level]}${set}. Utilization ${level.utilization.toFixed(2)}, ` +
    `queueing ${level.queue_delay_ms.toFixed(1)} ms.`;
}

function drawCache(cache) {
  byId("cache").hidden = cache === null;
  if (cache === null) return;
  byId("cache-file").textContent = cache.file
    ? `Edit ${cache.file}: it is read every two seconds.`
    : "To change them while the node runs, set read_api.cache.tuning_file.";
  const sections = Object.entries(cache).filter(([, settings]) => settings !== null && typeof settings === "object");
  const settings = sections.flatMap(([section, values]) =>
    Object.entries(values).map(([key, { value, source }]) => row(`${section}.${key}`, value, source)));
  byId("cache-settings").replaceChildren(...settings);
}

async function setLevel(body) {
  const options = { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  byId("level-answer").textContent = await json("/level", options).then(
    (level) => {
      drawLevel(level);
      return "Done, and in the audit log.";
    },
    (error) => `Refused: ${error.message}`,
  );
}

async function follow() {
  const state = await draw().then(
    () => `As of ${new Date().toLocaleTimeString()}.`,
    (error) => `This node does not answer: ${error.message}`,
  );
  byId("state").textContent = state;
  setTimeout(follow, EVERY_MS);
}

byId("level-number").append(...LEVELS.map((name, level) => new Option(`${level}: ${name}`, level)));
byId("set-level").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = (id) => Number(byId(id).value);
  void setLevel({ level: number("level-number"), for_s: number("level-hours") * 3_600, why: byId("level-why").value });
});
byId("level-automatic").addEventListener("click", () => void setLevel({ level: null }));
void follow();
