package codec_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
)

// A request goes to frames and vars, and a worker's reply to JSON.
func Example() {
	r := httptest.NewRequest(http.MethodPost, "/services/lora_decode?timeout=2s", nil)
	r.Header.Set("Content-Type", "application/json")
	x, err := codec.Parse(r, codec.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	call := gateway.Call{Timeout: x.Timeout, TimeoutBy: x.TimeoutBy}
	if err := x.Decode([]byte(`{"body": "AP+A", "encoding": "base64", "vars": {"sf": 7}}`), &call); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%x %s %v\n", call.Frames, call.Vars, call.Timeout)

	w := httptest.NewRecorder()
	reply := gateway.Reply{Frames: [][]byte{[]byte("hello"), {0x00, 0xff, 0x80}}}
	if err := x.WriteReply(w, "lora_decode", "1f3a", reply); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(w.Body)
	// Output:
	// [00ff80] {"sf": 7} 2s
	// {"service":"lora_decode","frames":[{"data":"hello","encoding":"text"},{"data":"AP+A","encoding":"base64"}],"request_id":"1f3a"}
}

// An error says where the request is wrong.
func ExampleExchange_Decode_malformed() {
	r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
	r.Header.Set("Content-Type", "application/json")
	x, err := codec.Parse(r, codec.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = x.Decode([]byte(`{"text": "hello"}`), new(gateway.Call))
	fmt.Println(gateway.AsError(err).Kind, gateway.AsError(err).Faults)
	// Output:
	// bad_request [{#/text unknown member: put the payload in "body", or post with ?raw=true}]
}
