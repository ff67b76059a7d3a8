// SPDX-License-Identifier: Apache-2.0
// The vendor's own clients, at the command of a test: a line of JSON {via, action, params} in, a line {body} or {error}
// out. via: iot, iot-v2 (the typed SDK in both of its signing modes), pop-get, pop-post. Parameters and answers go by
// their names on the wire. usage: clients.mjs MODULES ENDPOINT KEY SECRET
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [modules, endpoint, accessKeyId, accessKeySecret] = process.argv.slice(2);
const require = createRequire(modules + '/');
const sdk = require('@alicloud/iot20180120');
const { Config, OpenApiRequest, Params } = require('@alicloud/openapi-client');
const { default: OpenApiUtil } = require('@alicloud/openapi-util');
const { RuntimeOptions } = require('@alicloud/tea-util');
const { RPCClient } = require('@alicloud/pop-core');

const config = { accessKeyId, accessKeySecret, endpoint, protocol: 'http' };
const typed = {
  iot: new sdk.default(new Config(config)),
  'iot-v2': new sdk.default(new Config({ ...config, signatureAlgorithm: 'v2' })),
};
const pop = new RPCClient({ accessKeyId, accessKeySecret, endpoint: `http://${endpoint}`, apiVersion: '2018-01-20' });
const runtime = new RuntimeOptions({ readTimeout: 30000 });

// The request as the SDK's model has it; null when the model is older than a parameter.
function model(c, params) {
  const names = c.names(), types = c.types(), out = {};
  if (Object.keys(params).some((p) => !Object.values(names).includes(p))) return null;
  for (const [member, wire] of Object.entries(names)) {
    if (params[wire] === undefined) continue;
    const item = types[member].itemType;
    out[member] = typeof item === 'function' ? params[wire].map((p) => model(item, p)) : params[wire];
  }
  return new c(out);
}

function wire(value) {
  if (Array.isArray(value)) return value.map(wire);
  if (value === null || typeof value !== 'object' || !value.constructor.names) return value;
  const names = value.constructor.names();
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined).map(([k, v]) => [names[k], wire(v)]));
}

// What the model does not know goes through the SDK's core, as users of newer actions do.
async function byCore(client, action, params) {
  const how = new Params({ action, version: '2018-01-20', protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK',
    style: 'RPC', reqBodyType: 'formData', bodyType: 'json' });
  return (await client.callApi(how, new OpenApiRequest({ query: OpenApiUtil.query(params) }), runtime)).body;
}

async function call({ via, action, params }) {
  if (via.startsWith('pop'))
    return pop.request(action, params, { method: via === 'pop-get' ? 'GET' : 'POST', timeout: 30000 });
  const client = typed[via], request = sdk[`${action}Request`] && model(sdk[`${action}Request`], params);
  if (!request) return byCore(client, action, params);
  return wire((await client[`${action[0].toLowerCase()}${action.slice(1)}WithOptions`](request, runtime)).body);
}

for await (const line of createInterface({ input: process.stdin })) {
  let out;
  try {
    out = { body: await call(JSON.parse(line)) };
  } catch (e) {
    out = { error: { message: e.message, code: e.code, data: e.data } };
  }
  console.log(JSON.stringify(out));
}
