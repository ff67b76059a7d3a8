# SPDX-License-Identifier: Apache-2.0
"""What clients.mjs is for Node.js: the vendor's Python clients at the command of a test. via: py, py-v2 (the typed SDK in
both of its signing modes), py-classic. usage: python3 -S python_clients.py ENDPOINT KEY SECRET, with the SDKs and
ahead.py on PYTHONPATH; -S keeps Debian's own packages away from them."""
import importlib
import json
import sys

import ahead  # noqa: F401
from alibabacloud_iot20180120 import models
from alibabacloud_iot20180120.client import Client
from alibabacloud_openapi_util.client import Client as OpenApiUtil
from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
from alibabacloud_tea_util.models import RuntimeOptions
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from Tea.exceptions import TeaException

ENDPOINT, KEY, SECRET = sys.argv[1:]
VERSION = "2018-01-20"
config = {"access_key_id": KEY, "access_key_secret": SECRET, "endpoint": ENDPOINT, "protocol": "HTTP"}
typed = {"py": Client(Config(**config)), "py-v2": Client(Config(**config, signature_algorithm="v2"))}
methods = {m.replace("_", "").lower(): m for m in dir(Client)}
runtime = RuntimeOptions(read_timeout=30000)
classic = AcsClient(KEY, SECRET, "cn-shanghai", timeout=30)


def by_model(client, action, params):
    model = getattr(models, action + "Request", None)
    request = model().from_map(params) if model else None
    if not request or request.to_map() != params:  # the SDK is older than the action or a parameter
        how = Params(action=action, version=VERSION, protocol="HTTP", pathname="/", method="POST", auth_type="AK",
                     style="RPC", req_body_type="formData", body_type="json")
        return client.call_api(how, OpenApiRequest(query=OpenApiUtil.query(params)), runtime)["body"]
    return getattr(client, methods[action.lower() + "withoptions"])(request, runtime).body.to_map()


def by_request(action, params):
    try:
        module = importlib.import_module(f"aliyunsdkiot.request.v20180120.{action}Request")
        request = getattr(module, action + "Request")()
        setters = {p: getattr(request, f"set_{p}", None) or getattr(request, f"set_{p}s") for p in params}
        for p, value in params.items():
            setters[p](value)
    except (ModuleNotFoundError, AttributeError):  # older, too
        request = CommonRequest(product="Iot", version=VERSION, action_name=action)
        for p, value in OpenApiUtil.query(params).items():
            request.add_query_param(p, value)
        request.set_method("POST")
    request.set_endpoint(ENDPOINT)
    request.set_protocol_type("http")
    return json.loads(classic.do_action_with_exception(request))


for line in sys.stdin:
    job = json.loads(line)
    try:
        if job["via"] == "py-classic":
            out = {"body": by_request(job["action"], job["params"])}
        else:
            out = {"body": by_model(typed[job["via"]], job["action"], job["params"])}
    except TeaException as e:
        out = {"error": {"code": e.code, "message": e.message, "data": e.data}}
    except ServerException as e:
        out = {"error": {"code": e.error_code, "message": e.message}}
    print(json.dumps(out), flush=True)
