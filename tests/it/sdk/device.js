// SPDX-License-Identifier: Apache-2.0
// A device on the vendor's Node.js SDK, with the application that the SDK leaves to its user: it subscribes to
// pushes, reports its version, downloads, checks, reports again. Options as one JSON object: productKey, deviceName,
// deviceSecret, brokerUrl, version, and more for the SDK; ignore: pushes to lose first; pull: ask for an update,
// again after each answer that has none. One JSON line a step on standard output; ends with the standard input.
'use strict';
const crypto = require('crypto');
const http = require('http');
const path = require('path');
const iot = require(path.join(process.env.SDK, 'node_modules/alibabacloud-iot-device-sdk'));

const { version, ignore = 0, pull = false, ...options } = JSON.parse(process.argv[2]);
const names = `${options.productKey}/${options.deviceName}`;
const upgrade = `/ota/device/upgrade/${names}`;
const reply = `/sys/${names}/thing/ota/firmware/get_reply`;
const say = (step, more) => console.log(JSON.stringify({ step, ...more }));
let id = 0;
let lost = 0;
let running = version;

const device = iot.device(options);
const report = (kind, params) => device.publish(`/ota/device/${kind}/${names}`,
  JSON.stringify({ id: String(++id), params }), { qos: 1 });
const ask = () => device.publish(`/sys/${names}/thing/ota/firmware/get`,
  JSON.stringify({ id: String(++id), version: '1.0', params: {}, method: 'thing.ota.firmware.get' }));

function download(url, done) {
  http.get(url, (answer) => {
    const sum = crypto.createHash('md5');
    answer.on('data', (piece) => sum.update(piece));
    answer.on('end', () => done(answer.statusCode, sum.digest('hex')));
  }).on('error', () => done(0, ''));
}

function install(data) {
  report('progress', { step: '0', desc: '' });
  download(data.url, (status, md5) => {
    if (status !== 200 || md5 !== data.md5)
      return report('progress', { step: status === 200 ? '-3' : '-2', desc: `status ${status}` });
    report('progress', { step: '100', desc: '' });
    running = data.version;
    report('inform', { version: running });
    return say('installed', { version: running });
  });
}

let first = true;
device.on('connect', () => {
  say('connect', {});
  if (!first)
    return;
  first = false;
  device.subscribe(upgrade, { qos: 1 });
  device.subscribe(reply, { qos: 1 });
  report('inform', { version: running });
  if (pull)
    ask();
});
device.on('close', () => say('close', {}));
device.on('error', (e) => say('error', { text: String(e) }));
device.on('message', (topic, payload) => {
  if (topic !== upgrade && topic !== reply)
    return;
  const { data } = JSON.parse(payload);
  say(topic === upgrade ? 'push' : 'answer', { data });
  if (!data.url)
    setTimeout(ask, 500);
  else if (lost < ignore)
    lost++;
  else
    install(data);
});
process.stdin.on('end', () => process.exit(0)).resume();
