package catalogue_test

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/ijson"
)

func ExampleParse() {
	var file struct{ Services yaml.Node }
	err := yaml.Unmarshal([]byte(`
services:
  lora_decode:
    timeout: 30s
    vars_schema: {required: [sf], properties: {sf: {type: integer, minimum: 7, maximum: 12}}}
    errors: [{equals: decode_error, reason: no_frame, status: 422}]
`), &file)
	if err != nil {
		fmt.Println(err)
		return
	}
	services, err := catalogue.Parse(&file.Services, catalogue.Defaults{})
	if err != nil {
		fmt.Println(err)
		return
	}
	lora, _ := services.Get("lora_decode")
	fmt.Println(lora.Timeout, lora.Vars, lora.Reuse)
	fmt.Println(lora.CheckVars(ijson.MustObject(`{"sf": 6}`)))
	fmt.Println(lora.Match([][]byte{[]byte("decode_error")}).Status)
	// Output:
	// 30s python auto
	// [{#/vars/sf minimum: got 6, want 7}]
	// 422
}

func ExampleError() {
	var services yaml.Node
	if err := yaml.Unmarshal([]byte("lora_decode:\n  vars: pickle\n"), &services); err != nil {
		fmt.Println(err)
		return
	}
	_, err := catalogue.Parse(services.Content[0], catalogue.Defaults{})
	if e, ok := errors.AsType[*catalogue.Error](err); ok {
		fmt.Printf("line %d: %v\n", e.Line, e)
	}
	// Output: line 2: services.lora_decode.vars is "pickle", want one of python, json, none
}
