// SPDX-License-Identifier: Apache-2.0

// What clients.mjs is for Node.js: the vendor's Go clients at the command of a test. via: go-classic (the classic SDK), go
// (the core of the typed SDKs, for those are one call of it per action). usage: go_clients ENDPOINT KEY SECRET
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	core "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	coreutil "github.com/alibabacloud-go/openapi-util/service"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	classicErrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
)

const version = "2018-01-20"

var endpoint = os.Args[1]

type job struct {
	Via    string
	Action string
	Params map[string]interface{}
}

type failure struct {
	Code    string      `json:"code"`
	Message string      `json:"message"`
	Data    interface{} `json:"data,omitempty"`
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// text is a value as a parameter has it.
func text(v interface{}) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// fill puts the parameters into the fields of a request, by the SDK's own tags; false when it is older than one of them.
func fill(request reflect.Value, params map[string]interface{}) bool {
	fields := map[string]reflect.Value{}
	for i := 0; i < request.NumField(); i++ {
		if name := request.Type().Field(i).Tag.Get("name"); name != "" {
			fields[name] = request.Field(i)
		}
	}
	for name, value := range params {
		field, there := fields[name]
		if !there {
			return false
		}
		if field.Kind() == reflect.String { // requests.Integer and requests.Boolean, too
			field.SetString(text(value))
			continue
		}
		values, ok := value.([]interface{})
		if !ok {
			return false
		}
		list := reflect.MakeSlice(field.Type().Elem(), len(values), len(values))
		for i, v := range values {
			if members, isObject := v.(map[string]interface{}); !isObject {
				list.Index(i).SetString(text(v))
			} else if !fill(list.Index(i), members) {
				return false
			}
		}
		field.Set(reflect.New(list.Type()))
		field.Elem().Set(list)
	}
	return true
}

// byRequest is what a user of the classic SDK does: iot.CreateXRequest(), its fields, client.X(request).
func byRequest(client *iot.Client, j job) (string, error) {
	if method := reflect.ValueOf(client).MethodByName(j.Action); method.IsValid() {
		request := reflect.New(method.Type().In(0).Elem())
		rpc := &requests.RpcRequest{}
		request.Elem().FieldByName("RpcRequest").Set(reflect.ValueOf(rpc))
		rpc.InitWithApiInfo("Iot", version, j.Action, "iot", "openAPI")
		rpc.Method, rpc.Domain, rpc.Scheme = requests.POST, endpoint, "http"
		if fill(request.Elem(), j.Params) {
			out := method.Call([]reflect.Value{request})
			if err, failed := out[1].Interface().(error); failed {
				return "", err
			}
			body := out[0].Interface().(interface{ GetHttpContentString() string }).GetHttpContentString()
			var said struct{ Success bool }
			must(json.Unmarshal([]byte(body), &said))
			if out[0].Elem().FieldByName("Success").Bool() != said.Success {
				return "", errors.New("the SDK read another answer")
			}
			return body, nil
		}
	}
	request := requests.NewCommonRequest() // newer actions and parameters
	request.Product, request.Version, request.ApiName = "Iot", version, j.Action
	request.Method, request.Domain, request.Scheme = requests.POST, endpoint, "http"
	for name, value := range coreutil.Query(j.Params) {
		request.QueryParams[name] = tea.StringValue(value)
	}
	answer, err := client.ProcessCommonRequest(request)
	if err != nil {
		return "", err
	}
	return answer.GetHttpContentString(), nil
}

func byCore(client *core.Client, j job) (interface{}, error) {
	how := &core.Params{Action: &j.Action, Version: tea.String(version), Protocol: tea.String("HTTP"),
		Pathname: tea.String("/"), Method: tea.String("POST"), AuthType: tea.String("AK"), Style: tea.String("RPC"),
		ReqBodyType: tea.String("formData"), BodyType: tea.String("json")}
	request := &core.OpenApiRequest{Query: coreutil.Query(j.Params)}
	answer, err := client.CallApi(how, request, &util.RuntimeOptions{ReadTimeout: tea.Int(30000)})
	if err != nil {
		return nil, err
	}
	return answer["body"], nil
}

func failed(err error) failure {
	var classic *classicErrors.ServerError
	var typed *tea.SDKError

	switch {
	case errors.As(err, &classic):
		return failure{Code: classic.ErrorCode(), Message: classic.Message()}
	case errors.As(err, &typed):
		return failure{Code: tea.StringValue(typed.Code), Message: tea.StringValue(typed.Message),
			Data: tea.StringValue(typed.Data)}
	}
	return failure{Message: err.Error()}
}

func main() {
	config := sdk.NewConfig().WithTimeout(30e9)
	classic, err := iot.NewClientWithOptions("cn-shanghai", config, credentials.NewAccessKeyCredential(os.Args[2], os.Args[3]))
	must(err)
	typed, err := core.NewClient(&core.Config{AccessKeyId: &os.Args[2], AccessKeySecret: &os.Args[3], Endpoint: &endpoint,
		Protocol: tea.String("http")})
	must(err)
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		var j job
		in := json.NewDecoder(strings.NewReader(line))
		in.UseNumber() // 13 digits stay 13 digits
		must(in.Decode(&j))
		out := map[string]interface{}{}
		if j.Via == "go-classic" {
			var body string
			if body, err = byRequest(classic, j); err == nil {
				out["body"] = json.RawMessage(body)
			}
		} else {
			out["body"], err = byCore(typed, j)
		}
		if err != nil {
			out = map[string]interface{}{"error": failed(err)}
		}
		must(json.NewEncoder(os.Stdout).Encode(out))
	}
}
