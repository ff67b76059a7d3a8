// SPDX-License-Identifier: Apache-2.0
// Every action of the registry through the vendor's own clients: the typed SDK in both of its signing modes and pop-core
// by GET and POST. usage: sdk_registry.mjs MODULES ENDPOINT KEY SECRET INSTANCE iot|iot-v2|pop-get|pop-post
// Prints the actions that it has called, as JSON; ends with 1 at the first answer that is not as it should be.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';

const [modules, endpoint, ak, sk, instance, via] = process.argv.slice(2);
const require = createRequire(modules + '/');
const sdk = require('@alicloud/iot20180120');
const { Config } = require('@alicloud/openapi-client');
const { RPCClient } = require('@alicloud/pop-core');

const typed = new sdk.default(new Config({
  accessKeyId: ak, accessKeySecret: sk, endpoint, protocol: 'http',
  ...(via === 'iot-v2' ? { signatureAlgorithm: 'v2' } : {}),
}));
const pop = new RPCClient({
  accessKeyId: ak, accessKeySecret: sk, endpoint: `http://${endpoint}`, apiVersion: '2018-01-20',
});
const called = new Set();
const name = (prefix) => prefix + randomBytes(6).toString('hex');

// Parameters by their names on the wire, as the model of the SDK wants them.
function model(c, params) {
  const names = c.names(), types = c.types(), out = {};
  for (const [member, wire] of Object.entries(names)) {
    if (params[wire] === undefined) continue;
    const item = types[member].itemType;
    out[member] = typeof item === 'function' ? params[wire].map((p) => model(item, p)) : params[wire];
  }
  assert.deepEqual(Object.keys(params).filter((p) => !Object.values(names).includes(p)), [], c.name);
  return new c(out);
}

// The answer by its names on the wire again.
function wire(value) {
  if (Array.isArray(value)) return value.map(wire);
  if (value === null || typeof value !== 'object' || !value.constructor.names) return value;
  const names = value.constructor.names();
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined).map(([k, v]) => [names[k], wire(v)]));
}

async function call(action, params = {}) {
  called.add(action);
  let body;
  if (via.startsWith('pop'))
    body = structuredClone(await pop.request(action, params, { method: via === 'pop-get' ? 'GET' : 'POST' }));
  else
    body = wire((await typed[action[0].toLowerCase() + action.slice(1)](model(sdk[`${action}Request`], params))).body);
  assert.equal(body.Success, true, `${action}: ${JSON.stringify(body)}`);
  assert.equal(body.Code, undefined, action);
  return body;
}

async function until(what, condition) {
  for (let i = 0; i < 600; i++) {
    if (await condition()) return;
    await new Promise((r) => setTimeout(r, 50));
  }
  assert.fail(`did not happen: ${what}`);
}

const applied = (pk, ApplyId, want) => until(`${ApplyId} ${want}`, async () =>
  (await call('QueryBatchRegisterDeviceStatus', { ProductKey: pk, ApplyId })).Data.Status === want);

// ---- products ----
const product = (await call('CreateProduct', {
  ProductName: name('sdk_'), NodeType: 0, Description: 'Wärme & 水', Id2: false, ValidateType: 1 })).Data;
const pk = product.ProductKey;
await call('UpdateProduct', { ProductKey: pk, ProductName: name('sdk_'), Description: 'second (!)' });
assert.equal((await call('QueryProduct', { ProductKey: pk })).Data.Description, 'second (!)');
const products = (await call('QueryProductList', { CurrentPage: 1, PageSize: 200 })).Data.List.ProductInfo;
assert.ok(products.some((p) => p.ProductKey === pk));

// ---- registration ----
const lamp = (await call('RegisterDevice', { ProductKey: pk, DeviceName: 'lamp-@.:_1', Nickname: 'hall_lamp' })).Data;
const meter = (await call('RegisterDevice', { ProductKey: pk, DeviceName: 'meter-1' })).Data;
const random = (await call('BatchRegisterDevice', { ProductKey: pk, Count: 2 })).Data.ApplyId;
await applied(pk, random, 'CREATE_SUCCESS');
assert.equal((await call('QueryPageByApplyId', { ApplyId: random, CurrentPage: 1, PageSize: 50 }))
  .ApplyDeviceList.ApplyDeviceInfo.length, 2);
const checked = (await call('BatchCheckDeviceNames', {
  ProductKey: pk, DeviceNameList: [{ DeviceName: 'named-1', DeviceNickname: 'nick_1' }, { DeviceName: 'named-2' }] }))
  .Data.ApplyId;
await applied(pk, checked, 'CHECK_SUCCESS');
await call('BatchRegisterDeviceWithApplyId', { ProductKey: pk, ApplyId: checked });
await applied(pk, checked, 'CREATE_SUCCESS');
const plain = (await call('BatchCheckDeviceNames', { ProductKey: pk, DeviceName: ['named-3', 'meter-1'] })).Data.ApplyId;
const failed = await call('QueryBatchRegisterDeviceStatus', { ProductKey: pk, ApplyId: plain });
assert.equal(failed.Data.Status, 'CHECK_FAILED');
assert.deepEqual(failed.Data.InvalidList.Name, ['meter-1']);

// ---- devices ----
const all = await call('QueryDevice', { ProductKey: pk, CurrentPage: 1, PageSize: 50 });
assert.equal(all.Total, 6);
assert.deepEqual(all.Data.DeviceInfo.map((d) => d.DeviceName).slice(-2), ['meter-1', 'lamp-@.:_1']);
assert.equal((await call('QueryDeviceDetail', { ProductKey: pk, DeviceName: lamp.DeviceName })).Data.IotId, lamp.IotId);
assert.equal((await call('BatchQueryDeviceDetail', { ProductKey: pk, DeviceName: ['meter-1', lamp.DeviceName] }))
  .Data.Data[1].DeviceSecret, lamp.DeviceSecret);
assert.equal((await call('QueryDeviceInfo', { IotId: lamp.IotId })).Data.Nickname, 'hall_lamp');
assert.equal((await call('GetDeviceStatus', { IotId: lamp.IotId })).Data.Status, 'UNACTIVE');
assert.equal((await call('BatchGetDeviceState', { IotId: [lamp.IotId, meter.IotId] }))
  .DeviceStatusList.DeviceStatus.length, 2);
assert.equal((await call('BatchGetDeviceState', { ProductKey: pk, DeviceName: ['meter-1'] }))
  .DeviceStatusList.DeviceStatus[0].IotId, meter.IotId);
assert.deepEqual((await call('QueryDeviceStatistics', { ProductKey: pk })).Data,
  { deviceCount: 6, activeCount: 0, onlineCount: 0 });
await call('DisableThing', { IotId: meter.IotId });
assert.equal((await call('QueryDeviceByStatus', { Status: 8, ProductKey: pk, CurrentPage: 1, PageSize: 10 }))
  .Data.SimpleDeviceInfo[0].DeviceName, 'meter-1');
await call('EnableThing', { ProductKey: pk, DeviceName: 'meter-1' });
await call('BatchUpdateDeviceNickname', {
  DeviceNicknameInfo: [{ IotId: meter.IotId, Nickname: '水表_1' }, { ProductKey: pk, DeviceName: lamp.DeviceName }] });
assert.equal((await call('QueryDeviceInfo', { IotId: lamp.IotId })).Data.Nickname, undefined);

// ---- tags ----
const room = name('room');
await call('SaveDeviceProp', { IotId: lamp.IotId, Props: JSON.stringify({ room, color: 'red & "blue" 水' }) });
assert.deepEqual(JSON.parse((await call('QueryDeviceProp', { IotId: lamp.IotId })).Props),
  { room, color: 'red & "blue" 水' });
assert.equal((await call('QueryDeviceByTags', { Tag: [{ TagKey: 'room', TagValue: room }], CurrentPage: 1, PageSize: 10 }))
  .Data.SimpleDeviceInfo[0].IotId, lamp.IotId);
await call('DeleteDeviceProp', { IotId: lamp.IotId, PropKey: 'room' });

// ---- groups ----
const plant = (await call('CreateDeviceGroup', { GroupName: name('plant_'), GroupDesc: 'all of it' })).Data;
const hall = (await call('CreateDeviceGroup', { GroupName: name('hall_'), SuperGroupId: plant.GroupId })).Data;
await call('UpdateDeviceGroup', { GroupId: hall.GroupId, GroupDesc: 'hall 7' });
const pairs = [{ ProductKey: pk, DeviceName: 'meter-1' }, { ProductKey: pk, DeviceName: lamp.DeviceName }];
const added = await call('BatchAddDeviceGroupRelations', { GroupId: hall.GroupId, Device: pairs });
assert.equal(added.ErrorMessage, '2 devices have been added, and 0 devices failed to be added.');
assert.equal((await call('QueryDeviceGroupInfo', { GroupId: hall.GroupId })).Data.DeviceCount, 2);
assert.equal((await call('QueryDeviceGroupList', { SuperGroupId: plant.GroupId, CurrentPage: 1, PageSize: 10 }))
  .Data.GroupInfo[0].GroupDesc, 'hall 7');
assert.equal((await call('QueryDeviceGroupByDevice', { ProductKey: pk, DeviceName: 'meter-1' }))
  .GroupInfos.GroupInfo[0].GroupId, hall.GroupId);
assert.equal((await call('QueryDeviceListByDeviceGroup', { GroupId: hall.GroupId, CurrentPage: 1, PageSize: 10 })).Total, 2);
assert.equal((await call('QuerySuperDeviceGroup', { GroupId: hall.GroupId })).Data.GroupInfo[0].GroupId, plant.GroupId);
await call('SetDeviceGroupTags', { GroupId: hall.GroupId, TagString: JSON.stringify([{ tagKey: 'site', tagValue: room }]) });
assert.deepEqual((await call('QueryDeviceGroupTagList', { GroupId: hall.GroupId })).Data.GroupTagInfo,
  [{ TagKey: 'site', TagValue: room }]);
assert.equal((await call('QueryDeviceGroupByTags', { Tag: [{ TagKey: 'site', TagValue: room }] }))
  .Data.DeviceGroup[0].GroupId, hall.GroupId);
const moving = (await call('CreateDeviceDynamicGroup', {
  IotInstanceId: instance, GroupName: name('moving_'), DynamicGroupExpression: `product_key = "${pk}" and name LIKE "named%"` })).Data;
assert.deepEqual((await call('QueryDynamicGroupDevices', {
  IotInstanceId: instance, GroupId: moving.GroupId, FuzzyName: true, DeviceName: 'named', PageSize: 200 }))
  .Data.SimpleDeviceInfo.map((d) => d.DeviceName), ['named-2', 'named-1']);
await call('DeleteDeviceDynamicGroup', { IotInstanceId: instance, GroupId: moving.GroupId });
assert.equal((await call('BatchDeleteDeviceGroupRelations', { GroupId: hall.GroupId, Device: pairs })).SuccessDeviceCount, 2);
await call('DeleteDeviceGroup', { GroupId: hall.GroupId });
await call('DeleteDeviceGroup', { GroupId: plant.GroupId });

// ---- and away with it ----
for (const d of all.Data.DeviceInfo) await call('DeleteDevice', { IotId: d.IotId });
await call('DeleteProduct', { ProductKey: pk });
console.log(JSON.stringify([...called]));
