# SPDX-License-Identifier: Apache-2.0
"""Downloads over MQTT, block by block (device §5.2), as the vendor's C SDK does them."""
import json
import os
import struct

from client import wait_until


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


class Blocks:
    def __init__(self, device, data):
        self.device, self.stream, self.file = device, data["streamId"], data["streamFileId"]
        self.reply = device.sys_topic("thing/file/download_reply")
        device.subscribe(self.reply, 0)

    def ask(self, offset, size=5120, stream=None):
        """-> (the JSON, the block). The comma after fileId is what the SDK sends."""
        return self.send(
            '{"id":"$","version":"1.0","params":{"fileToken":"default","fileInfo":{"streamId":%d,"fileId":%d,},'
            '"fileBlock":{"size":%d,"offset":%d}}}' % (stream or self.stream, self.file, size, offset))

    def send(self, text):
        """The same for any text; $: its number."""
        d = self.device
        number = str(next(d.ids))
        d.publish(d.sys_topic("thing/file/download"), text.replace("$", number), 0)

        def found():
            for m in d.others:
                if m.topic == self.reply:
                    head = json.loads(m.payload[2:2 + struct.unpack(">H", m.payload[:2])[0]])
                    if head["id"] == number:
                        return m.payload, head
            return None
        payload, head = wait_until(found)
        rest = payload[2 + struct.unpack(">H", payload[:2])[0]:]
        if head["code"] != 200:
            assert rest == b""
            return head, b""
        assert struct.unpack("<H", rest[-2:])[0] == crc16(rest[:-2])
        return head, rest[:-2]


def test_package_in_blocks(api, fleet):
    f = fleet(2, "1.0.0")
    content = os.urandom(12000)
    fw = api.firmware(f.pk, content=content)
    api.job(fw, DownloadProtocol="MQTT", TargetSelection="SPECIFIC", TargetDeviceName=[f.rows[0]["DeviceName"]])
    d = f.devices[0]
    data = d.wait_push()["data"]
    assert data["dProtocol"] == "mqtt" and "url" not in data and data["md5"] == fw.md5
    blocks = Blocks(d, data)
    got = b""
    while len(got) < data["size"]:
        head, block = blocks.ask(len(got))
        assert head["data"] == {"fileToken": "default", "fileLength": 12000, "bOffset": len(got), "bSize": len(block)}
        got += block
    assert got == content
    assert blocks.ask(12000)[0]["code"] == 404
    assert blocks.ask(0, stream=data["streamId"] + 1)[0]["code"] == 404
    assert Blocks(f.devices[1], data).ask(0)[0]["code"] == 404  # it has no task
    d.upgrade("2.0.0")
