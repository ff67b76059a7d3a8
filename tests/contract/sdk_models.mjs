// SPDX-License-Identifier: Apache-2.0
// Prints what the vendor's typed SDK sends and reads: {action: {in: {name: type}, out: {name: type}}}; a type is
// "string", "number" or "boolean", [type] for a list, {name: type} for a struct.
import { createRequire } from 'module';

const sdk = createRequire(process.argv[2] + '/')('@alicloud/iot20180120');

function type(t) {
  if (typeof t === 'string') return t;
  if (typeof t === 'function') return model(t);
  if (t.type === 'array') return [type(t.itemType)];
  throw new Error(`unknown type ${JSON.stringify(t)}`);
}

function model(c) {
  const names = c.names(), types = c.types();
  return Object.fromEntries(Object.keys(names).map((k) => [names[k], type(types[k])]));
}

const out = {};
for (const action of process.argv.slice(3))
  if (sdk[`${action}Request`])
    out[action] = { in: model(sdk[`${action}Request`]), out: model(sdk[`${action}ResponseBody`]) };
console.log(JSON.stringify(out));
