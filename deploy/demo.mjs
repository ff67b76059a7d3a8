// SPDX-License-Identifier: Apache-2.0
// The campaign of deploy/quickstart: the vendor's unmodified npm SDK on one side, otasim's devices on the other.
// Environment: OTA_* of deploy/stack's env file, DEMO_NPM (package.json of the SDKs), DEMO_DIR (work directory),
// DEMO_DEVICES. Exit status 0 only when the campaign ended as it has to.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';

const require = createRequire(process.env.DEMO_NPM);
const Iot = require('@alicloud/iot20180120');
const OpenApi = require('@alicloud/openapi-client');

const env = process.env;
const dir = env.DEMO_DIR;
const FLEET = Number(env.DEMO_DEVICES || 1000);
const PER_MINUTE = 1000, GRAY_PERCENT = 10, PACKAGE_BYTES = 5 * 1024 * 1024, WINDOW_MS = 60000;
const OFFLINE_PERCENT = 5, OFFLINE_UNTIL_S = 40, FAIL_PERCENT = 3;
const DEADLINE_MS = 170000;
const STATES = ['QUEUED', 'NOTIFIED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'CANCELED'];
const ENDED = ['SUCCEEDED', 'FAILED', 'CANCELED'];
const started = Date.now();
const tty = process.stdout.isTTY;
const seconds = () => ((Date.now() - started) / 1000).toFixed(1).padStart(6);
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const say = (text) => console.log(`${seconds()} s  ${text}`);

const client = new Iot.default(new OpenApi.Config({
  accessKeyId: env.OTA_AK, accessKeySecret: env.OTA_SK, endpoint: env.OTA_ENDPOINT, protocol: env.OTA_PROTOCOL,
}));

// One call, at most 8 of an action a second: the documented quotas (10 and more) hold for the demo too.
const next = new Map();
async function call(action, fields = {}) {
  const at = Math.max(Date.now(), next.get(action) ?? 0);
  next.set(action, at + 125);
  await sleep(at - Date.now());
  const method = action[0].toLowerCase() + action.slice(1);
  const { body } = await client[method](new Iot[action + 'Request'](fields));
  if (!body.success) throw new Error(`${action}: ${body.code}: ${body.errorMessage}`);
  return body;
}

async function until(what, condition) {
  for (;;) {
    if (await condition()) return;
    if (Date.now() - started > DEADLINE_MS) throw new Error(`${what}: not within ${DEADLINE_MS / 1000} s`);
    await sleep(500);
  }
}

// ---- the parts of the campaign ----

async function registerFleet(productKey) {
  const { applyId } = (await call('BatchRegisterDevice', { productKey, count: FLEET })).data;
  await until('batch registration', async () =>
    (await call('QueryBatchRegisterDeviceStatus', { productKey, applyId })).data.status === 'CREATE_SUCCESS');
  const rows = [];
  for (let currentPage = 1; rows.length < FLEET; currentPage++) {
    const page = await call('QueryPageByApplyId', { applyId, pageSize: 50, currentPage });
    const got = page.applyDeviceList?.applyDeviceInfo ?? [];
    if (!got.length) throw new Error(`the pages of the batch hold only ${rows.length} devices`);
    rows.push(...got);
  }
  return rows;
}

// The browser form that GenerateOTAUploadURL describes; the file comes last.
async function upload(content) {
  const form = (await call('GenerateOTAUploadURL')).data;
  const boundary = '----demo' + crypto.randomBytes(12).toString('hex');
  const fields = { key: form.key, policy: form.policy, OSSAccessKeyId: form.OSSAccessKeyId,
    signature: form.signature, success_action_status: '200' };
  const head = Object.entries(fields).map(([name, value]) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`).join('') +
    `--${boundary}\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  const body = Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${boundary}--\r\n`)]);
  const status = await new Promise((ok, no) => {
    const request = (form.host.startsWith('https:') ? https : http).request(form.host, { method: 'POST', headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`, 'content-length': body.length } },
    (answer) => { answer.resume(); answer.on('end', () => ok(answer.statusCode)); });
    request.on('error', no);
    request.end(body);
  });
  if (status !== 200) throw new Error(`the upload form answered ${status}`);
  return form.firmwareUrl;
}

let sim;
let simEnded;
function startDevices(productKey, rows) {
  const csv = path.join(dir, 'devices.csv');
  fs.writeFileSync(csv, rows.map((r) => `${productKey},${r.deviceName},${r.deviceSecret}\n`).join(''), { mode: 0o600 });
  sim = spawn(path.join(env.OTA_BIN, 'otasim'), ['--broker', env.OTA_BROKER, ...(env.OTA_CA ? ['--ca', env.OTA_CA] : []), '--devices', csv,
    '--version', '1.0.0', '--profile', 'c-link-3.2:40,c-link-4:40,node:15,paho:5', '--any-port', '--connect-rate', '200',
    '--offline', String(OFFLINE_PERCENT), '--offline-until', String(OFFLINE_UNTIL_S),
    '--fail-rate', String(FAIL_PERCENT), '--fail-kinds=-1,-2,-4,version', '--delay', '1000', '--duplicates', '5',
    '--duration', '600', '--push-log', path.join(dir, 'pushes.log'), '--report', path.join(dir, 'otasim.json')],
  { stdio: ['ignore', 'inherit', 'inherit'] });
  simEnded = new Promise((ok) => sim.on('exit', ok));
}
async function stopDevices() {
  sim.kill('SIGTERM');
  await simEnded;
  return JSON.parse(fs.readFileSync(path.join(dir, 'otasim.json'), 'utf8'));
}
const pushLines = () => fs.existsSync(path.join(dir, 'pushes.log'))
  ? fs.readFileSync(path.join(dir, 'pushes.log'), 'utf8').split('\n').slice(0, -1) : [];

// The most pushes that arrived at devices in any 60 seconds.
function worstWindow(lines) {
  const at = lines.map((l) => Number(l.split(' ')[0])).sort((a, b) => a - b);
  let worst = 0;
  for (let first = 0, last = 0; last < at.length; last++) {
    while (at[last] - at[first] >= WINDOW_MS) first++;
    worst = Math.max(worst, last - first + 1);
  }
  return { worst, span: at.length ? at[at.length - 1] - at[0] : 0, first: at[0] };
}

async function tasksByState(jobId) {
  const out = {};
  for (const taskStatus of STATES)
    out[taskStatus] = (await call('ListOTATaskByJob', { jobId, taskStatus, pageSize: 1, currentPage: 1 })).total ?? 0;
  return out;
}

const COLOR = { SUCCEEDED: 32, FAILED: 31, CANCELED: 35, IN_PROGRESS: 36, NOTIFIED: 34, QUEUED: 90 };
const ORDER = ['SUCCEEDED', 'FAILED', 'CANCELED', 'IN_PROGRESS', 'NOTIFIED', 'QUEUED'];
function draw(name, states, last) {
  const total = STATES.reduce((n, s) => n + states[s], 0);
  const text = ORDER.filter((s) => states[s]).map((s) => `${s} ${states[s]}`).join('  ');
  if (!tty) {
    console.log(`${seconds()} s  ${name}: ${text || 'no tasks yet'}`);
    return;
  }
  const width = Math.max(10, Math.min(40, (process.stdout.columns || 80) - 70));
  let bar = '', drawn = 0, sum = 0;
  for (const s of ORDER) {
    sum += states[s];
    const cells = total ? Math.round((sum / total) * width) - drawn : 0;
    bar += `\x1b[${COLOR[s]}m${'█'.repeat(cells)}\x1b[0m`;
    drawn += cells;
  }
  bar += ' '.repeat(width - drawn);
  process.stdout.write(`\r\x1b[2K${seconds()} s  ${name} ${bar} ${text}${last ? '\n' : ''}`);
}

async function watch(name, jobId) {
  for (let shown = 0; ;) {
    const states = await tasksByState(jobId);
    const info = (await call('QueryOTAJob', { jobId })).data;
    const over = ['COMPLETED', 'CANCELED'].includes(info.jobStatus);
    if (tty || over || Date.now() - shown > 5000) {
      draw(name, states, over);
      shown = Date.now();
    }
    if (over) return tasksByState(jobId);
    if (Date.now() - started > DEADLINE_MS) {
      const open = [];
      for (const taskStatus of STATES.filter((s) => !ENDED.includes(s) && states[s]))
        open.push(...((await call('ListOTATaskByJob', { jobId, taskStatus, pageSize: 5, currentPage: 1 })).data?.simpleOTATaskInfo ?? [])
          .map((t) => `${t.deviceName} ${t.taskStatus} ${t.progress} ${t.srcVersion} ${t.taskDesc ?? ''}`));
      throw new Error(`job ${name.trim()} is ${info.jobStatus} after ${DEADLINE_MS / 1000} s; open: ${open.join('; ')}`);
    }
    await sleep(250);
  }
}

const jobFields = (fw, productKey, extra) => ({ firmwareId: fw, productKey, maximumPerMinute: PER_MINUTE,
  tag: [['campaign', 'quickstart'], ['ring', extra.targetSelection.toLowerCase()]].map(([key, value]) =>
    new Iot.CreateOTAStaticUpgradeJobRequestTag({ key, value })), ...extra });

async function main() {
  const product = await call('CreateProduct', { productName: 'demo_' + crypto.randomBytes(5).toString('hex'), nodeType: 0, dataFormat: 1, aliyunCommodityCode: 'iothub_senior', netType: 'WIFI' });
  const productKey = product.data.productKey;
  say(`product ${productKey} created`);
  const rows = await registerFleet(productKey);
  say(`${rows.length} devices registered over the API`);
  startDevices(productKey, rows);
  const content = crypto.randomBytes(PACKAGE_BYTES);
  const firmwareUrl = await upload(content);
  const firmwareId = (await call('CreateOTAFirmware', { productKey, firmwareName: 'demo-' + crypto.randomBytes(5).toString('hex'),
    destVersion: '2.0.0', firmwareUrl, needToVerify: false })).data.firmwareId;
  say(`package ${firmwareId} of ${PACKAGE_BYTES / 1048576} MiB uploaded through the form`);

  // Devices log in at 200 a second; the last ones of the list that are not offline at first come last.
  await until('devices online', async () => {
    let seen = 0;
    for (const r of rows.slice(-8))
      seen += (await call('QueryDeviceDetail', { productKey, deviceName: r.deviceName })).data.firmwareVersion === '1.0.0';
    return seen >= 4;
  });
  say(`devices are online, about ${OFFLINE_PERCENT} % come later, about ${FAIL_PERCENT} % will fail`);

  const gray = (await call('CreateOTAStaticUpgradeJob', jobFields(firmwareId, productKey,
    { targetSelection: 'GRAY', grayPercent: String(GRAY_PERCENT) }))).data.jobId;
  say(`GRAY job ${gray}: ${GRAY_PERCENT} % of the fleet`);
  const grayTasks = await watch('GRAY', gray);
  const grayPushes = pushLines().length;
  const all = (await call('CreateOTAStaticUpgradeJob', jobFields(firmwareId, productKey, { targetSelection: 'ALL' }))).data.jobId;
  say(`ALL job ${all}: the rest, at ${PER_MINUTE} a minute`);
  const allTasks = await watch('ALL ', all);
  await sleep(1100); // otasim writes its log once a second
  const lines = pushLines();
  const report = await stopDevices();
  return { gray, all, grayTasks, allTasks, report, lines, grayPushes };
}

function summary({ gray, all, grayTasks, allTasks, report, lines, grayPushes }) {
  const wrong = [];
  const parts = [['GRAY', gray, grayTasks, lines.slice(0, grayPushes)], ['ALL', all, allTasks, lines.slice(grayPushes)]];
  console.log('\nSummary');
  for (const [name, id, tasks, pushes] of parts) {
    const w = worstWindow(pushes);
    const total = STATES.reduce((n, s) => n + tasks[s], 0);
    console.log(`  ${name.padEnd(4)} ${id}  ${total} tasks: ${STATES.filter((s) => tasks[s]).map((s) => `${s} ${tasks[s]}`).join(', ')}`);
    console.log(`       ${pushes.length} pushes in ${(w.span / 1000).toFixed(1)} s (devices / rate = ${(pushes.length * 60 / PER_MINUTE).toFixed(1)} s), worst 60 seconds: ${w.worst} of ${PER_MINUTE} allowed`);
    if (w.worst > PER_MINUTE) wrong.push(`${name}: ${w.worst} pushes in 60 seconds`);
    const open = STATES.filter((s) => !ENDED.includes(s)).reduce((n, s) => n + tasks[s], 0);
    if (open) wrong.push(`${name}: ${open} tasks did not end`);
    if (!tasks.SUCCEEDED) wrong.push(`${name}: no task succeeded`);
    if (tasks.CANCELED) wrong.push(`${name}: ${tasks.CANCELED} tasks were cancelled`);
  }
  const target = Math.floor(FLEET * GRAY_PERCENT / 100);
  const grayTotal = STATES.reduce((n, s) => n + grayTasks[s], 0), allTotal = STATES.reduce((n, s) => n + allTasks[s], 0);
  if (grayTotal !== target) wrong.push(`GRAY has ${grayTotal} tasks instead of ${target}`);
  if (allTotal !== FLEET - grayTasks.SUCCEEDED) wrong.push(`ALL has ${allTotal} tasks instead of ${FLEET - grayTasks.SUCCEEDED}`);
  const succeeded = grayTasks.SUCCEEDED + allTasks.SUCCEEDED, failed = grayTasks.FAILED + allTasks.FAILED;
  console.log(`  devices  ${report.ever_online} online, ${report.successes} updated, ${report.failures} failures played, ` +
    `${report.downloads} downloads (${(report.bytes / 1048576).toFixed(0)} MiB), ${report.digest_errors} digest errors, ` +
    `push to new version p50 ${report.update_ms_p50} ms, p99 ${report.update_ms_p99} ms`);
  if (report.digest_errors) wrong.push(`${report.digest_errors} digest errors`);
  if (report.downloads_failed) wrong.push(`${report.downloads_failed} downloads failed`);
  if (report.ever_online !== FLEET) wrong.push(`only ${report.ever_online} of ${FLEET} devices came online`);
  if (report.successes !== succeeded) wrong.push(`devices count ${report.successes} updates, the platform ${succeeded}`);
  if (report.failures !== failed) wrong.push(`devices count ${report.failures} failures, the platform ${failed}`);
  console.log(`  time     ${seconds().trim()} s`);
  return wrong;
}

for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => { sim?.kill('SIGTERM'); process.exit(130); });
process.on('exit', () => sim?.kill('SIGTERM'));
try {
  const wrong = summary(await main());
  if (wrong.length) {
    console.error(`\nNot as expected:\n  ${wrong.join('\n  ')}`);
    process.exitCode = 1;
  } else {
    console.log('\nEvery online device reached the end of its task, and no window was above the limit.');
  }
} catch (e) {
  console.error(`\nThe demo failed: ${e.message}`);
  process.exitCode = 1;
}
process.exit();
